//! A store in a directory of this machine or of a shared file system.
//!
//! An entry is one file, leased while it is read ([`lease`]), with the time of its last use in a file beside it
//! ([`last_use`]). An upload lies in a leased directory below `uploads` ([`uploads`]) until it is published
//! ([`publish`]).

#![expect(clippy::disallowed_methods, reason = "the entries of a directory store are files")]

mod blocking;
mod files;
mod last_use;
mod lease;
mod publish;
mod reading;
mod recovery;
mod uploads;
mod walk;

#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::backend::{BackendStore, Viewpoint};
use super::contract::Clock;

pub use files::Directory;

/// A store in a directory. Several processes may share it, and several machines if their locks on the file system
/// exclude each other.
pub type DirectoryStore = BackendStore<Directory>;

impl DirectoryStore {
    /// A store in a directory, which is created with the first entry, as a job sees it. Does no I/O.
    pub fn new(root: &Path, view: Viewpoint, clock: Clock) -> Self {
        BackendStore::over(Directory::new(root.to_owned(), clock), view)
    }
}
