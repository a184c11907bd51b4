//! Bytes over HTTP, and the pipe between blocking and asynchronous code.

pub mod pipe;
