//! The local disk: walks, hashes, space, locks, temporary things and how they are published.

pub mod fingerprint;
pub mod hash;
pub mod merge;
pub mod objects;
pub mod selection;
pub mod text;
pub mod unixfs;
pub mod walk;

pub mod tree_glob;

pub mod file_digest;
pub mod git_index;
pub mod hash_files;
mod hash_files_pattern;
mod hash_files_segment;
pub mod links;
pub mod path_error;

pub mod lease;
pub mod remove;

pub mod atomic;
pub mod recover;
pub mod staging;

pub mod preflight;
pub mod usage;

#[cfg(test)]
pub(crate) mod testing;
