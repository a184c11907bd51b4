//! Everything that is printed: events for people, outcomes for machines.
//!
//! People read standard error; standard output carries only what was asked for (`--json`, `key`,
//! `schema`, `completions`), so that it can be piped.

pub mod clean_json;
pub mod clean_summary;
pub mod explain_json;
pub mod explain_text;
pub mod failure;
pub mod json;
pub mod log;
pub mod outputs;
pub mod page;
pub mod plan_json;
pub mod progress;
pub mod summary;
pub mod text;
pub mod usage_json;

pub use log::{Log, LogOptions, Verbosity};
