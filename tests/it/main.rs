//! What a user sees: the binary, run on projects in temporary directories.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make trees and read their environment"
)]

#[path = "../support/mod.rs"]
mod support;

mod failures;
mod gating;
mod keys;
mod looking;
mod main_job;
mod output;
mod planted_journals;
mod running;
mod saving;
mod trimming;
mod verbose;
