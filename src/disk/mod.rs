//! The local disk: walks, hashes, space, locks, temporary things and how they are published.
//!
//! Read [`selection`] and [`walk`] for what belongs to a cache; [`tree_glob`] to [`links`] for what a key and a
//! gate read of a checkout; [`hash`] to [`unixfs`] for objects and their proof; [`lease`] to [`recover`] for how
//! unfinished things live, become visible and go; [`usage`] and [`preflight`] for room.

pub mod path_error;
pub mod read_error;
pub mod stream;
pub mod text;

pub mod fingerprint;
pub mod selection;
pub mod walk;

pub mod file_digest;
pub mod git_index;
pub mod hash_files;
mod hash_files_pattern;
mod hash_files_segment;
pub mod links;
pub mod tree_glob;

pub mod hash;
pub mod mapping;
pub mod merge;
mod object_layout;
pub mod objects;
pub mod proofs;
pub mod prune;
pub mod rubbish;
pub mod sampling;
pub mod unixfs;
mod verified_files;

pub mod atomic;
pub mod lease;
pub mod recover;
pub mod remove;
pub mod staging;

pub mod preflight;
pub mod trim;
pub mod usage;

#[cfg(test)]
pub(crate) mod testing;
