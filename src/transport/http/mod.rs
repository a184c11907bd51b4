//! HTTP: addresses, the client, errors, and when a request is repeated.

pub mod address;
pub mod attempts;
pub mod client;
pub mod error;
pub mod options;
pub mod retry;
