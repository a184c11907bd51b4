//! The parts of a key, and which of them differ from another key.

use std::collections::HashSet;

use crate::domain::key::Key;
use crate::domain::template::{Piece, Template};

/// A key split into literals and the values of placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShape(Vec<KeyFragment>);

/// A literal or the value of a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyFragment {
    /// The placeholder that it came from, as written; `None` for literal text.
    placeholder: Option<String>,
    text: String,
}

/// A part whose value differs between two keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDifference {
    /// The placeholder as written, or a description of the position.
    pub part: String,
    /// Its value in the requested key; empty if the part is absent.
    pub here: String,
    /// Its value in the other key; empty if the part is absent.
    pub there: String,
}

/// Separators that split a key without a known template into segments.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '_' | '.' | ':' | '/' | '|' | '+' | ' ')
}

impl KeyShape {
    /// The shape of an expanded template; `values` are those of its placeholders, in order.
    pub fn of_template<'a>(template: &Template, values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut values = values.into_iter();
        let part = |piece: &Piece| match piece {
            Piece::Literal(text) => KeyFragment { placeholder: None, text: text.clone() },
            Piece::Placeholder(placeholder) => KeyFragment {
                placeholder: Some(placeholder.to_string()),
                text: values.next().unwrap_or_default().to_owned(),
            },
        };
        KeyShape(template.pieces().iter().map(part).collect())
    }

    /// The shape of a key without a known template.
    pub fn of_key(key: &Key) -> Self {
        KeyShape(vec![KeyFragment { placeholder: None, text: key.as_str().to_owned() }])
    }

    fn text(&self) -> String {
        self.0.iter().map(|part| part.text.as_str()).collect()
    }

    /// Whether another key looks like a generation of the same thing: it fits the template, or the common prefix of
    /// whole segments makes up at least a third of the shorter key.
    pub fn resembles(&self, other: &Key) -> bool {
        let has_fixed_text = self.0.iter().any(|part| part.placeholder.is_none());
        if has_fixed_text && self.0.len() > 1 && self.align(other.as_str()).is_some() {
            return true;
        }
        let own = self.text();
        let common: usize = own
            .chars()
            .zip(other.as_str().chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        let end = own[..common].rfind(is_separator).map_or(0, |at| at + 1);
        end * 3 >= own.len().min(other.as_str().len()) && end > 0
    }

    /// The parts that differ: by placeholder if the other key fits this shape, otherwise by position.
    pub fn difference(&self, other: &Key) -> Vec<PartDifference> {
        if let Some(values) = self.align(other.as_str()) {
            let placeholders = self.0.iter().filter(|part| part.placeholder.is_some());
            let differing = placeholders.zip(values).filter(|(part, there)| part.text != *there);
            return differing
                .map(|(part, there)| PartDifference {
                    part: part.placeholder.clone().unwrap_or_default(),
                    here: part.text.clone(),
                    there: there.to_owned(),
                })
                .collect();
        }
        by_position(&self.text(), other.as_str())
    }

    /// The values of the placeholders in another key, if it fits this shape.
    fn align<'a>(&self, other: &'a str) -> Option<Vec<&'a str>> {
        if self.0.iter().all(|part| part.placeholder.is_none()) {
            return None;
        }
        let mut values = Vec::new();
        align(&self.0, other, 0, &mut values, &mut HashSet::new()).then_some(values)
    }
}

/// Matches parts against `text[at..]` by backtracking. A placeholder is tried with its own value first, then with the
/// shortest. `dead` records failed states, which keeps the work polynomial for any key.
fn align<'a>(
    parts: &[KeyFragment],
    text: &'a str,
    at: usize,
    values: &mut Vec<&'a str>,
    dead: &mut HashSet<(usize, usize)>,
) -> bool {
    let Some((first, rest)) = parts.split_first() else { return at == text.len() };
    if dead.contains(&(parts.len(), at)) {
        return false;
    }
    let found = if first.placeholder.is_none() {
        text[at..].starts_with(&first.text) && align(rest, text, at + first.text.len(), values, dead)
    } else {
        let same = text[at..].starts_with(&first.text).then_some(at + first.text.len());
        let ends = text[at..].char_indices().map(|(offset, c)| at + offset + c.len_utf8());
        same.into_iter().chain(ends).any(|end| {
            values.push(&text[at..end]);
            let found = align(rest, text, end, values, dead);
            if !found {
                values.pop();
            }
            found
        })
    };
    if !found {
        dead.insert((parts.len(), at));
    }
    found
}

