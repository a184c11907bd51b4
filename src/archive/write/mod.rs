//! Entries become files, below directories that no other process uses.

mod clash;
pub(super) mod destination;
mod placement;
mod pool;
pub(super) mod unpack;
