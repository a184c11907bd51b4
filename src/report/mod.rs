//! Everything that is printed: events for people, outcomes for machines.
//!
//! People read standard error; standard output carries only what was asked for (`--json`, `key`,
//! `schema`, `completions`), so that it can be piped.

pub(crate) mod failure;
pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod markdown;
pub(crate) mod openmetrics;
pub(crate) mod outputs;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod stderr;
pub(crate) mod text;

pub(crate) use log::{Log, LogOptions, Verbosity};
