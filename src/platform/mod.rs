//! The platform that the job runs on: environment, facts of the job, and the syntax of its log.
//!
//! [`mod@env`] is the only place that reads the environment; [`mod@detect`] turns it into a [`Platform`], which hides
//! the differences between GitHub Actions, Azure Pipelines and a laptop from everything else.

pub mod azure_pipelines;
mod contract;
pub mod detect;
pub mod env;
pub mod facts;
pub mod git;
pub mod github_actions;
pub mod gitlab;
pub mod plain;
pub mod programs;
mod user;

pub use contract::{Platform, level_word};
pub use detect::detect;
pub use env::Env;
pub use facts::JobFacts;
