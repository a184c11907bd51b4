//! Templates: what the server expands before an agent sees a job (documentation of templates and of their expressions).

mod parameters;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::expression::{Expression, Scope};
use super::value::{Value, same_text};
use super::yaml::{Kind, Node, Refused, read};

/// Where templates of other repositories lie, by the aliases of `resources.repositories`.
pub(super) type Repositories = BTreeMap<String, PathBuf>;

/// Reads a file and expands it with these parameters; what it defines, without the definitions of its parameters.
pub(super) fn expand_file(
    file: &Path,
    root: &Path,
    given: &[(String, Value)],
    repositories: &Repositories,
) -> Result<Node, Refused> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Refused(format!("the file `{}` cannot be read: {error}", file.display())))?;
    expand_text(&text, file, root, given, repositories)
        .map_err(|Refused(why)| Refused(format!("{}: {why}", file.display())))
}

/// The same with a text that stands for the file.
pub(super) fn expand_text(
    text: &str,
    file: &Path,
    root: &Path,
    given: &[(String, Value)],
    repositories: &Repositories,
) -> Result<Node, Refused> {
    let document = read(text)?;
    let definitions = document.get("parameters")?;
    let parameters = parameters::bind(definitions, given)?;
    let context = Context { file, root, repositories, parameters, locals: Vec::new() };
    let rest: Vec<(Node, Node)> =
        document.pairs()?.iter().filter(|(key, _)| key.text() != Ok("parameters")).cloned().collect();
    let rest = context.mapping(&rest)?;
    Ok(Node { line: document.line, kind: Kind::Mapping(rest) })
}

/// What expressions of one file see.
#[derive(Clone)]
struct Context<'a> {
    file: &'a Path,
    root: &'a Path,
    repositories: &'a Repositories,
    parameters: Vec<(String, Value)>,
    /// Variables of `each`, the innermost last.
    locals: Vec<(String, Value)>,
}

impl Scope for Context<'_> {
    fn named(&self, name: &str) -> Option<Value> {
        if same_text(name, "parameters") {
            return Some(Value::Object(self.parameters.clone()));
        }
        self.locals.iter().rev().find(|(known, _)| same_text(known, name)).map(|(_, value)| value.clone())
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Value> {
        None
    }
}

/// A key that is an instruction.
enum Directive {
    If(Expression),
    ElseIf(Expression),
    Else,
    Each(String, Expression),
    Insert,
}

/// What an `else` depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    /// There was no `if` just before.
    None,
    /// A branch was taken.
    Taken,
    /// None was.
    Open,
}

