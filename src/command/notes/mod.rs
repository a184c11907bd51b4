//! Files that this machine keeps about a cache: what a restore left for the save, what `explain` remembers, and the sentinel.

pub(super) mod carried;
pub(super) mod receipt;
pub(super) mod remembered;
pub(super) mod sentinel;

#[cfg(all(test, unix))]
mod case_tests;
