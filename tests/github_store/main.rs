//! The GitHub store against a fake of its service: the suite of all stores, every fault, and the client
//! that GitHub's own actions use.

#![allow(clippy::disallowed_methods, reason = "tests touch files and start programs")]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "what tests share is used by several binaries, each its own part"
)]

#[path = "../support/actions_cache.rs"]
mod actions_cache;
#[path = "../support/github_service/mod.rs"]
mod github_service;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/tree.rs"]
mod tree;

mod command;
mod conforming;
mod fault_table;
mod faults;
mod interoperation;
mod job;
mod secrets;
mod streaming;
