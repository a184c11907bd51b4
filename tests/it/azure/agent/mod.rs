//! The imitation of the agent itself: each of its rules is shown once, so that other tests can lean on it.

mod cache;
mod commands;
mod forks;
mod statuses;
mod templates;
mod variables;

use cachekeep_test_support::azure_agent::Pipeline;

/// A pipeline of this text.
#[track_caller]
fn pipeline(text: &str) -> Pipeline {
    Pipeline::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
