//! Files that this machine keeps about a cache: what a restore left for the save, what `explain` remembers,
//! and what was left to another program to save.

pub(super) mod carried;
pub(super) mod receipt;
pub(super) mod remembered;
pub(super) mod staged;

#[cfg(all(test, unix))]
mod case_tests;
