//! `cachekeep` keeps CI caches: it restores, seeds, gates and saves them, and deletes entries that are no longer useful.
//!
//! The rooms, in reading order; each uses only rooms above it (`ARCHITECTURE.md` tells why):

pub mod domain;

pub mod config;
pub mod fs;
pub mod platform;
pub mod transport;

pub mod inputs;

pub mod objects;

pub mod tree;

pub mod archive;
pub mod github;
pub mod report;

pub mod store;

mod command;

pub mod cli;
