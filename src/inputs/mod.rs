//! What keys are made of: files of the checkout, git's index and content links.
//!
//! [`globs`] finds files by pattern; [`files`], [`git`] and [`mod@hash_files`] make digests of them, and [`links`] reads
//! the content links among them.

#![expect(clippy::disallowed_methods, reason = "this room reads files of the checkout")]

pub mod files;
pub mod git;
pub mod globs;
pub mod hash_files;
pub mod links;
