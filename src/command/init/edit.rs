//! Changes of a text by ranges of bytes. What lies outside of them stays as it is.

use std::ops::Range;

use crate::command::pipelines::yaml::Node;

/// A range of bytes and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Edit {
    /// Puts a text in the place of a range.
    pub(super) fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        Edit { range, text: text.into() }
    }

    /// Puts a text before what is at an offset.
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Self {
        Edit::replace(at..at, text)
    }
}

/// The text with all edits made. Those at one place are made in their order; `None` if two overlap.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> Option<String> {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut changed = String::with_capacity(text.len());
    let mut at = 0;
    for edit in &edits {
        changed.push_str(text.get(at..edit.range.start)?);
        changed.push_str(&edit.text);
        at = edit.range.end;
    }
    changed.push_str(text.get(at..)?);
    Some(changed)
}

/// Lines and columns of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'a> {
    pub(super) text: &'a str,
    /// What ends its lines.
    pub(super) newline: &'static str,
}

impl<'a> Layout<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let is_windows = text.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r'));
        Layout { text, newline: if is_windows { "\r\n" } else { "\n" } }
    }

    /// Where the line of an offset starts.
    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Where the line of an offset ends, before its newline.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        if self.text[at..end].ends_with('\r') { end - 1 } else { end }
    }

    /// Where the line after that of an offset starts.
    fn next_line(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }

    /// What stands before an offset in its line.
    pub(super) fn before(&self, at: usize) -> &'a str {
        &self.text[self.line_start(at)..at]
    }

    /// The blanks that begin a line with fields in the column of an offset.
    pub(super) fn indentation(&self, at: usize) -> String {
        " ".repeat(self.before(at).chars().count())
    }

    /// The dash before an item of a block sequence: what stands before it in its line. `None` if the item begins elsewhere.
    pub(super) fn dash(&self, item: &Node) -> Option<&'a str> {
        let before = self.before(item.place.start);
        let margin = before.trim_end().strip_suffix('-')?;
        margin.trim().is_empty().then_some(margin)
    }

    /// Lines in the column of a field, from the second on with its indentation.
    pub(super) fn lines(&self, at: usize, lines: &[String]) -> String {
        lines.join(&format!("{}{}", self.newline, self.indentation(at)))
    }

    /// Puts lines below what ends at an offset, after a comment behind it.
    pub(super) fn below(&self, end: usize, margin: &str, lines: &[String]) -> Edit {
        let text: String = lines
            .iter()
            .map(|line| match line.as_str() {
                "" => self.newline.to_owned(),
                line => format!("{}{margin}{line}", self.newline),
            })
            .collect();
        Edit::insert(self.line_end(end), text)
    }

    /// Takes out whole lines. What is put below them comes in their place.
    pub(super) fn without_lines(&self, start: usize, end: usize) -> Edit {
        let range = match self.line_start(start).checked_sub(self.newline.len()) {
            Some(newline) => newline..self.line_end(end),
            None => 0..self.next_line(end),
        };
        Edit::replace(range, "")
    }

    /// The same with a blank line before them.
    pub(super) fn without_block(&self, start: usize, end: usize) -> Edit {
        let mut edit = self.without_lines(start, end);
        let before = &self.text[..edit.range.start];
        if before.ends_with('\n') {
            edit.range.start -= self.newline.len();
        }
        edit
    }

    /// Takes out a field of a block mapping with its lines. A comment behind it stays.
    pub(super) fn without(&self, (key, value): &(Node, Node)) -> Edit {
        let end = value.end.max(key.end);
        let behind = &self.text[end..self.line_end(end)];
        let before = self.before(key.place.start);
        let is_alone = before.trim().is_empty();
        if is_alone && behind.trim().is_empty() {
            return self.without_lines(key.place.start, end);
        }
        if behind.trim().is_empty() {
            // Behind a dash: the next field takes its place.
            let next = self.next_line(end);
            let blanks = self.text[next..].len() - self.text[next..].trim_start_matches(' ').len();
            return Edit::replace(key.place.start..next + blanks, "");
        }
        let blanks = behind.len() - behind.trim_start().len();
        Edit::replace(key.place.start..end + blanks, "")
    }
}

/// A scalar, in quotes where YAML would take it for something else.
pub(super) fn quoted(text: &str) -> String {
    let begins =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || "(./".contains(c)) || text.starts_with("~/");
    let is_plain = begins
        && text.contains(|c: char| c.is_ascii_alphabetic())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Puts fields in the place of those of a block mapping that go.
pub(super) fn replace_fields(
    layout: Layout<'_>,
    mapping: &Node,
    goes: impl Fn(&(Node, Node)) -> bool,
    fields: &[Vec<String>],
    edits: &mut Vec<Edit>,
) {
    let old: Vec<&(Node, Node)> = mapping.fields().iter().filter(|field| goes(field)).collect();
    for (at, field) in old.iter().enumerate() {
        let (start, end) = (field.0.place.start, field.1.end);
        let is_last = at + 1 == old.len();
        let new = match fields.get(at..) {
            Some(rest) if is_last => rest.concat(),
            Some([first, ..]) => first.clone(),
            _ => Vec::new(),
        };
        if new.is_empty() {
            edits.push(layout.without(field));
        } else {
            edits.push(Edit::replace(start..end, layout.lines(start, &new)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::pipelines::yaml;

    #[test]
    fn edits_change_their_ranges_alone() {
        let edits = vec![Edit::insert(3, "x"), Edit::replace(0..1, ""), Edit::insert(3, "y")];
        assert_eq!(apply("abcdef", edits).as_deref(), Some("bcxydef"));
        let overlapping = vec![Edit::replace(0..3, ""), Edit::replace(2..4, "")];
        assert_eq!(apply("abcdef", overlapping), None);
    }

    #[test]
    fn a_field_goes_with_its_lines_and_a_comment_stays() {
        let text = "with:\n  a: 1\n  b: |\n    x\n    y\n  # c\n  d: 2 # e\n  f: 3\n";
        let root = yaml::read(text).expect("YAML").expect("a document");
        let with = root.get("with").expect("with").fields();
        let layout = Layout::of(text);
        let without = |at: usize| apply(text, vec![layout.without(&with[at])]).expect("no overlap");
        assert_eq!(without(0), text.replace("  a: 1\n", ""));
        assert_eq!(without(1), text.replace("  b: |\n    x\n    y\n", ""));
        assert_eq!(without(2), text.replace("d: 2 # e", "# e"));
        assert_eq!(layout.dash(&with[0].1), None);
    }

    #[test]
    fn lines_end_as_in_the_text() {
        let text = "a:\r\n  - b: 1 # c\r\n";
        let root = yaml::read(text).expect("YAML").expect("a document");
        let item = &root.get("a").expect("a").items()[0];
        let layout = Layout::of(text);
        assert_eq!(layout.dash(item), Some("  "));
        let edit = layout.below(item.end, "  ", &["- d: 2".to_owned()]);
        assert_eq!(apply(text, vec![edit]).as_deref(), Some("a:\r\n  - b: 1 # c\r\n  - d: 2\r\n"));
    }
}
