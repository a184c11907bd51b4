//! YAML as a tree that knows its places.

use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, StrInput};

/// How deep a document may be nested: far above what people write, far below what a thread's stack holds.
const MAX_DEPTH: usize = 100;

/// A value and its place in the text, in bytes.
#[derive(Debug)]
pub(in crate::command) struct Node {
    pub(in crate::command) place: Range<usize>,
    /// Where it ends: behind its last item, and before blanks and comments that follow.
    pub(in crate::command) end: usize,
    pub(in crate::command) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(in crate::command) enum Kind {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    /// An alias. What it stands for is not looked up.
    Alias,
}

impl Node {
    /// The text of a scalar.
    pub(in crate::command) fn text(&self) -> Option<&str> {
        if let Kind::Scalar(text) = &self.kind { Some(text) } else { None }
    }

    /// The fields of a mapping; none of any other value.
    pub(in crate::command) fn fields(&self) -> &[(Node, Node)] {
        if let Kind::Mapping(fields) = &self.kind { fields } else { &[] }
    }

    /// The items of a sequence; none of any other value.
    pub(in crate::command) fn items(&self) -> &[Node] {
        if let Kind::Sequence(items) = &self.kind { items } else { &[] }
    }

    /// The text of a scalar, trimmed, with its place; `None` if it is empty.
    pub(in crate::command) fn value_of(&self) -> Option<Value<'_>> {
        let text = self.text()?.trim();
        (!text.is_empty()).then(|| Value { text, place: self.place.clone() })
    }

    /// The text of a field that is a scalar and not empty.
    pub(in crate::command) fn value(&self, name: &str) -> Option<Value<'_>> {
        self.get(name)?.value_of()
    }

    /// Every text in the value, fields and items included.
    pub(in crate::command) fn texts<'a>(&'a self, found: &mut Vec<Value<'a>>) {
        match &self.kind {
            Kind::Scalar(_) => found.extend(self.value_of()),
            Kind::Sequence(items) => items.iter().for_each(|item| item.texts(found)),
            Kind::Mapping(fields) => fields.iter().for_each(|(_, value)| value.texts(found)),
            Kind::Alias => {}
        }
    }

    /// Whether an alias is somewhere in the value.
    pub(in crate::command) fn has_alias(&self) -> bool {
        match &self.kind {
            Kind::Scalar(_) => false,
            Kind::Sequence(items) => items.iter().any(Node::has_alias),
            Kind::Mapping(fields) => fields.iter().any(|(key, value)| key.has_alias() || value.has_alias()),
            Kind::Alias => true,
        }
    }

    /// Whether it is written in braces or brackets.
    pub(in crate::command) fn is_flow(&self, text: &str) -> bool {
        !matches!(self.kind, Kind::Scalar(_)) && text[self.place.start..].starts_with(['{', '['])
    }

    /// The value of a field.
    pub(in crate::command) fn get(&self, name: &str) -> Option<&Node> {
        self.fields().iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }
}

/// The text of a scalar that is not empty, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command) struct Value<'a> {
    pub(in crate::command) text: &'a str,
    pub(in crate::command) place: Range<usize>,
}

impl Value<'_> {
    /// Whether it stands for itself, and not for what an expression will be when the pipeline runs.
    pub(in crate::command) fn is_literal(&self) -> bool {
        !["$(", "${{", "$["].iter().any(|start| self.text.contains(start))
    }
}

/// Why a text is not read.
#[derive(Debug)]
pub(in crate::command) struct Malformed {
    pub(in crate::command) place: Range<usize>,
    pub(in crate::command) message: String,
}

/// Reads the first document of a text; `None` if there is none.
pub(in crate::command) fn read(text: &str) -> Result<Option<Node>, Malformed> {
    let mut reader = Reader::of(text);
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
            (event, place) => return reader.node(event, place, 0).map(Some),
        }
    }
}

/// Where the second document of a text begins; `None` if it has one, none, or is not YAML.
pub(in crate::command) fn second_document(text: &str) -> Option<usize> {
    let mut reader = Reader::of(text);
    let mut documents = 0;
    loop {
        match reader.next().ok()? {
            (Event::DocumentStart(_), place) => {
                documents += 1;
                if documents == 2 {
                    return Some(place.start);
                }
            }
            (Event::StreamEnd, _) => return None,
            _ => {}
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
    fn of(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Reader { text, lines, parser: Parser::new_from_str(text) }
    }

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
        // Spans of scalars go on to the next token.
        let mut end = place.start + self.text.get(place.clone()).unwrap_or_default().trim_end().len();
        let is_flow = self.text[place.start..].starts_with(['{', '[']);
        let kind = match event {
            Event::Scalar(text, ..) => Kind::Scalar(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, closing) => {
                            let last = items.last().map_or(place.start, |item: &Node| item.end);
                            end = if is_flow { closing.start + 1 } else { last };
                            break Kind::Sequence(items);
                        }
                        (event, place) => items.push(self.node(event, place, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut fields = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, closing) => {
                            let last =
                                fields.last().map_or(place.start, |(_, value): &(Node, Node)| value.end);
                            end = if is_flow { closing.start + 1 } else { last };
                            break Kind::Mapping(fields);
                        }
                        (event, place) => self.node(event, place, depth + 1)?,
                    };
                    let (event, place) = self.next()?;
                    let value = self.node(event, place, depth + 1)?;
                    let value = self.behind_its_key(&key, value);
                    fields.push((key, value));
                }
            }
            _ => Kind::Alias,
        };
        Ok(Node { place, end, kind })
    }

    /// A value, which stands behind the colon of its key if the text has none.
    fn behind_its_key(&self, key: &Node, mut value: Node) -> Node {
        if matches!(value.kind, Kind::Scalar(_)) && value.place.is_empty() {
            let colon = self.text[key.end..].find(':').map_or(key.end, |at| key.end + at + 1);
            (value.place, value.end) = (colon..colon, colon);
        }
        value
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
    fn values_know_where_they_end() {
        let text = "a:\n  b: |\n    x\n\n    y\n\n# c\nd: { e: [1, 2] } # f\ng:\n\nh:\n  - i: 1  # j\n    k: 'l'\n\n  # m\n  - n\n# o\n";
        let root = read(text).expect("YAML").expect("a document");
        let extent = |name: &str| {
            let value = root.get(name).expect(name);
            &text[value.place.start..value.end]
        };
        assert_eq!(extent("a"), "b: |\n    x\n\n    y");
        assert_eq!(extent("d"), "{ e: [1, 2] }");
        assert_eq!(
            root.get("g").map(|value| (value.place.start, value.end)),
            Some((51, 51)),
            "behind the colon"
        );
        assert_eq!(extent("h"), "- i: 1  # j\n    k: 'l'\n\n  # m\n  - n");
        let items = root.get("h").expect("h").items();
        assert_eq!(&text[items[0].place.start..items[0].end], "i: 1  # j\n    k: 'l'");
        assert_eq!(root.end, text.len() - "\n# o\n".len());
    }

    #[test]
    fn a_second_document_is_found() {
        assert_eq!(second_document("a: 1\n---\nb: 2\n"), Some(5));
        assert_eq!(second_document("---\na: 1\n"), None);
        assert_eq!(second_document(""), None);
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
