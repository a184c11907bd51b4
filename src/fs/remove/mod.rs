//! Removing trees: read-only directories, names of any kind and any depth; never through a link.
//!
//! It goes on after an error, removes what it can, and reports the first. It stays on the volume it
//! began on: volumes that are mounted inside are left alone.

use std::path::Path;

use super::path_error::PathError;

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as native;
#[cfg(unix)]
use unix as native;

#[cfg(test)]
mod tests;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Files, links and special files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes that the volume gained, where the system tells: those allocated to files whose last name
    /// went. A file with other names elsewhere gives nothing back.
    pub bytes: u64,
}

/// A tree was not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
#[error("{first}{}", others(*.failures))]
pub struct RemoveError {
    /// The first thing that could not be removed.
    #[source]
    pub first: PathError,
    /// How many things could not be removed, directories left for what is in them not counted.
    pub failures: u64,
    /// What was removed nevertheless.
    pub removed: Removed,
}

fn others(failures: u64) -> String {
    if failures > 1 { format!(" (and {} more)", failures - 1) } else { String::new() }
}

/// Removes a file, a link or a whole tree. What is not there counts as removed.
pub fn remove_tree(path: &Path) -> Result<Removed, RemoveError> {
    let mut tally = Tally::default();
    native::remove(path, &mut tally);
    match tally.first {
        None => Ok(tally.removed),
        Some(first) => Err(RemoveError { first, failures: tally.failures, removed: tally.removed }),
    }
}

/// Counts what goes and what stays.
#[derive(Debug, Default)]
struct Tally {
    removed: Removed,
    failures: u64,
    first: Option<PathError>,
}

impl Tally {
    fn fail(&mut self, error: PathError) {
        self.failures += 1;
        self.first.get_or_insert(error);
    }
}
