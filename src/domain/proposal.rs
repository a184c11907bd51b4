//! What `init` proposes: a configuration, and workflows and pipelines that use it.

use std::path::PathBuf;

use super::finding::{Finding, Location};

/// What `init` found and proposes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitOutcome {
    /// Caches that are moved, in the order of the files.
    pub moved: Vec<MovedCache>,
    /// Caches that are left alone, each with its reason.
    pub left: Vec<Finding>,
    /// Files that are new or changed.
    pub files: Vec<ProposedFile>,
    /// What holds for all of them, and what is left to do by hand.
    pub notes: Vec<String>,
    /// Whether the files were written.
    pub is_written: bool,
}

/// A cache that another program keeps, and that is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedCache {
    /// Its name in the configuration; `None` where a step takes the place of another one with the same inputs.
    pub name: Option<String>,
    /// What keeps it until now, such as `actions/cache@v4`.
    pub keeper: String,
    /// Where that is.
    pub location: Location,
    /// What will be different, one sentence each.
    pub differences: Vec<String>,
}

/// A file that is new or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedFile {
    /// Relative to the workspace.
    pub path: PathBuf,
    /// Whether there is none yet.
    pub is_new: bool,
    /// A unified diff.
    pub diff: String,
}
