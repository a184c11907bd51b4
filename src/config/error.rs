//! A configuration that cannot be used.

use crate::domain::finding::{Finding, Severity};
use crate::domain::hint::Hint;

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
