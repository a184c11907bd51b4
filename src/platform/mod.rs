//! The platform that the job runs on: environment, facts of the job, and the syntax of its log.
//!
//! [`mod@env`] is the only place that reads the environment; [`mod@detect`] turns it into a [`Platform`], which hides
//! the differences between GitHub Actions, Azure Pipelines and a laptop from everything else.

pub(crate) mod azure_pipelines;
mod contract;
pub(crate) mod detect;
pub(crate) mod env;
pub(crate) mod facts;
pub(crate) mod git;
pub(crate) mod github_actions;
pub(crate) mod gitlab;
pub(crate) mod limits;
pub(crate) mod plain;
pub(crate) mod programs;
mod user;

pub(crate) use contract::{Platform, level_word};
pub(crate) use detect::detect;
pub use env::Env;
pub(crate) use facts::{JobFacts, JobStatus, UNKNOWN_REF_CURE};
