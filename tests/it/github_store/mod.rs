//! The GitHub store against a fake of its service: the suite of all stores, every fault, and the client
//! that GitHub's own actions use.

mod command;
mod conforming;
pub(crate) mod fault_table;
mod faults;
mod interoperation;
pub(crate) mod job;
mod secrets;
mod streaming;
mod uses;
mod verifying;
