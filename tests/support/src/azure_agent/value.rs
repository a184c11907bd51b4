//! Values of expressions, and how they become each other (documentation of expressions, "Type casting").

use super::yaml::{Kind, Node};

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// Collections have no text.
    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Value::Null => Some(String::new()),
            // `True` and `False`: booleans are written as .NET writes them.
            Value::Bool(true) => Some("True".to_owned()),
            Value::Bool(false) => Some("False".to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Text(text) => Some(text.clone()),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Any text but the empty one is true, `false` as well.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(truth) => *truth,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Array(_) | Value::Object(_) => true,
        }
    }

    fn as_number(&self) -> Option<f64> {
        match self {
            Value::Null => Some(0.0),
            Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
            Value::Number(number) => Some(*number),
            Value::Text(text) if text.trim().is_empty() => Some(0.0),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The right side takes the type of the left one; texts are compared without regard to case.
    pub(super) fn equals(&self, right: &Value) -> bool {
        match self {
            Value::Null => {
                matches!(right, Value::Null) || matches!(right, Value::Text(text) if text.is_empty())
            }
            Value::Bool(left) => *left == right.is_true(),
            Value::Number(left) => right.as_number() == Some(*left),
            Value::Text(left) => right.as_text().is_some_and(|right| same_text(left, &right)),
            Value::Array(_) | Value::Object(_) => false,
        }
    }

    /// A member of a collection; names are compared without regard to case.
    pub(super) fn member(&self, index: &Value) -> Value {
        let found = match self {
            Value::Object(members) => {
                let name = index.as_text().unwrap_or_default();
                members.iter().find(|(known, _)| same_text(known, &name)).map(|(_, value)| value.clone())
            }
            Value::Array(items) => {
                let index = index.as_number().filter(|index| index.fract() == 0.0 && *index >= 0.0);
                index.and_then(|index| items.get(index as usize).cloned())
            }
            _ => None,
        };
        found.unwrap_or(Value::Null)
    }

    pub(super) fn of_node(node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar(text) => Value::text(text),
            Kind::Sequence(items) => Value::Array(items.iter().map(Value::of_node).collect()),
            Kind::Mapping(pairs) => Value::Object(
                pairs
                    .iter()
                    .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), Value::of_node(value)))
                    .collect(),
            ),
        }
    }

    pub(super) fn to_node(&self, line: usize) -> Node {
        let kind = match self {
            Value::Array(items) => Kind::Sequence(items.iter().map(|item| item.to_node(line)).collect()),
            Value::Object(members) => Kind::Mapping(
                members.iter().map(|(name, value)| (Node::scalar(line, name), value.to_node(line))).collect(),
            ),
            scalar => Kind::Scalar(scalar.as_text().unwrap_or_default()),
        };
        Node { line, kind }
    }
}

/// Names and texts are compared without regard to case.
pub(super) fn same_text(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
