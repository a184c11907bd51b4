//! The local disk: walks, hashes, space, locks, temporary things and how they are published.

pub mod fingerprint;
pub mod selection;
pub mod text;
pub mod walk;
pub mod unixfs;
