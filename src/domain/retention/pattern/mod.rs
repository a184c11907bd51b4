//! Key patterns: which keys are generations of the same thing.
//!
//! `ccache-v4-linux-<commit>` of two commits are two generations; `ccache-v4-linux` and `ccache-v4-macos`
//! are different things. A pattern is the key with its changing parts replaced by `*`. The changing parts are
//! recognized by the key templates of the configuration, or else by their shape (`shape.rs`). In doubt a part is
//! taken as fixed: a generation too many costs bytes, one too few costs a build.

mod shape;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;

use self::shape::{ShapePart, Variation};
use crate::domain::key::Key;
use crate::domain::template::{Placeholder, Template};

/// A key with its changing parts replaced by `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    text: String,
    comes_back: bool,
}

impl Pattern {
    /// The pattern of a key: from the matching declared pattern with the most literal text, otherwise from its shape.
    pub fn of(key: &Key, declared: &[DeclaredPattern]) -> Self {
        let text = key.as_str();
        let mut best: Option<(&DeclaredPattern, Vec<ShapePart>)> = None;
        for pattern in declared {
            if best.as_ref().is_some_and(|(b, _)| b.literal_length() >= pattern.literal_length()) {
                continue;
            }
            if let Some(parts) = pattern.parts(text) {
                best = Some((pattern, parts));
            }
        }
        let parts = best.map_or_else(|| shape::parts_of_key(text), |(_, parts)| parts);
        Pattern::replacing(text, &parts)
    }

    /// Restores a pattern from its saved fields.
    pub fn from_parts(text: String, comes_back: bool) -> Self {
        Pattern { text, comes_back }
    }

    fn replacing(key: &str, parts: &[ShapePart]) -> Self {
        let mut text = String::with_capacity(key.len());
        let mut from = 0;
        for part in parts {
            text.push_str(&key[from..part.start]);
            text.push('*');
            from = part.end;
        }
        text.push_str(&key[from..]);
        Pattern { text, comes_back: parts.iter().all(|part| part.change == Variation::WithContent) }
    }

