//! Release archives: archives of other programs, read as a stream of checked items.
//!
//! Tar, plain or compressed by gzip, zstd or xz, is read from front to end as it comes. Zip keeps its index at
//! its end, with modes and links only there: it is read from a file, and a stream of it is first copied to
//! a nameless file in [`ExtractOptions::spool`], which the system removes however the process ends.
//! (An extraction that trusts the local headers of a zip stream would miss links and modes, and could be given
//! other names than the index has.)
//!
//! The names of items are checked by the guard of cache archives, and [`unpack_tree`] hands them to the same writer:
//! this room decodes, and has no rules of its own about what may be written. Sizes and counts
//! are bounded, and memory does not grow with the archive (except for the index of a zip: some 200 bytes an entry).

mod checksum;
mod error;
mod extract;
mod format;
mod item;
mod open;
mod options;
mod raw;
mod sparse;
mod tar_items;
mod tree;
mod zip_items;

pub use checksum::{ChecksumOutcome, Expected};
pub use extract::{Extracted, extract};
pub use format::Format;
pub use item::{ItemKind, ReleaseItem, Sink};
pub use options::{ExtractOptions, Input};
pub use tree::unpack_tree;

#[cfg(test)]
mod tests;
