//! The local disk: walks, hashes, space, locks, temporary things and how they are published.

pub mod unixfs;
