//! The domain: pure values and the rules between them. No I/O, no clock, no environment.
//!
//! Read [`spec`] for what a configuration means, [`key`] to [`entry`] for how an entry is named and
//! found, [`content_link`] to [`sentinel`] for content-addressed caches, [`outcome`] for the results of a
//! command, and [`event`] for progress and messages while it runs.

pub mod unit;

pub mod dedup;
pub mod digest;
pub mod key;
pub mod template;
pub mod version;
pub mod written_paths;

pub(crate) mod cache_task;

pub mod recovery;
pub mod repository;
pub mod scope;

pub mod entry;
pub mod entry_filter;
pub mod thin;

pub mod content_link;
pub mod gate;
pub mod inventory;
pub mod sentinel;

pub mod kinds;
pub mod object_location;
pub mod spec;
pub mod trim;

pub mod clean;
pub mod freeable;
pub mod quota;
pub mod retention;
pub mod status;
pub mod volume;

pub mod explain;

pub mod event;
pub(crate) mod export;
pub mod fault;
pub mod finding;
pub mod hint;
pub mod names;
pub mod outcome;
pub mod path_pattern;
pub mod proposal;
pub mod secret;
pub(crate) mod shell;
pub mod shown;
pub(crate) mod trust;
pub(crate) mod url_user;
