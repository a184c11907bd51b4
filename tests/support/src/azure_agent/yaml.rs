//! YAML as a tree that keeps the order of keys, keys that occur twice, and lines.

use saphyr_parser::{Event, Parser};

/// What the imitation, or the service that it imitates, does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// The line that it begins on.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// Scalars are text: what type they have, their use decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    pub(super) fn scalar(line: usize, text: impl Into<String>) -> Self {
        Node { line, kind: Kind::Scalar(text.into()) }
    }

    /// The error of a line.
    pub(super) fn refuse<T>(&self, what: impl std::fmt::Display) -> Result<T, Refused> {
        Err(Refused(format!("line {}: {what}", self.line)))
    }

    pub(super) fn text(&self) -> Result<&str, Refused> {
        match &self.kind {
            Kind::Scalar(text) => Ok(text),
            _ => self.refuse("expected a text"),
        }
    }

    /// An empty value counts as an empty sequence.
    pub(super) fn items(&self) -> Result<&[Node], Refused> {
        match &self.kind {
            Kind::Sequence(items) => Ok(items),
            Kind::Scalar(text) if text.is_empty() => Ok(&[]),
            _ => self.refuse("expected a sequence"),
        }
    }

    /// An empty value counts as an empty mapping.
    pub(super) fn pairs(&self) -> Result<&[(Node, Node)], Refused> {
        match &self.kind {
            Kind::Mapping(pairs) => Ok(pairs),
            Kind::Scalar(text) if text.is_empty() => Ok(&[]),
            _ => self.refuse("expected a mapping"),
        }
    }

    /// The pairs by their names; a name that occurs twice is refused.
    pub(super) fn fields(&self) -> Result<Vec<(&str, &Node)>, Refused> {
        let mut fields: Vec<(&str, &Node)> = Vec::new();
        for (key, value) in self.pairs()? {
            let name = key.text()?;
            if fields.iter().any(|(known, _)| *known == name) {
                return key.refuse(format!("`{name}` is there twice"));
            }
            fields.push((name, value));
        }
        Ok(fields)
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Result<Option<&Node>, Refused> {
        Ok(self.fields()?.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value))
    }
}

/// Reads one document. Anchors, aliases and tags are refused, as the service refuses them.
pub(super) fn read(text: &str) -> Result<Node, Refused> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, line) => return Ok(Node::scalar(line, "")),
            (event, line) => return reader.node(event, line),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Refused> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(Refused(format!("this is not YAML: {error}"))),
            None => Err(Refused("this is not YAML: it ends too early".to_owned())),
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize) -> Result<Node, Refused> {
        let kind = match event {
            Event::Scalar(text, _, 0, None) => Kind::Scalar(text.into_owned()),
            Event::SequenceStart(0, None) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Kind::Sequence(items),
                        (event, line) => items.push(self.node(event, line)?),
                    }
                }
            }
            Event::MappingStart(0, None) => {
                let mut pairs = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => break Kind::Mapping(pairs),
                        (event, line) => self.node(event, line)?,
                    };
                    let (event, line) = self.next()?;
                    pairs.push((key, self.node(event, line)?));
                }
            }
            other => return Err(Refused(format!("line {line}: the service does not take {other:?}"))),
        };
        Ok(Node { line, kind })
    }
}
