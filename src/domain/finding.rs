//! Findings: problems in files that people write, with location and hint.

use std::fmt;
use std::ops::Range;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use super::hint::Hint;

/// Maximum characters of a line in a snippet.
const SNIPPET: usize = 120;

/// Characters shown before the place in a line that is too long.
const LEAD: usize = 40;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It cannot work.
    Error,
    /// It works, but probably does not do what was intended.
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

/// A place in a file.
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

impl Location {
    /// Line, column and snippet of a range of bytes; a range outside of the text is moved to its end. The file is named with
    /// `/` on every system, as CIs name files.
    pub fn of(file: &Path, text: &str, place: &Range<usize>) -> Self {
        let start =
            (0..=place.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
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
            file: with_slashes(file),
            line: before.matches('\n').count() + 1,
            column: prefix + 1,
            width: width.clamp(1, (last - first).saturating_sub(prefix - first).max(1)),
            snippet: snippet.trim_end().to_owned(),
            offset,
        }
    }
}

fn with_slashes(file: &Path) -> PathBuf {
    if MAIN_SEPARATOR == '/' {
        return file.to_owned();
    }
    PathBuf::from(file.to_string_lossy().replace(MAIN_SEPARATOR, "/"))
}

/// A problem in a file that people write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule that is broken: lower-case words joined by `-`.
    pub rule: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// The problem, as one lower-case sentence.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// Its location; `None` if it was not read from a file.
    pub location: Option<Location>,
}

impl Finding {
    /// The rendered text without the severity, for logs that add their own.
    pub fn body(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(&format!("{}: ", self.severity)).map_or(text.clone(), str::to_owned)
    }

    /// Sets the hint.
    pub fn with_hint(&mut self, hint: impl Into<String>) {
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

/// What `check` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOutcome {
    /// How many files were checked.
    pub files: usize,
    /// What is wrong with them, file by file.
    pub findings: Vec<Finding>,
}

impl CheckOutcome {
    /// Whether something cannot work.
    pub fn has_error(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_and_lines() {
        let check = |text: &str, range: Range<usize>, line, column, width| {
            let found = Location::of(Path::new("f"), text, &range);
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
        let found = Location::of(Path::new("f"), &text, &(500..501));
        assert_eq!(found.snippet.chars().nth(found.offset), Some('X'));
        assert!(found.snippet.chars().count() <= SNIPPET + 2);
        assert_eq!(found.column, 501);
    }
}