/// The segments in which two keys differ, without common leading and trailing segments.
fn by_position(own: &str, other: &str) -> Vec<PartDifference> {
    let segments = |text: &str| -> Vec<String> { text.split(is_separator).map(str::to_owned).collect() };
    let (own, other) = (segments(own), segments(other));
    if own.len() == other.len() {
        let pairs = own.iter().zip(&other).enumerate().filter(|(_, (here, there))| here != there);
        let difference = |(index, (here, there)): (usize, (&String, &String))| PartDifference {
            part: format!("segment {} of {}", index + 1, own.len()),
            here: here.clone(),
            there: there.clone(),
        };
        return pairs.map(difference).collect();
    }
    let before = own.iter().zip(&other).take_while(|(here, there)| here == there).count();
    let most = own.len().min(other.len()) - before;
    let after =
        own.iter().rev().zip(other.iter().rev()).take(most).take_while(|(here, there)| here == there).count();
    let middle = |segments: &[String]| segments[before..segments.len() - after].join("-");
    vec![PartDifference {
        part: format!("what follows segment {before}"),
        here: middle(&own),
        there: middle(&other),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(template: &str, values: &[&str]) -> KeyShape {
        KeyShape::of_template(&Template::parse(template).expect(template), values.iter().copied())
    }

    fn difference(shape: &KeyShape, other: &str) -> Vec<(String, String, String)> {
        let found = shape.difference(&Key::new(other).expect(other));
        found.into_iter().map(|d| (d.part, d.here, d.there)).collect()
    }

    fn row(part: &str, here: &str, there: &str) -> (String, String, String) {
        (part.to_owned(), here.to_owned(), there.to_owned())
    }

    #[test]
    fn placeholders_that_differ_are_named() {
        let shape = shape("c-{os}-{var.v}-{sha}", &["linux", "debug", "aaaa"]);
        assert_eq!(difference(&shape, "c-linux-debug-bbbb"), [row("{sha}", "aaaa", "bbbb")]);
        assert_eq!(
            difference(&shape, "c-macos-debug-bbbb"),
            [row("{os}", "linux", "macos"), row("{sha}", "aaaa", "bbbb")]
        );
        // A value with separators in it does not shift the parts before it.
        assert_eq!(difference(&shape, "c-linux-debug-x-y"), [row("{sha}", "aaaa", "x-y")]);
    }

    #[test]
    fn where_no_template_explains_a_key_its_segments_are_counted() {
        let check = |own: &str, other: &str, expect: &[(String, String, String)]| {
            assert_eq!(difference(&KeyShape::of_key(&Key::new(own).expect(own)), other), expect);
        };
        check("a-b-1", "a-b-2", &[row("segment 3 of 3", "1", "2")]);
        check("a-b-1", "a-b-x-1", &[row("what follows segment 2", "", "x")]);
        check("a-a", "a-a-a", &[row("what follows segment 2", "", "a")]);
        let other = shape("v2-{os}", &["linux"]);
        assert_eq!(difference(&other, "v1-linux"), [row("segment 1 of 2", "v2", "v1")]);
    }

    #[test]
    fn generations_of_the_same_thing_resemble_each_other() {
        let check = |shape: &KeyShape, other: &str, expect: bool| {
            assert_eq!(shape.resembles(&Key::new(other).expect(other)), expect, "{other}");
        };
        let declared = shape("data-v1-{links}", &["abc"]);
        check(&declared, "data-v1-def", true);
        check(&declared, "data-v2-def", true);
        check(&declared, "ccache-v1-abc", false);
        let plain = KeyShape::of_key(&Key::new("npm-linux-0123").expect("a key"));
        check(&plain, "npm-linux-4567", true);
        check(&plain, "npm", false);
        check(&plain, "cargo-linux-0123", false);
    }

    #[test]
    fn hostile_keys_are_compared_in_reasonable_time() {
        let template = "{var.a}-{var.b}-{var.c}-{var.d}-{var.e}-{var.f}-{var.g}x";
        let shape = shape(template, &["a", "a", "a", "a", "a", "a", "a"]);
        assert!(!difference(&shape, &"a-".repeat(255)).is_empty());
    }
}
