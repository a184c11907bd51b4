//! The GitHub action: its definition against the sources, its installer, hostile inputs, and whole workflows
//! run by act (github.com/nektos/act).

#![allow(clippy::disallowed_methods, reason = "tests touch files and start programs")]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "what tests share is used by several binaries, each its own part"
)]

#[path = "../support/github_api/mod.rs"]
mod github_api;
#[path = "../support/github_service/mod.rs"]
mod github_service;
#[path = "../support/mirror_server.rs"]
mod mirror_server;
#[path = "../support/skip.rs"]
mod skip;

mod act;
mod cleaning;
mod definition;
mod hostile;
mod hostile_inputs;
mod installer;
mod linters;
mod steps;
mod workflows;
mod wrapped;
