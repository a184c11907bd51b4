//! The local disk: walks, hashes, space, locks, temporary things and how they are published.

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
