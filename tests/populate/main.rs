//! Content-addressed caches: what mirrors give, what is verified, what is saved, and what a kill leaves.

#![allow(
    clippy::disallowed_methods,
    clippy::pedantic,
    reason = "tests make trees, and are not read for style"
)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod credentials;
mod external_data;
mod flow;
mod gateways;
mod kills;
mod mirrors;
mod objects;
mod restoring;
mod volumes;
