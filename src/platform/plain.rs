//! A laptop, or a CI without special log syntax: plain lines.

use std::io;

use super::{JobFacts, Platform, level_word};
use crate::domain::event::Level;
use crate::domain::secret::Secret;
use crate::domain::shown::Shown;

/// A platform with a plain text log.
pub(crate) struct Plain {
    facts: JobFacts,
}

impl Plain {
    /// A plain platform with these facts.
    pub(crate) fn new(facts: JobFacts) -> Self {
        Plain { facts }
    }
}

impl Platform for Plain {
    fn facts(&self) -> &JobFacts {
        &self.facts
    }

    fn group_start(&self, _title: &Shown) -> Option<String> {
        None
    }

    fn group_end(&self) -> Option<String> {
        None
    }

    fn message(&self, level: Level, text: &Shown) -> String {
        format!("{}{text}", level_word(level))
    }

    fn export(&self, _name: &str, _value: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn mask(&self, _secret: &Secret) -> Option<String> {
        None
    }

    fn output(&self, _name: &str, _value: &str) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn summary(&self, _markdown: &str) -> io::Result<Option<String>> {
        Ok(None)
    }
}
