//! Why a file or directory was not read to its end.

use std::io;
use std::path::Path;

use super::cancel::Cancelled;
use super::path_error::PathError;
use crate::domain::hint::{Class, Hint};

/// A file or directory was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read.
    #[error(transparent)]
    Failed(#[from] PathError),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ReadError {
    /// Makes a closure for `map_err`, which tells a cancellation from an error of the system.
    pub fn of(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| {
            if Cancelled::is(&source) {
                ReadError::Cancelled(Cancelled)
            } else {
                ReadError::Failed(PathError::on("read", path)(source))
            }
        }
    }

    /// The same for a walk below `root`, which may know a nearer path.
    pub fn of_walk(root: &Path, error: walkdir::Error) -> Self {
        let path = error.path().unwrap_or(root).to_owned();
        let said = error.to_string();
        // The walk adds only the path to an error of the system; a circle of links has no such error.
        ReadError::of(&path)(error.into_io_error().unwrap_or_else(|| io::Error::other(said)))
    }
}

impl Hint for ReadError {
    fn hint(&self) -> Option<String> {
        match self {
            ReadError::Failed(error) => error.hint(),
            ReadError::Cancelled(error) => error.hint(),
        }
    }

    fn class(&self) -> Class {
        match self {
            ReadError::Failed(error) => error.class(),
            ReadError::Cancelled(error) => error.class(),
        }
    }
}
