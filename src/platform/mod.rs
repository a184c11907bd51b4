//! Where this runs: environment, facts of the job, and the dialect its log speaks.
//!
//! [`mod@env`] is the only place that reads the environment; [`mod@detect`] turns it into a [`Platform`], which
//! is all that the rooms to the right know of GitHub Actions, Azure Pipelines or a laptop.

pub mod azure_pipelines;
pub mod detect;
pub mod env;
pub mod facts;
pub mod git;
pub mod github_actions;
pub mod plain;
pub mod programs;

use std::io;

use crate::domain::event::Level;
use crate::domain::secret::Secret;

pub use detect::detect;
pub use env::Env;
pub use facts::Facts;

/// A place that runs jobs: what it knows of this one, and how to speak to it.
pub trait Platform: Send + Sync {
    /// What is known of the job.
    fn facts(&self) -> &Facts;

    /// The line that opens a foldable group of the log; none where the log has no groups.
    fn group_start(&self, title: &str) -> Option<String>;

    /// The line that closes it.
    fn group_end(&self) -> Option<String>;

    /// A message as the log wants it: annotations where the platform has them. The text may be foreign:
    /// it never forges a command.
    fn message(&self, level: Level, text: &str) -> String;

    /// Sets a variable for the steps that follow. Returns a line to print, where that is how it is done.
    fn export(&self, name: &str, value: &str) -> io::Result<Option<String>>;

    /// The line that keeps a secret out of the rest of the job's log; none where the log cannot. One secret is one
    /// line of text.
    fn mask(&self, secret: &Secret) -> Option<String>;

    /// Sets an output of this step. Returns a line to print, where that is how it is done.
    fn output(&self, name: &str, value: &str) -> io::Result<Option<String>>;

    /// Adds Markdown to the summary of this step. Returns a line to print, where that is how it is done.
    fn summary(&self, markdown: &str) -> io::Result<Option<String>>;
}

/// The word before a message on a plain log; color never carries this meaning alone.
pub fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug: ",
        Level::Info => "",
        Level::Warning => "warning: ",
        Level::Error => "error: ",
    }
}
