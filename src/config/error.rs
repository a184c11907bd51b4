//! Findings: problems in a configuration, with location and hint.

use std::fmt;
use std::path::PathBuf;

use crate::domain::hint::Hint;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but probably does not do what was intended.
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
    /// The file name, as given by the caller.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line, or an excerpt of a long one. Control characters are replaced by blanks.
    pub snippet: String,
    /// Offset of the place in the snippet, in characters.
    pub offset: usize,
    /// Width of the place in characters, at least 1.
    pub width: usize,
}

/// A problem in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// The problem, as one lower-case sentence.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// Its location; `None` if the configuration was not read from a file.
    pub location: Option<Location>,
}

impl Finding {
    /// The rendered text without the severity, for logs that add their own.
    pub fn body(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(&format!("{}: ", self.severity)).map_or(text.clone(), str::to_owned)
    }

    /// Sets the hint.
    pub(super) fn with_hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}

/// Several lines of plain text in the style of `rustc`, without a trailing newline.
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
        match &self.hint {
            Some(hint) => write!(f, "\n{margin} = hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Finding {}

impl Hint for Finding {
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// A configuration with errors. Displays a summary and all findings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.rendered())]
pub struct ConfigError {
    /// The file name as given by the caller, or a description of the inputs that replace a file.
    pub name: String,
    /// All findings, including warnings, in the order of the file; at least one is an error.
    pub findings: Vec<Finding>,
}

impl ConfigError {
    /// The findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// One line without the findings, such as `cachekeep.toml has 2 errors`.
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

/// Each finding has its own hint.
impl Hint for ConfigError {}