impl Context<'_> {
    fn node(&self, node: &Node) -> Result<Node, Refused> {
        Ok(match &node.kind {
            Kind::Scalar(text) => self.value(node, text)?.to_node(node.line),
            Kind::Sequence(items) => Node { line: node.line, kind: Kind::Sequence(self.sequence(items)?) },
            Kind::Mapping(pairs) => Node { line: node.line, kind: Kind::Mapping(self.mapping(pairs)?) },
        })
    }

    /// The value of a scalar: of its expression if it is one, else a text with the values of its expressions.
    fn value(&self, node: &Node, text: &str) -> Result<Value, Refused> {
        let parts = match split(text) {
            Ok(parts) => parts,
            Err(why) => return node.refuse(why),
        };
        if let [Part::Expression(expression)] = parts.as_slice() {
            return self.evaluate(node, expression);
        }
        let mut made = String::new();
        for part in parts {
            match part {
                Part::Text(text) => made.push_str(text),
                Part::Expression(expression) => match self.evaluate(node, expression)?.as_text() {
                    Some(text) => made.push_str(&text),
                    None => return node.refuse(format!("`{expression}` is a collection within a text")),
                },
            }
        }
        Ok(Value::Text(made))
    }

    fn evaluate(&self, node: &Node, expression: &str) -> Result<Value, Refused> {
        self.result(node, &Expression::parse(expression).or_else(|why| node.refuse(why))?)
    }

    fn result(&self, node: &Node, expression: &Expression) -> Result<Value, Refused> {
        expression.evaluate(self).or_else(|why| node.refuse(why))
    }

    fn sequence(&self, items: &[Node]) -> Result<Vec<Node>, Refused> {
        let mut expanded = Vec::new();
        let mut chain = Chain::None;
        for item in items {
            if let Some((directive, key, body)) = only_directive(item)? {
                for context in self.branches(key, directive, &mut chain)? {
                    match context.node(body)? {
                        Node { kind: Kind::Sequence(items), .. } => expanded.extend(items),
                        Node { kind: Kind::Scalar(text), .. } if text.is_empty() => {}
                        other => {
                            return other.refuse("expected a sequence below an instruction in a sequence");
                        }
                    }
                }
                continue;
            }
            chain = Chain::None;
            let is_expression = matches!(&item.kind, Kind::Scalar(text) if text.starts_with("${{"));
            match self.node(item)? {
                // A whole sequence in the place of an item is spliced in.
                Node { kind: Kind::Sequence(items), .. } if is_expression => expanded.extend(items),
                item => match self.include(&item)? {
                    Some(items) => expanded.extend(items),
                    None => expanded.push(item),
                },
            }
        }
        Ok(expanded)
    }

    fn mapping(&self, pairs: &[(Node, Node)]) -> Result<Vec<(Node, Node)>, Refused> {
        let mut expanded: Vec<(Node, Node)> = Vec::new();
        let mut chain = Chain::None;
        for (key, body) in pairs {
            if let Some(directive) = directive(key)? {
                for context in self.branches(key, directive, &mut chain)? {
                    let body = context.node(body)?;
                    expanded.extend(body.pairs()?.iter().cloned());
                }
                continue;
            }
            chain = Chain::None;
            let name = self.value(key, key.text()?)?.to_node(key.line);
            name.text()?;
            expanded.push((name, self.node(body)?));
        }
        for (index, (key, _)) in expanded.iter().enumerate() {
            if expanded[..index].iter().any(|(other, _)| other.text() == key.text()) {
                return key.refuse(format!("`{}` is defined twice", key.text()?));
            }
        }
        Ok(expanded)
    }

    /// The contexts in which the body of an instruction is expanded: none where its condition does not hold.
    fn branches(&self, key: &Node, directive: Directive, chain: &mut Chain) -> Result<Vec<Self>, Refused> {
        let is_open = *chain == Chain::Open;
        let has_chain = *chain != Chain::None;
        let take = |holds: bool, chain: &mut Chain| {
            *chain = if holds || (has_chain && !is_open) { Chain::Taken } else { Chain::Open };
            Ok(if holds { vec![self.clone()] } else { Vec::new() })
        };
        match directive {
            Directive::If(condition) => {
                let holds = self.result(key, &condition)?.is_true();
                *chain = if holds { Chain::Taken } else { Chain::Open };
                Ok(if holds { vec![self.clone()] } else { Vec::new() })
            }
            Directive::ElseIf(_) | Directive::Else if !has_chain => {
                key.refuse("there is no `if` before this")
            }
            Directive::ElseIf(condition) => {
                let holds = is_open && self.result(key, &condition)?.is_true();
                take(holds, chain)
            }
            Directive::Else => {
                *chain = Chain::None;
                Ok(if is_open { vec![self.clone()] } else { Vec::new() })
            }
            Directive::Insert => {
                *chain = Chain::None;
                Ok(vec![self.clone()])
            }
            Directive::Each(name, list) => {
                *chain = Chain::None;
                let values = match self.result(key, &list)? {
                    Value::Array(items) => items,
                    Value::Object(members) => members.into_iter().map(as_pair).collect(),
                    _ => return key.refuse("`each` wants a sequence or a mapping"),
                };
                let context = |value| {
                    let mut context = self.clone();
                    context.locals.push((name.clone(), value));
                    context
                };
                Ok(values.into_iter().map(context).collect())
            }
        }
    }

    /// The items of a template that an item includes; `None` if it includes none.
    fn include(&self, item: &Node) -> Result<Option<Vec<Node>>, Refused> {
        let Kind::Mapping(pairs) = &item.kind else { return Ok(None) };
        if !pairs.iter().any(|(key, _)| key.text() == Ok("template")) {
            return Ok(None);
        }
        let mut file = None;
        let mut given = Vec::new();
        for (name, value) in item.fields()? {
            match name {
                "template" => file = Some(self.locate(value)?),
                "parameters" => {
                    let fields = value.fields()?.into_iter();
                    given = fields.map(|(name, value)| (name.to_owned(), Value::of_node(value))).collect();
                }
                other => return value.refuse(format!("`{other}` does not belong to a template")),
            }
        }
        let (file, root) = file.expect("there is a key `template`");
        let expanded = expand_file(&file, &root, &given, self.repositories)?;
        match expanded.fields()?.as_slice() {
            [("steps" | "jobs" | "variables", items)] => Ok(Some(items.items()?.to_vec())),
            _ => item.refuse(format!("`{}` is not a template of steps, jobs or variables", file.display())),
        }
    }

    /// A template is looked for beside the file that names it, in its repository if it begins with `/`, and in another
    /// repository if that is named after `@`.
    fn locate(&self, node: &Node) -> Result<(PathBuf, PathBuf), Refused> {
        let named = node.text()?;
        match named.split_once('@') {
            Some((path, repository)) if repository != "self" => match self.repositories.get(repository) {
                Some(root) => Ok((root.join(path.trim_start_matches('/')), root.clone())),
                None => node.refuse(format!("there is no repository `{repository}`")),
            },
            Some((path, _)) => Ok((self.root.join(path.trim_start_matches('/')), self.root.to_owned())),
            None if named.starts_with('/') => {
                Ok((self.root.join(named.trim_start_matches('/')), self.root.to_owned()))
            }
            None => {
                let beside = self.file.parent().unwrap_or(self.root);
                Ok((beside.join(named), self.root.to_owned()))
            }
        }
    }
}

