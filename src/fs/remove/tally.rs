//! What a removal has done so far.

use crate::fs::path_error::PathError;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Removed {
    /// Files, links and special files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes that the volume gained, where the system tells: those allocated to files whose last name
    /// went. A file with other names elsewhere gives nothing back.
    pub bytes: u64,
}

/// Counts what was removed and what could not be.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) removed: Removed,
    pub(super) failures: u64,
    pub(super) first: Option<PathError>,
}

impl Tally {
    pub(super) fn fail(&mut self, error: PathError) {
        self.failures += 1;
        self.first.get_or_insert(error);
    }
}
