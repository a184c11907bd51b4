//! YAML as a tree that knows its places.

use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, StrInput};

/// How deep a document may be nested: far above what people write, far below what a thread's stack holds.
const MAX_DEPTH: usize = 100;

/// A value and its place in the text, in bytes.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Range<usize>,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    /// An alias. What it stands for is not looked up.
    Alias,
}

impl Node {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        if let Kind::Scalar(text) = &self.kind { Some(text) } else { None }
    }

    /// The fields of a mapping; none of any other value.
    pub(super) fn fields(&self) -> &[(Node, Node)] {
        if let Kind::Mapping(fields) = &self.kind { fields } else { &[] }
    }

    /// The items of a sequence; none of any other value.
    pub(super) fn items(&self) -> &[Node] {
        if let Kind::Sequence(items) = &self.kind { items } else { &[] }
    }

    /// The text of a scalar, trimmed, with its place; `None` if it is empty.
    pub(super) fn value_of(&self) -> Option<Value<'_>> {
        let text = self.text()?.trim();
        (!text.is_empty()).then(|| Value { text, place: self.place.clone() })
    }

    /// The text of a field that is a scalar and not empty.
    pub(super) fn value(&self, name: &str) -> Option<Value<'_>> {
        self.get(name)?.value_of()
    }

    /// Every text in the value, fields and items included.
    pub(super) fn texts<'a>(&'a self, found: &mut Vec<Value<'a>>) {
        match &self.kind {
            Kind::Scalar(_) => found.extend(self.value_of()),
            Kind::Sequence(items) => items.iter().for_each(|item| item.texts(found)),
            Kind::Mapping(fields) => fields.iter().for_each(|(_, value)| value.texts(found)),
            Kind::Alias => {}
        }
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.fields().iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }
}

/// The text of a scalar that is not empty, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) text: &'a str,
    pub(super) place: Range<usize>,
}

impl Value<'_> {
    /// Whether it stands for itself, and not for what an expression will be when the pipeline runs.
    pub(super) fn is_literal(&self) -> bool {
        !["$(", "${{", "$["].iter().any(|start| self.text.contains(start))
    }
}

/// Why a text is not read.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) place: Range<usize>,
    pub(super) message: String,
}

/// Reads the first document of a text; `None` if there is none.
pub(super) fn read(text: &str) -> Result<Option<Node>, Malformed> {
    let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut reader = Reader { text, lines, parser: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
            (event, place) => return reader.node(event, place, 0).map(Some),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Where each line starts.
    lines: Vec<usize>,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Malformed> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.offset(span.start)..self.offset(span.end))),
            Some(Err(error)) => {
                let at = self.offset(*error.marker());
                Err(Malformed { place: at..at, message: format!("not YAML: {}", error.info()) })
            }
            None => {
                let end = self.text.len();
                Err(Malformed { place: end..end, message: "not YAML: it ends too early".to_owned() })
            }
        }
    }

    /// Markers count lines from 1, and columns in characters from 0.
    fn offset(&self, marker: Marker) -> usize {
        let start = self.lines.get(marker.line().saturating_sub(1)).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        start + rest.char_indices().nth(marker.col()).map_or(rest.len(), |(at, _)| at)
    }

    fn node(&mut self, event: Event<'a>, place: Range<usize>, depth: usize) -> Result<Node, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed { place, message: format!("nested deeper than {MAX_DEPTH} levels") });
        }
        let kind = match event {
            Event::Scalar(text, ..) => Kind::Scalar(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Kind::Sequence(items),
                        (event, place) => items.push(self.node(event, place, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut fields = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => break Kind::Mapping(fields),
                        (event, place) => self.node(event, place, depth + 1)?,
                    };
                    let (event, place) = self.next()?;
                    fields.push((key, self.node(event, place, depth + 1)?));
                }
            }
            _ => Kind::Alias,
        };
        Ok(Node { place, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_places() {
        let text = "ü: &x 1\nsteps:\n  - bash: |\n      echo\n  - {task: 'a b', with: *x}\n";
        let root = read(text).expect("YAML").expect("a document");
        let steps = root.get("steps").expect("steps").items();
        assert_eq!(&text[root.get("ü").expect("ü").place.clone()], "&x 1");
        assert_eq!(steps[0].get("bash").and_then(Node::text), Some("echo\n"));
        let task = steps[1].get("task").expect("a task");
        assert_eq!((&text[task.place.clone()], task.text()), ("'a b'", Some("a b")));
        assert!(matches!(steps[1].get("with").expect("an alias").kind, Kind::Alias));
    }

    #[test]
    fn odd_texts_are_refused_with_a_place() {
        for (text, said) in [
            ("a: [1", "not YAML"),
            ("a: 'b", "not YAML"),
            ("\t- a: b: c", "not YAML"),
            // The parser has a limit of its own for brackets.
            (&"[".repeat(5000), "recursion limit"),
            (&"- ".repeat(5000), "nested deeper"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.message.contains(said), "{text:.20}: {}", error.message);
            assert!(error.place.start <= text.len(), "{text:.20}");
        }
        assert!(read("").expect("nothing").is_none());
        assert!(read("# only a comment\n").expect("a comment").is_none());
    }
}
