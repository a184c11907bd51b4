//! Files and directories: leases, temporary directories and how they are published, removal, and free space.
//!
//! Read [`lease`], [`staging`] and [`recover`] for how unfinished work lives, becomes visible and is cleared up after a
//! kill; [`volume`] for free space. Caches, keys and archives are defined in other rooms.

#![expect(clippy::disallowed_methods, reason = "the other rooms reach files through this one")]

pub(crate) mod busy;
pub(crate) mod cancel;
pub(crate) mod handle;
pub(crate) mod link;
pub(crate) mod mode;
pub(crate) mod open;
pub(crate) mod path_error;
pub(crate) mod read;
pub(crate) mod read_error;
pub(crate) mod time;
pub(crate) mod unsupported;
pub(crate) mod write;

pub(crate) mod atomic;
pub(crate) mod holes;
pub(crate) mod lease;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod staging;
pub(crate) mod together;

pub(crate) mod volume;

#[cfg(test)]
pub(crate) mod testing;
