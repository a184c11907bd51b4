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
pub(crate) mod quota;
mod uploads;

#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod tests;

pub use files::{Directory, DirectoryStore};
