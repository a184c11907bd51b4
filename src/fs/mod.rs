//! Files and directories: leases, temporary directories and how they are published, removal, and free space.
//!
//! Read [`lease`], [`staging`] and [`recover`] for how unfinished work lives, becomes visible and is cleared up after a
//! kill; [`volume`] and [`preflight`] for free space. Caches, keys and archives are defined in other rooms.

#![expect(clippy::disallowed_methods, reason = "the other rooms reach files through this one")]

pub mod cancel;
pub mod link;
pub mod mode;
pub mod path_error;
pub mod read;
pub mod read_error;
pub mod text;
pub mod write;

pub mod atomic;
pub mod lease;
pub mod records;
pub mod recover;
pub mod remove;
pub mod staging;

pub mod preflight;
pub mod volume;

#[cfg(test)]
pub(crate) mod testing;
