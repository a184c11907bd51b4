//! For tests, of this crate and of crates that embed it: a store in memory, a read-only view of a store, and the
//! suite that every store passes.

pub mod conformance;
pub mod memory;
pub mod read_only;

pub use memory::MemoryStore;
pub use read_only::ReadOnly;
