//! Content-addressed caches: objects, where they lie, and the proof that they are what their names say.
//!
//! Read [`layout`] for where an object lies, [`hash`] and [`unixfs`] for its proof, and [`inventory`] for
//! what a cache holds, and [`merge`] for how verified objects enter it.

#![expect(clippy::disallowed_methods, reason = "this room reads and writes objects")]

pub(crate) mod layout;

pub(crate) mod hash;
pub(crate) mod proofs;
pub mod unixfs;

pub(crate) mod inventory;
pub(crate) mod sentinel;
pub(crate) mod verified;

pub(crate) mod merge;
pub(crate) mod remove;