/// A member of a mapping as `each` gives it.
fn as_pair((key, value): (String, Value)) -> Value {
    Value::Object(vec![("key".to_owned(), Value::Text(key)), ("value".to_owned(), value)])
}

/// The instruction that an item of a sequence consists of.
fn only_directive(item: &Node) -> Result<Option<(Directive, &Node, &Node)>, Refused> {
    let Kind::Mapping(pairs) = &item.kind else { return Ok(None) };
    let [(key, body)] = pairs.as_slice() else { return Ok(None) };
    Ok(directive(key)?.map(|directive| (directive, key, body)))
}

/// The instruction of a key; `None` for any other key.
fn directive(key: &Node) -> Result<Option<Directive>, Refused> {
    let Some(inner) = key.text()?.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")) else {
        return Ok(None);
    };
    let inner = inner.trim();
    let (word, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    let parse = |text: &str| Expression::parse(text).or_else(|why| key.refuse(why));
    Ok(Some(match (word, rest.trim()) {
        ("if", condition) => Directive::If(parse(condition)?),
        ("elseif", condition) => Directive::ElseIf(parse(condition)?),
        ("else", "") => Directive::Else,
        ("insert", "") => Directive::Insert,
        ("each", rest) => match rest.split_once(" in ") {
            Some((name, list)) => Directive::Each(name.trim().to_owned(), parse(list.trim())?),
            None => return key.refuse("`each` wants a name, `in` and a list"),
        },
        _ => return Ok(None),
    }))
}

enum Part<'a> {
    Text(&'a str),
    Expression(&'a str),
}

/// Splits a text at its expressions. `}}` within a text of an expression does not end it.
fn split(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${{") {
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        let inner = &rest[at + 3..];
        let end =
            end_of_expression(inner).ok_or_else(|| format!("the expression in `{text}` does not end"))?;
        parts.push(Part::Expression(inner[..end].trim()));
        rest = &inner[end + 2..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn end_of_expression(inner: &str) -> Option<usize> {
    let mut is_quoted = false;
    inner.char_indices().find_map(|(at, c)| {
        is_quoted ^= c == '\'';
        (!is_quoted && inner[at..].starts_with("}}")).then_some(at)
    })
}
