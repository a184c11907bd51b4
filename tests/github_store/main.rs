//! The GitHub store against a fake of its service: the suite of all stores, every fault, and the client
//! that GitHub's own actions use.

#[path = "../support/github_service/mod.rs"]
mod github_service;
#[path = "../support/skip.rs"]
mod skip;

mod conforming;
mod faults;
mod interoperation;
mod job;
mod secrets;
mod streaming;
