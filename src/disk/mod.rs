//! The local disk: walks, hashes, space, locks, temporary things and how they are published.

pub mod unixfs;

pub mod hash;
pub mod merge;
mod object_layout;
pub mod objects;

pub mod tree_glob;

pub mod file_digest;
pub mod git_index;
pub mod hash_files;
mod hash_files_pattern;
mod hash_files_segment;
pub mod links;
