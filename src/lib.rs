//! `cachekeep` keeps CI caches: it restores, seeds, gates and saves them, and deletes entries that are no longer useful.
//!
//! The rooms, in reading order; each uses only rooms above it (`ARCHITECTURE.md` tells why). Public are the vocabulary, archives,
//! stores with their conformance suite, and the command line; [`parts`] has what benchmarks and tests need of the others.

pub mod domain;

mod threads;

mod config;
mod fs;
mod platform;
mod transport;

mod inputs;

mod objects;

mod tree;

pub mod archive;
mod github;
mod report;

pub mod store;

mod command;

pub mod cli;

pub mod parts;
