//! The outcome of a recovery by hand: what killed processes left, and what was done about it.

use std::fmt;

use super::unit::ByteSize;

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryOutcome {
    /// Whether nothing was done, only looked at.
    pub dry_run: bool,
    /// The directories that were looked into.
    pub places: Vec<String>,
    /// Temporary directories, sorted by path.
    pub leftovers: Vec<Leftover>,
    /// Unfinished uploads; `None` if they were not looked for: in a dry run, or where the service removes them by itself.
    pub uploads: Option<Uploads>,
}

/// A temporary directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its path.
    pub path: String,
    /// What was done about it, or would be.
    pub act: Act,
    /// Why.
    pub why: Option<String>,
}

/// What is done about a temporary directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is removed.
    Removed,
    /// Its publication is completed, and it is removed.
    Completed,
    /// Its publication is taken back, and it is removed.
    Undone,
    /// It stays.
    Kept,
    /// It could not be recovered; the next start tries again.
    Failed,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Removed => "removed",
            Act::Completed => "completed",
            Act::Undone => "undone",
            Act::Kept => "kept",
            Act::Failed => "failed",
        })
    }
}

/// Unfinished uploads in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploads {
    /// Human-readable location of the store.
    pub location: String,
    /// Those of dead processes, which were removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: ByteSize,
    /// Those that are, or may be, in progress.
    pub kept: u64,
    /// What else was kept, a sentence each.
    pub refused: Vec<String>,
}

impl RecoveryOutcome {
    /// Whether something could not be recovered.
    pub fn has_failed(&self) -> bool {
        self.leftovers.iter().any(|leftover| leftover.act == Act::Failed)
    }

    /// How many temporary directories something was done about.
    pub fn count(&self, act: Act) -> usize {
        self.leftovers.iter().filter(|leftover| leftover.act == act).count()
    }
}
