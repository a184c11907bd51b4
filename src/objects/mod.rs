//! Content-addressed caches: objects, where they lie, and the proof that they are what their names say.
//!
//! Read [`layout`] for where an object lies, [`hash`] and [`unixfs`] for its proof, [`inventory`] and [`sampling`] for
//! what a cache holds, and [`merge`] for how verified objects enter it.

#![expect(clippy::disallowed_methods, reason = "this room reads and writes objects")]

pub mod layout;

pub mod hash;
pub mod proofs;
pub mod unixfs;

pub mod inventory;
pub mod sampling;
pub mod verified;

pub mod merge;
pub mod remove;
