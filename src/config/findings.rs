//! The collector of findings, and their locations in the text.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::error::ConfigError;
use super::loaded::Loaded;
use crate::domain::finding::{Finding, Location, Severity};
use crate::domain::spec::Spec;

/// A string of the configuration with its byte range, which is not meaningful unless it was read from a file.
pub(super) type Text = Spanned<String>;

/// A text that was not read from a file.
pub(super) fn placeless(text: impl Into<String>) -> Text {
    Spanned::new(0..0, text.into())
}

/// The rule of everything that is wrong in a configuration.
const RULE: &str = "configuration";

/// The findings so far.
pub(super) struct Findings<'a> {
    name: String,
    /// File name and text; `None` for inputs.
    source: Option<(&'a Path, &'a str)>,
    found: Vec<(usize, Finding)>,
}

impl<'a> Findings<'a> {
    /// A collector for the text of a file.
    pub(super) fn of_file(name: &'a Path, text: &'a str) -> Self {
        Findings { name: name.display().to_string(), source: Some((name, text)), found: Vec::new() }
    }

    /// A collector for arguments of the command line or inputs of a step.
    pub(super) fn of_inputs(name: &str) -> Self {
        Findings { name: name.to_owned(), source: None, found: Vec::new() }
    }

    /// Whether the configuration comes from inputs. These are written for actions/cache, so what it accepts is at
    /// most a warning.
    pub(super) fn lenient(&self) -> bool {
        self.source.is_none()
    }

    /// Adds an error.
    pub(super) fn error(&mut self, place: &Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, place, message.into())
    }

    /// Adds a warning.
    pub(super) fn warning(&mut self, place: &Range<usize>, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, place, message.into())
    }

    fn add(&mut self, severity: Severity, place: &Range<usize>, message: String) -> &mut Finding {
        let location = self.location(place);
        self.found.push((place.start, Finding { rule: RULE, severity, message, hint: None, location }));
        let (_, finding) = self.found.last_mut().expect("pushed just now");
        finding
    }

    /// Where a range of bytes is in the file, if there is one.
    pub(super) fn location(&self, place: &Range<usize>) -> Option<Location> {
        self.source.map(|(file, text)| Location::of(file, text, place))
    }

    /// The place of `part` in a string, or the whole string if it is not found because of escapes.
    pub(super) fn place_of(&self, whole: &Range<usize>, part: &str) -> Range<usize> {
        self.source
            .and_then(|(_, text)| text.get(whole.clone()))
            .and_then(|written| written.find(part))
            .map_or_else(|| whole.clone(), |at| whole.start + at..whole.start + at + part.len())
    }

    /// The specification, unless there is an error.
    pub(super) fn into_result(self, spec: Spec) -> Result<Loaded, ConfigError> {
        if self.found.iter().any(|(_, finding)| finding.severity == Severity::Error) {
            return Err(self.into_error());
        }
        Ok(Loaded { spec, warnings: self.into_error().findings })
    }

    /// All findings as an error.
    pub(super) fn into_error(mut self) -> ConfigError {
        self.found.sort_by_key(|(at, _)| *at);
        let findings = self.found.into_iter().map(|(_, finding)| finding).collect();
        ConfigError { name: self.name, findings }
    }
}
