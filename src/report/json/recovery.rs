//! What `recover --json` prints.

use serde::Serialize;

use crate::domain::recovery::RecoveryOutcome;

/// The outcome of a recovery by hand.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RecoveryDocument {
    /// `recover`.
    pub command: &'static str,
    /// Whether nothing was done, only looked at.
    pub dry_run: bool,
    /// The directories that were looked into.
    pub places: Vec<String>,
    /// Temporary directories, sorted by path.
    pub leftovers: Vec<LeftoverDocument>,
    /// Unfinished uploads of the store, if they were looked for.
    pub uploads: Option<UploadsDocument>,
}

/// A temporary directory.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeftoverDocument {
    /// Its path.
    pub path: String,
    /// `removed`, `completed`, `undone`, `kept` or `failed`.
    pub act: String,
    /// Why.
    pub why: Option<String>,
}

/// Unfinished uploads.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UploadsDocument {
    /// The store.
    pub store: String,
    /// Those of dead processes, which were removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are in progress, or may be.
    pub kept: u64,
    /// What else was kept, a sentence each.
    pub refused: Vec<String>,
}

impl From<&RecoveryOutcome> for RecoveryDocument {
    fn from(outcome: &RecoveryOutcome) -> Self {
        let leftovers = outcome.leftovers.iter().map(|leftover| LeftoverDocument {
            path: leftover.path.clone(),
            act: leftover.act.to_string(),
            why: leftover.why.clone(),
        });
        let uploads = outcome.uploads.as_ref().map(|uploads| UploadsDocument {
            store: uploads.location.clone(),
            removed: uploads.removed,
            bytes: uploads.bytes.0,
            kept: uploads.kept,
            refused: uploads.refused.clone(),
        });
        RecoveryDocument {
            command: "recover",
            dry_run: outcome.dry_run,
            places: outcome.places.clone(),
            leftovers: leftovers.collect(),
            uploads,
        }
    }
}
