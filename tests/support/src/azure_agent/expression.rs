//! Expressions: of templates, and of conditions (documentation of expressions).

use super::value::{Value, same_text};

/// What an expression can name beside the functions that all know.
pub(super) trait Scope {
    /// The value of `parameters`, `variables` or a loop's variable.
    fn named(&self, name: &str) -> Option<Value>;
    /// A function of this scope, such as `succeeded`; `None` if there is no such function.
    fn call(&self, name: &str, arguments: &[Value]) -> Option<Value>;
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    Named(String),
    Member(Box<Expression>, Box<Expression>),
    Call(String, Vec<Expression>),
}

impl Expression {
    /// Parses an expression; the error says what is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let expression = parser.expression()?;
        parser.skip_space();
        if parser.rest.is_empty() {
            Ok(expression)
        } else {
            Err(format!("`{}` is left over in the expression `{text}`", parser.rest))
        }
    }

    /// Its value in a scope.
    pub(super) fn evaluate(&self, scope: &dyn Scope) -> Result<Value, String> {
        match self {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Named(name) => {
                scope.named(name).ok_or_else(|| format!("the imitation does not know `{name}` here"))
            }
            Expression::Member(whole, index) => Ok(whole.evaluate(scope)?.member(&index.evaluate(scope)?)),
            Expression::Call(name, arguments) => {
                let arguments: Result<Vec<Value>, String> =
                    arguments.iter().map(|argument| argument.evaluate(scope)).collect();
                let arguments = arguments?;
                match scope.call(name, &arguments) {
                    Some(value) => Ok(value),
                    None => call(name, &arguments),
                }
            }
        }
    }

    /// The functions that it calls.
    pub(super) fn functions(&self) -> Vec<&str> {
        match self {
            Expression::Literal(_) | Expression::Named(_) => Vec::new(),
            Expression::Member(whole, index) => [whole.functions(), index.functions()].concat(),
            Expression::Call(name, arguments) => std::iter::once(name.as_str())
                .chain(arguments.iter().flat_map(Expression::functions))
                .collect(),
        }
    }
}

/// The functions of both kinds of expressions, by their names in lower case and the numbers of their arguments.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("and", 2, usize::MAX),
    ("coalesce", 2, usize::MAX),
    ("contains", 2, 2),
    ("endswith", 2, 2),
    ("eq", 2, 2),
    ("format", 1, usize::MAX),
    ("in", 2, usize::MAX),
    ("join", 2, 2),
    ("length", 1, 1),
    ("lower", 1, 1),
    ("ne", 2, 2),
    ("not", 1, 1),
    ("notin", 2, usize::MAX),
    ("or", 2, usize::MAX),
    ("replace", 3, 3),
    ("startswith", 2, 2),
    ("upper", 1, 1),
];

/// Whether this is a function of all expressions.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| same_text(known, name))
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let lower = name.to_lowercase();
    let Some((_, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == lower) else {
        return Err(format!("the imitation does not know the function `{name}` here"));
    };
    if !(*least..=*most).contains(&arguments.len()) {
        return Err(format!("`{name}` does not take {} arguments", arguments.len()));
    }
    let text = |index: usize| {
        arguments[index].as_text().ok_or_else(|| format!("`{name}` does not take a collection"))
    };
    let lowered = |index: usize| text(index).map(|text| text.to_lowercase());
    Ok(match lower.as_str() {
        "and" => Value::Bool(arguments.iter().all(Value::is_true)),
        "or" => Value::Bool(arguments.iter().any(Value::is_true)),
        "not" => Value::Bool(!arguments[0].is_true()),
        "eq" => Value::Bool(arguments[0].equals(&arguments[1])),
        "ne" => Value::Bool(!arguments[0].equals(&arguments[1])),
        "in" => Value::Bool(arguments[1..].iter().any(|right| arguments[0].equals(right))),
        "notin" => Value::Bool(!arguments[1..].iter().any(|right| arguments[0].equals(right))),
        "contains" => Value::Bool(lowered(0)?.contains(&lowered(1)?)),
        "startswith" => Value::Bool(lowered(0)?.starts_with(&lowered(1)?)),
        "endswith" => Value::Bool(lowered(0)?.ends_with(&lowered(1)?)),
        "lower" => Value::Text(lowered(0)?),
        "upper" => Value::Text(text(0)?.to_uppercase()),
        "replace" => Value::Text(text(0)?.replace(&text(1)?, &text(2)?)),
        "coalesce" => coalesce(arguments),
        "join" => Value::Text(join(&text(0)?, &arguments[1])),
        "length" => Value::Number(length(&arguments[0]) as f64),
        _ => Value::Text(format_text(&text(0)?, &arguments[1..])?),
    })
}

