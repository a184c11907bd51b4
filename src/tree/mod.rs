//! What belongs to a cache: the trees below its roots.
//!
//! Read [`selection`] and [`walk`] for which files belong to a cache, [`leftovers`] for names that never do,
//! [`fingerprint`] for telling whether a tree changed, [`mod@trim`] for making it
//! smaller, and [`mod@dedup`] for equal files that share their bytes.

#![expect(clippy::disallowed_methods, reason = "this room reads and changes the trees of caches")]

pub(crate) mod selection;
pub(crate) mod unnamed;
pub(crate) mod walk;

pub(crate) mod changing;
pub(crate) mod dedup;
pub(crate) mod fingerprint;
pub(crate) mod hard_links;
pub(crate) mod hashed;
pub(crate) mod leftovers;
pub(crate) mod narrow;
pub(crate) mod plain_files;
pub(crate) mod size;
pub(crate) mod trim;
