//! Bytes over HTTP, and the pipe between blocking and asynchronous code.
//!
//! [`http`] makes requests and says when to repeat one; [`download`] streams one body through dropped connections,
//! [`ranges`] and [`blocks`] move one large blob in parallel parts, [`source`] opens what a configuration names, and
//! [`mirror`] fetches many objects from servers that may be dead, slow or wrong.

pub(crate) mod http;

pub(crate) mod answer;
pub(crate) mod blocks;
pub(crate) mod download;
pub(crate) mod mirror;
pub(crate) mod pipe;
pub(crate) mod ranges;
pub(crate) mod source;

#[cfg(test)]
mod fault_tests;
