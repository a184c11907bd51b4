//! Release archives: reading what somebody else packed, as a stream of checked items.
//!
//! Tar, plain or compressed by gzip, zstd or xz, is read from front to end as it comes. Zip keeps its index at
//! its end, with modes and links only there: it is read from a file, and a stream of it is first laid down in
//! a nameless file in [`ExtractOptions::spool`], which the system removes whatever happens to the process.
//! (The extraction that trusts the local headers of a zip stream would miss links and modes, and could be shown
//! other names than the index has.)
//!
//! Whatever the archive holds: names that leave the tree are refused, devices and fifos too, sizes and counts
//! are bounded, and memory does not grow with the archive (a zip's index excepted: some 200 bytes an entry).

mod checksum;
mod error;
mod extract;
mod format;
mod item;
mod name;
mod open;
mod options;
mod raw;
mod sparse;
mod tar_items;
mod tree;
mod zip_items;

pub use checksum::{ChecksumOutcome, Expected};
pub use error::{Problem, ReleaseError};
pub use extract::{Extracted, extract};
pub use format::Format;
pub use item::{ItemKind, ReleaseItem, Sink};
pub use name::{MAX_NAME, NameError};
pub use options::{ExtractOptions, Input, Limits};
pub use tree::{Unpacked, unpack_tree};

#[cfg(test)]
mod tests;