/// The first argument that is neither null nor empty.
fn coalesce(arguments: &[Value]) -> Value {
    let has_text =
        |value: &&Value| !matches!(value, Value::Null) && value.as_text().is_none_or(|text| !text.is_empty());
    arguments.iter().find(has_text).cloned().unwrap_or(Value::Null)
}

/// Members of an array that are collections themselves become empty; anything but an array is taken as it is.
fn join(separator: &str, value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| item.as_text().unwrap_or_default()).collect();
            items.join(separator)
        }
        other => other.as_text().unwrap_or_default(),
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        other => other.as_text().unwrap_or_default().chars().count(),
    }
}

/// `{0}` is the first argument, `{{` a brace.
fn format_text(format: &str, arguments: &[Value]) -> Result<String, String> {
    let mut made = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        made.push_str(&rest[..at]);
        let from = &rest[at..];
        if from.starts_with("{{") || from.starts_with("}}") {
            made.push_str(&from[..1]);
            rest = &from[2..];
            continue;
        }
        let end = from.find('}').filter(|_| from.starts_with('{'));
        let end = end.ok_or_else(|| format!("`{format}` is not a format"))?;
        let argument = from[1..end].parse::<usize>().ok().and_then(|index| arguments.get(index));
        let argument = argument.ok_or_else(|| format!("`{format}` has no argument `{}`", &from[1..end]))?;
        made.push_str(&argument.as_text().unwrap_or_default());
        rest = &from[end + 1..];
    }
    made.push_str(rest);
    Ok(made)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("expected `{token}` before `{}`", self.rest)) }
    }

    fn expression(&mut self) -> Result<Expression, String> {
        let mut expression = self.operand()?;
        loop {
            if self.take(".") {
                let name = self.word()?;
                expression = Expression::Member(
                    Box::new(expression),
                    Box::new(Expression::Literal(Value::text(name))),
                );
            } else if self.take("[") {
                let index = self.expression()?;
                self.expect("]")?;
                expression = Expression::Member(Box::new(expression), Box::new(index));
            } else {
                return Ok(expression);
            }
        }
    }

    fn operand(&mut self) -> Result<Expression, String> {
        self.skip_space();
        if self.rest.starts_with('\'') {
            return self.literal();
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return self.number();
        }
        let word = self.word()?;
        if self.take("(") {
            return self.arguments(word);
        }
        Ok(match word {
            _ if same_text(word, "true") => Expression::Literal(Value::Bool(true)),
            _ if same_text(word, "false") => Expression::Literal(Value::Bool(false)),
            _ if same_text(word, "null") => Expression::Literal(Value::Null),
            _ => Expression::Named(word.to_owned()),
        })
    }

    fn arguments(&mut self, name: &str) -> Result<Expression, String> {
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.expression()?);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        Ok(Expression::Call(name.to_owned(), arguments))
    }

    /// A text in single quotes; two of them stand for one.
    fn literal(&mut self) -> Result<Expression, String> {
        let mut text = String::new();
        let mut rest = &self.rest[1..];
        loop {
            let end = rest.find('\'').ok_or_else(|| format!("the text {} does not end", self.rest))?;
            text.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    text.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        self.rest = rest;
        Ok(Expression::Literal(Value::Text(text)))
    }

    fn number(&mut self) -> Result<Expression, String> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '.')))
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let number = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
        self.rest = rest;
        Ok(Expression::Literal(Value::Number(number)))
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.skip_space();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.is_empty() {
            return Err(format!("expected a name before `{}`", self.rest));
        }
        self.rest = rest;
        Ok(word)
    }
}
