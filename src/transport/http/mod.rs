//! HTTP: addresses, the client, errors, and when a request is repeated.

pub(crate) mod address;
pub(crate) mod attempts;
pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod options;
pub(crate) mod retry;
pub(crate) mod sending;
