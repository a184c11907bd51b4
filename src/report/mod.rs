//! Everything that is printed: events for people, outcomes for machines.
//!
//! People read standard error; standard output carries only what was asked for (`--json`, `key`,
//! `schema`, `completions`), so that it can be piped.

pub mod failure;
pub mod json;
pub mod log;
pub mod markdown;
pub mod outputs;
pub mod page;
pub mod progress;
pub mod stderr;
pub mod text;

pub use log::{Log, LogOptions, Verbosity};
