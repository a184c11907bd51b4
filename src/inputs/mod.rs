//! The checkout: what keys are made of (files, git's index and content links), and which of its files git tracks.
//!
//! [`globs`] finds files by pattern; [`files`], [`git`] and [`mod@hash_files`] make digests of them, and [`links`] reads
//! the content links among them. [`tool`] asks programs for their versions. [`tracked`] lists the files that are work, which no cache replaces.

#![expect(clippy::disallowed_methods, reason = "this room reads files of the checkout")]

pub(crate) mod files;
pub(crate) mod git;
pub(crate) mod globs;
pub(crate) mod hash_files;
pub(crate) mod links;
pub(crate) mod tool;
pub(crate) mod tracked;
