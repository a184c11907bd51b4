//! What every platform provides.

use std::io;
use std::path::Path;

use super::facts::JobFacts;
use crate::domain::event::Level;
use crate::domain::secret::Secret;
use crate::domain::shown::Shown;

/// A CI platform, or a plain machine: facts about the job, and how to write to its log and its runner.
pub(crate) trait Platform: Send + Sync {
    /// Facts about the job.
    fn facts(&self) -> &JobFacts;

    /// The line that starts a collapsible group of the log; `None` if the log has no groups.
    fn group_start(&self, title: &Shown) -> Option<String>;

    /// The line that ends it.
    fn group_end(&self) -> Option<String>;

    /// Formats a message for the log, as an annotation if the platform has them. The dialect adds its own command and
    /// escapes the text as a value of it.
    fn message(&self, level: Level, text: &Shown) -> String;

    /// The line that tells how far a step is, in percent, and with what; `None` if the platform shows no progress.
    fn progress(&self, _percent: u64, _text: &Shown) -> Option<String> {
        None
    }

    /// Sets an environment variable for later steps. Returns the line to print if the platform reads it from the log.
    fn export(&self, name: &str, value: &str) -> io::Result<Option<String>>;

    /// Puts a directory on the PATH of later steps. Returns the line to print if the platform reads it from the log.
    fn add_to_path(&self, _directory: &Path) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// The name that an exported variable has in the environment of later steps.
    fn exported_name(&self, name: &str) -> String {
        name.to_owned()
    }

    /// The line that masks a secret in the rest of the job's log; `None` if the platform cannot mask. The secret is a
    /// single line of text.
    fn mask(&self, secret: &Secret) -> Option<String>;

    /// Sets an output of this step. Returns the line to print if the platform reads it from the log.
    fn output(&self, name: &str, value: &str) -> io::Result<Option<String>>;

    /// Appends Markdown to the summary of this step. Returns the line to print if the platform reads it from the log.
    fn summary(&self, markdown: &str) -> io::Result<Option<String>>;
}

/// The prefix of a message in a plain log. The severity is never conveyed by color alone.
pub(crate) fn level_word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug: ",
        Level::Info => "",
        Level::Warning => "warning: ",
        Level::Error => "error: ",
    }
}
