//! Workflows and pipelines as people write them: which files they are, and YAML as a tree that knows its places.
//!
//! `check` reads them for mistakes, `init` for caches that other programs keep.

pub(in crate::command) mod find;
pub(in crate::command) mod workflow;
pub(in crate::command) mod yaml;
