//! The outcome of sharing equal files.

use std::collections::BTreeMap;
use std::fmt;

use super::unit::ByteSize;

/// How equal files share their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each stays a file of its own; a write to one copies what it changes.
    Reflink,
    /// They become names of one file: a write in place changes all of them.
    HardLink,
}

/// What was shared, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupOutcome {
    /// How.
    pub by: Sharing,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Files that were looked at.
    pub files: u64,
    /// Their bytes.
    pub bytes: ByteSize,
    /// Files that now share the bytes of another one, or would.
    pub shared: u64,
    /// Their bytes.
    pub shared_bytes: ByteSize,
    /// Files with equal ones that stay as they are, by the reason; each with the first path.
    pub left: BTreeMap<LeftReason, (u64, String)>,
    /// Free bytes of the volumes before and after, with what other programs used or freed meanwhile.
    pub free: (ByteSize, ByteSize),
}

/// Why a file stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftReason {
    /// It, or the file that it equals, changed meanwhile.
    Changed,
    /// It has several names, which would no longer be one file.
    Linked,
    /// Its mode, owner or time differs, and names of one file have them in common.
    Metadata,
    /// It has attributes that a new file would not have.
    Attributes,
    /// The system refused something.
    Refused,
}

impl LeftReason {
    /// Its name in JSON documents.
    pub fn name(self) -> &'static str {
        match self {
            LeftReason::Changed => "changed",
            LeftReason::Linked => "linked",
            LeftReason::Metadata => "metadata",
            LeftReason::Attributes => "attributes",
            LeftReason::Refused => "refused",
        }
    }
}

impl fmt::Display for LeftReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftReason::Changed => "changed meanwhile",
            LeftReason::Linked => "have several names",
            LeftReason::Metadata => "differ in mode, owner or time",
            LeftReason::Attributes => "have extended attributes or another owner",
            LeftReason::Refused => "could not be replaced",
        })
    }
}
