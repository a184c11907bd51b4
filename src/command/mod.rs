//! One verb, one file: what each command does, whatever platform and store it runs on.
//!
//! [`context`] is what a job works with, [`cache`] a declared cache opened for it, [`session`] what commands on
//! several caches share. A command returns [`JobOutcome`](crate::domain::outcome::JobOutcome);
//! each cache has been reported by then.

pub mod context;
pub mod interrupt;

pub mod cache;
mod notes;
pub mod session;

mod materialize;
mod quarantine;
mod transport;

pub mod clean;
pub mod complete;
pub mod doctor;
pub mod env;
pub mod explain;
pub mod fetch;
pub mod gate;
pub mod key;
pub mod restore;
pub mod run;
pub mod save;
pub mod seed;
pub mod trim;
pub mod usage;
pub mod wrapped;
