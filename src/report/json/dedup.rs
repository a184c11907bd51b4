//! What `dedup --json` prints.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::dedup::{DedupOutcome, Sharing};

/// What was shared and what was not.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DedupDocument {
    /// `dedup`.
    pub command: &'static str,
    /// `reflink` or `hard-link`.
    pub by: &'static str,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Files that were looked at.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that share the bytes of another one, or would.
    pub shared: u64,
    /// Their bytes.
    pub shared_bytes: u64,
    /// Files with equal ones that stay as they are, by the reason.
    pub left: BTreeMap<&'static str, u64>,
    /// Free bytes of the volumes before.
    pub free_before: u64,
    /// Free bytes of the volumes after.
    pub free_after: u64,
}

impl From<&DedupOutcome> for DedupDocument {
    fn from(outcome: &DedupOutcome) -> Self {
        DedupDocument {
            command: "dedup",
            by: match outcome.by {
                Sharing::Reflink => "reflink",
                Sharing::HardLink => "hard-link",
            },
            dry_run: outcome.dry_run,
            files: outcome.files,
            bytes: outcome.bytes.0,
            shared: outcome.shared,
            shared_bytes: outcome.shared_bytes.0,
            left: outcome.left.iter().map(|(reason, (count, _))| (reason.name(), *count)).collect(),
            free_before: outcome.free.0.0,
            free_after: outcome.free.1.0,
        }
    }
}