    /// The key with `*` for its changing parts.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the same key can be requested again: it names contents, not a commit, a run or a date.
    ///
    /// A compiler cache keyed by commit is restored by prefix and saved under the next commit; its key is never
    /// requested twice. A cache keyed by a lock file's digest is requested for as long as the lock file is unchanged.
    pub fn comes_back(&self) -> bool {
        self.comes_back
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A key template of the configuration, which defines the changing parts of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPattern {
    source: String,
    segments: Vec<KeySegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum KeySegment {
    Literal(String),
    /// A changing part. `None` captures any text, whose changing parts are then recognized by shape.
    Capture(Option<Variation>),
}

impl DeclaredPattern {
    /// The pattern of a cache's key.
    pub fn of_template(template: &Template) -> Self {
        // Keys contain no control characters, so this one can mark the placeholders.
        const MARK: &str = "\0";
        let expanded = template.expand(|_| Ok::<_, Infallible>(MARK.to_owned()));
        let expanded = expanded.expect("every placeholder was given a value");
        let mut placeholders = expanded.parts.iter();
        let mut segments = Vec::new();
        for (index, literal) in expanded.text.split(MARK).enumerate() {
            if index > 0 {
                let change = placeholders.next().and_then(|(placeholder, _)| change_of(placeholder));
                segments.push(KeySegment::Capture(change));
            }
            if !literal.is_empty() {
                segments.push(KeySegment::Literal(literal.to_owned()));
            }
        }
        DeclaredPattern { source: template.source().to_owned(), segments }
    }

    /// The template as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    fn literal_length(&self) -> usize {
        let literal = |segment: &KeySegment| match segment {
            KeySegment::Literal(text) => text.len(),
            KeySegment::Capture(_) => 0,
        };
        self.segments.iter().map(literal).sum()
    }

    /// The changing parts of a key, if the whole key fits this template.
    fn parts(&self, key: &str) -> Option<Vec<ShapePart>> {
        let mut spans = Vec::new();
        spans_of(&self.segments, key, 0, &mut spans, &mut HashSet::new()).then_some(())?;
        let mut parts = Vec::new();
        for (start, end, change) in spans {
            match change {
                Some(change) => parts.push(ShapePart { start, end, change }),
                None => parts.extend(shape::parts(&key[start..end]).into_iter().map(|part| part.at(start))),
            }
        }
        Some(parts)
    }
}

fn change_of(placeholder: &Placeholder) -> Option<Variation> {
    match placeholder {
        Placeholder::Sha | Placeholder::RunId | Placeholder::RunAttempt => Some(Variation::EveryRun),
        Placeholder::Links | Placeholder::Git(_) | Placeholder::Files(_) | Placeholder::HashFiles(_) => {
            Some(Variation::WithContent)
        }
        _ => None,
    }
}

type TextSpan = (usize, usize, Option<Variation>);

/// Matches `segments` against `key[at..]` by backtracking, captures as short as possible. `dead` records failed states,
/// which keeps the work polynomial for any key.
fn spans_of(
    segments: &[KeySegment],
    key: &str,
    at: usize,
    spans: &mut Vec<TextSpan>,
    dead: &mut HashSet<(usize, usize)>,
) -> bool {
    let Some((first, rest)) = segments.split_first() else {
        return at == key.len();
    };
    if dead.contains(&(segments.len(), at)) {
        return false;
    }
    let found = match first {
        KeySegment::Literal(text) => {
            key[at..].starts_with(text.as_str()) && spans_of(rest, key, at + text.len(), spans, dead)
        }
        KeySegment::Capture(change) => {
            let mut ends = key[at..].char_indices().map(|(offset, c)| (at + offset + c.len_utf8(), c));
            ends.by_ref().take_while(|(_, c)| change.is_none() || c.is_ascii_alphanumeric()).any(
                |(end, _)| {
                    spans.push((at, end, *change));
                    let found = spans_of(rest, key, end, spans, dead);
                    if !found {
                        spans.pop();
                    }
                    found
                },
            )
        }
    };
    if !found {
        dead.insert((segments.len(), at));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn pattern(key: &str, templates: &[&str]) -> Pattern {
        let declared: Vec<_> = templates
            .iter()
            .map(|t| DeclaredPattern::of_template(&Template::parse(t).expect("a template")))
            .collect();
        Pattern::of(&Key::new(key).expect("a key"), &declared)
    }

    #[test]
    fn declared_templates_define_the_changing_parts() {
        let check = |key: &str, templates: &[&str], expect: &str| {
            assert_eq!(pattern(key, templates).as_str(), expect, "{key} {templates:?}");
        };
        check("c-linux-a-b-77", &["c-{os}-{var.v}-{run-id}"], "c-linux-a-b-*");
        check("c-linux-77-2", &["c-{os}-{run-id}-{run-attempt}"], "c-linux-*-*");
        check("d-abc", &["d-{links}"], "d-*");
        check("d-abc-x", &["d-{links}"], "d-abc-x");
        check("pinned-20261121", &["pinned-20261121"], "pinned-20261121");
        check("nightly-2026-11-21", &["nightly-{var.date}"], "nightly-*");
        check(&format!("x-{SHA}"), &["y-{sha}"], "x-*");
        check("ü-1", &["ü-{run-id}"], "ü-*");
        check("a-b-1", &["a-{var.x}", "a-b-{run-id}"], "a-b-*");
    }

    #[test]
    fn keys_of_contents_recur_and_those_of_runs_do_not() {
        assert!(pattern("d-abc", &["d-{links}"]).comes_back());
        assert!(!pattern("d-abc-7", &["d-{links}-{run-id}"]).comes_back());
        assert!(pattern(&format!("d-{SHA}{}", &SHA[..24]), &[]).comes_back());
        assert!(!pattern(&format!("d-{SHA}"), &[]).comes_back());
        assert!(pattern("plain", &[]).comes_back());
    }

    #[test]
    fn hostile_keys_are_matched_in_reasonable_time() {
        let key = "a-".repeat(255);
        let template = "{var.a}-{var.b}-{var.c}-{var.d}-{var.e}-{var.f}-{var.g}x";
        assert_eq!(pattern(&key, &[template]).as_str(), key);
    }
}
