//! What the tests, the benchmarks and the unit tests of `cachekeep` share and what does not need `cachekeep` itself: a
//! project in a temporary directory, the binary in a scrubbed environment, fakes of services, comparisons of trees.

#![allow(clippy::disallowed_methods, reason = "tests make trees, start programs and read their environment")]

pub mod actions_cache;
#[cfg(unix)]
pub mod azure_agent;
pub mod capture;
pub mod event;
pub mod fault_server;
pub mod forges;
pub mod github_api;
pub mod github_service;
pub mod log_commands;
pub mod mirror_server;
pub mod npm;
pub mod object_services;
#[cfg(target_os = "linux")]
pub mod processes;
pub mod project;
#[cfg(unix)]
pub mod signals;
pub mod skip;
pub mod threads;
pub mod tree;
#[cfg(unix)]
pub mod volume;

pub use skip::skip;
