//! One verb, one file: what each command does, whatever platform and store it runs on.
//!
//! [`context`] is what a job works with, [`cache`] a declared cache opened for it, [`session`] what commands on
//! several caches share. A command returns [`JobOutcome`](crate::domain::outcome::JobOutcome);
//! each cache has been reported by then.

pub(crate) mod check;
pub(crate) mod child;
pub(crate) mod context;
pub(crate) mod interrupt;

pub(crate) mod cache;
mod notes;
pub(crate) mod session;

mod materialize;

pub(crate) mod clean;
pub(crate) mod complete;
pub(crate) mod dedup;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod explain;
pub(crate) mod fetch;
pub(crate) mod gate;
mod generations;
pub(crate) mod hold;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod listing;
mod lookup;
pub(crate) mod other_paths;
mod pipelines;
pub(crate) mod process_group;
pub(crate) mod quota;
pub(crate) mod recover;
pub(crate) mod restore;
pub(crate) mod room;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod script;
pub(crate) mod seed;
pub(crate) mod status;
mod tools;
pub(crate) mod trim;
pub(crate) mod usage;
pub(crate) mod wrapped;
