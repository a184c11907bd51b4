//! The collector of findings, and their locations in the text.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::error::{ConfigError, Finding, Location, Severity};
use super::loaded::Loaded;
use crate::domain::spec::Spec;

/// A string of the configuration with its byte range, which is not meaningful unless it was read from a file.
pub(super) type Text = Spanned<String>;

/// A text that was not read from a file.
pub(super) fn placeless(text: impl Into<String>) -> Text {
    Spanned::new(0..0, text.into())
}

/// Maximum characters of a line in a snippet.
const SNIPPET: usize = 120;

/// Characters shown before the place in a line that is too long.
const LEAD: usize = 40;

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
        let location = self.source.map(|(file, text)| locate(file, text, place));
        self.found.push((place.start, Finding { severity, message, hint: None, location }));
        let (_, finding) = self.found.last_mut().expect("pushed just now");
        finding
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

/// Line, column and snippet of a range of bytes; a range outside of the text is moved to its end.
fn locate(file: &Path, text: &str, place: &Range<usize>) -> Location {
    let start = (0..=place.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (before, after) = text.split_at(start);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = after.find('\n').map_or(text.len(), |at| start + at);
    let shown: Vec<char> = text[line_start..line_end]
        .trim_end_matches('\r')
        .trim_start_matches('\u{feff}')
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let prefix = before[line_start..].trim_start_matches('\u{feff}').chars().count().min(shown.len());
    let end = place.end.clamp(start, line_end);
    let width = text.get(start..end).unwrap_or("").trim_end().chars().count();
    let first = if shown.len() > SNIPPET { prefix.saturating_sub(LEAD) } else { 0 };
    let last = shown.len().min(first + SNIPPET);
    let mut snippet: String = shown[first..last].iter().collect();
    let mut offset = prefix - first;
    if first > 0 {
        snippet.insert(0, '…');
        offset += 1;
    }
    if last < shown.len() {
        snippet.push('…');
    }
    Location {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: prefix + 1,
        width: width.clamp(1, (last - first).saturating_sub(prefix - first).max(1)),
        snippet: snippet.trim_end().to_owned(),
        offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_and_lines() {
        let check = |text: &str, range: Range<usize>, line, column, width| {
            let found = locate(Path::new("f"), text, &range);
            assert_eq!((found.line, found.column, found.width), (line, column, width), "{text:?} {range:?}");
        };
        check("ab\ncd", 3..5, 2, 1, 2);
        check("ü = 1", 3..5, 1, 3, 1);
        check("ab\r\ncd", 1..6, 1, 2, 1);
        check("ab", 9..12, 1, 3, 1);
        check("", 0..0, 1, 1, 1);
        check("ü", 1..2, 1, 1, 1);
        check("\u{feff}a", 3..4, 1, 1, 1);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let found = locate(Path::new("f"), &text, &(500..501));
        assert_eq!(found.snippet.chars().nth(found.offset), Some('X'));
        assert!(found.snippet.chars().count() <= SNIPPET + 2);
        assert_eq!(found.column, 501);
    }
}
