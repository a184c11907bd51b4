//! Parameters of templates: names, types, defaults and values that are allowed.

use crate::azure_agent::value::{Value, same_text};
use crate::azure_agent::yaml::{Node, Refused};

/// The values of all parameters that are defined, in their order.
pub(super) fn bind(
    definitions: Option<&Node>,
    given: &[(String, Value)],
) -> Result<Vec<(String, Value)>, Refused> {
    let definitions = definitions.map(Node::items).transpose()?.unwrap_or_default();
    let mut bound: Vec<(String, Value)> = Vec::new();
    for definition in definitions {
        let definition = Definition::read(definition)?;
        let value = given.iter().find(|(name, _)| same_text(name, definition.name)).map(|(_, value)| value);
        bound.push((definition.name.to_owned(), definition.value(value)?));
    }
    match given.iter().find(|(name, _)| !bound.iter().any(|(known, _)| same_text(known, name))) {
        Some((name, _)) => Err(Refused(format!("unexpected parameter `{name}`"))),
        None => Ok(bound),
    }
}

struct Definition<'a> {
    node: &'a Node,
    name: &'a str,
    kind: &'a str,
    default: Option<&'a Node>,
    values: Option<&'a Node>,
}

impl<'a> Definition<'a> {
    fn read(node: &'a Node) -> Result<Self, Refused> {
        let mut definition = Definition { node, name: "", kind: "string", default: None, values: None };
        for (field, value) in node.fields()? {
            match field {
                "name" => definition.name = value.text()?,
                "type" => definition.kind = value.text()?,
                "default" => definition.default = Some(value),
                "values" => definition.values = Some(value),
                "displayName" => {}
                other => return value.refuse(format!("`{other}` does not belong to a parameter")),
            }
        }
        if definition.name.is_empty() {
            return node.refuse("a parameter has no name");
        }
        Ok(definition)
    }

    fn value(&self, given: Option<&Value>) -> Result<Value, Refused> {
        let name = self.name;
        let value = match (given, self.default) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) => Value::of_node(default),
            (None, None) => {
                return self.node.refuse(format!("a value for the parameter `{name}` must be given"));
            }
        };
        let value = self.typed(&value)?;
        let Some(allowed) = self.values else { return Ok(value) };
        let allowed = allowed.items()?.iter().map(Value::of_node);
        if allowed.into_iter().any(|allowed| allowed.as_text() == value.as_text()) {
            return Ok(value);
        }
        self.node.refuse(format!("`{}` is not allowed for `{name}`", value.as_text().unwrap_or_default()))
    }

    fn typed(&self, value: &Value) -> Result<Value, Refused> {
        let is_empty = || value.as_text().is_some_and(|text| text.is_empty());
        let typed = match (self.kind, value) {
            ("string", value) => value.as_text().map(Value::Text),
            ("number", value) => value.as_text().and_then(|text| text.parse().ok()).map(Value::Number),
            ("boolean", value) => match value.as_text().unwrap_or_default().to_lowercase().as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            ("object", value) => Some(value.clone()),
            ("stepList" | "jobList", Value::Array(_)) => Some(value.clone()),
            ("stepList" | "jobList", _) if is_empty() => Some(Value::Array(Vec::new())),
            ("stepList" | "jobList", _) => None,
            (other, _) => {
                return self
                    .node
                    .refuse(format!("the imitation does not know the type `{other}` of parameters"));
            }
        };
        match typed {
            Some(value) => Ok(value),
            None => self.node.refuse(format!("the value of `{}` is not a {}", self.name, self.kind)),
        }
    }
}
