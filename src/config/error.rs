//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use crate::domain::hint::Hint;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but hardly does what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// A place in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named by the caller.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The line itself; of a long one, the part around the place. Control characters are blanks.
    pub snippet: String,
    /// How many characters of the snippet come before the place.
    pub offset: usize,
    /// How many characters the place is wide, at least 1.
    pub width: usize,
}

/// One thing that is wrong, with its place and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one lower-case sentence.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
    /// Where it is; `None` for what was not read from a file.
    pub location: Option<Location>,
}

impl Finding {
    /// The rendered text without the word for its severity, for a log that has its own.
    pub fn body(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(&format!("{}: ", self.severity)).map_or(text.clone(), str::to_owned)
    }

    /// Sets the cure.
    pub(super) fn cure(&mut self, cure: impl Into<String>) {
        self.cure = Some(cure.into());
    }
}

/// Several lines of plain text in the manner of `rustc`, without a final line feed.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        let mut margin = String::new();
        if let Some(place) = &self.location {
            let line = place.line.to_string();
            margin = " ".repeat(line.len());
            write!(f, "\n{margin}--> {}:{line}:{}", place.file.display(), place.column)?;
            write!(f, "\n{margin} |\n{line} | {}", place.snippet)?;
            write!(f, "\n{margin} | {}{}", " ".repeat(place.offset), "^".repeat(place.width))?;
        }
        match &self.cure {
            Some(cure) => write!(f, "\n{margin} = help: {cure}"),
            None => Ok(()),
        }
    }
}

impl Hint for Finding {
    fn hint(&self) -> Option<String> {
        self.cure.clone()
    }
}

/// A configuration that cannot be used. Its text ends with all findings, rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.rendered())]
pub struct ConfigError {
    /// What was read: the file as the caller named it, or words for what was given instead of one.
    pub name: String,
    /// All that was found, warnings included, in the order of the file; at least one error.
    pub findings: Vec<Finding>,
}

impl ConfigError {
    /// The findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// One line without the findings: `cachekeep.toml has 2 errors`.
    pub fn summary(&self) -> String {
        match self.errors().count() {
            1 => format!("{} has an error", self.name),
            count => format!("{} has {count} errors", self.name),
        }
    }

    fn rendered(&self) -> String {
        let mut text = self.summary();
        for finding in &self.findings {
            text.push_str("\n\n");
            text.push_str(&finding.to_string());
        }
        text
    }
}

/// Each finding carries its own cure.
impl Hint for ConfigError {}
