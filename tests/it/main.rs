//! What a user sees: the binary, run on projects in temporary directories.

#[path = "../support/mod.rs"]
mod support;

mod failures;
mod gating;
mod keys;
mod main_job;
mod running;
mod saving;
