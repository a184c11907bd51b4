//! What the tests share: a project in a temporary directory, the binary in a scrubbed environment, and
//! comparisons of trees.

#![allow(
    clippy::disallowed_methods,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test binary uses its own part of this"
)]

pub mod actions_cache;
#[cfg(unix)]
pub mod archive;
pub mod capture;
pub mod github_api;
pub mod github_service;
pub mod mirror_server;
pub mod project;
pub mod skip;
pub mod tree;

pub use skip::skip;
