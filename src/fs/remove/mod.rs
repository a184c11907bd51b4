//! Removing trees: read-only directories, names of any kind and any depth; never through a link.
//!
//! It goes on after an error, removes what it can, and reports the first. It stays on the volume it
//! began on: volumes that are mounted inside are left alone.

use std::path::Path;

use super::path_error::PathError;

#[cfg(not(unix))]
mod portable;
mod tally;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as native;
#[cfg(unix)]
use unix as native;

use tally::Tally;

pub(crate) use tally::Removed;

#[cfg(test)]
mod tests;

/// A tree was not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
#[error("{first}{}", others(*.failures))]
pub(crate) struct RemoveError {
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
pub(crate) fn remove_tree(path: &Path) -> Result<Removed, RemoveError> {
    let mut tally = Tally::default();
    native::remove(path, &mut tally);
    match tally.first {
        None => Ok(tally.removed),
        Some(first) => Err(RemoveError { first, failures: tally.failures, removed: tally.removed }),
    }
}
