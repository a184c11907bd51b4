//! `cachekeep` keeps CI caches: it restores, seeds, gates and saves them, and cleans what nobody needs.
//!
//! The rooms, in reading order; each uses only rooms above it (`ARCHITECTURE.md` tells why):

pub mod domain;

pub mod archive;
pub mod cli;
pub mod command;
pub mod config;
pub mod fs;
pub mod github;
pub mod inputs;
pub mod objects;
pub mod platform;
pub mod report;
pub mod store;
pub mod transport;
pub mod tree;
