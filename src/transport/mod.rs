//! Bytes over HTTP, and the pipe between blocking and asynchronous code.
//!
//! [`client`] makes requests, [`retry`] says when to repeat one, [`fetch`] streams one body through dropped
//! connections, [`source`] opens what a configuration names, and [`mirror`] fetches many objects from
//! servers that may be dead, slow or wrong. [`block_blob`] and [`ranged_download`] move one large blob in
//! parallel parts; [`attempt`] is what they share.

pub mod address;
pub mod attempt;
pub mod block_blob;
pub mod client;
pub mod error;
pub mod fetch;
pub mod mirror;
pub mod pipe;
pub mod ranged_download;
pub mod retry;
pub mod source;

#[cfg(test)]
#[path = "../../tests/support/capture.rs"]
mod capture;
#[cfg(test)]
#[path = "../../tests/support/fault_server.rs"]
pub(crate) mod fault_server;
#[cfg(test)]
mod fault_tests;
