//! Entries become files, below directories that no other process uses.

pub(super) mod assemble;
pub(super) mod clash;
pub(super) mod destination;
mod pool;
mod remembered;
pub(super) mod unpack;
pub(super) mod writer;
