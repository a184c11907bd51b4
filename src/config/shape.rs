//! Validates a TOML table against the JSON schema: unknown and missing fields, wrong types, unknown enum values.
//!
//! Serde would stop at the first of these. Invalid parts are reported and removed, so that the rest can be
//! deserialized and checked as well. Supports what [`schema`](fn@super::schema) generates: `type`, `properties`,
//! `additionalProperties`, `required`, `items`, constants in `enum` or `oneOf`, and types in `anyOf`.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::similar::{closest, list};

/// Reports parts of the table that do not match the schema, and removes them.
pub(super) fn check(table: &mut DeTable<'_>, schema: &Value, findings: &mut Findings<'_>) {
    check_table(table, &(0..0), schema, "", findings);
}

/// Returns whether the table can be used after invalid parts were removed.
fn check_table(
    table: &mut DeTable<'_>,
    place: &Range<usize>,
    schema: &Value,
    path: &str,
    findings: &mut Findings<'_>,
) -> bool {
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let schema_of = |name: &str| {
        schema["properties"]
            .get(name)
            .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
    };
    let names: Vec<(String, Range<usize>)> =
        table.keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
    let mut meant: Vec<&str> = Vec::new();
    for (name, name_place) in &names {
        let keep = if let (Some(schema), Some(value)) = (schema_of(name), table.get_mut(name.as_str())) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            check_value(value, name_place, schema, &path, findings)
        } else {
            meant.extend(report_unknown(name, name_place, &known, path, findings));
            false
        };
        if !keep {
            table.remove(name.as_str());
        }
    }
    // Fields next to an invalid table may depend on it, as `{links}` does, and must not be reported because of it.
    let broken =
        |name: &str| wanted_type(&schema["properties"][name]) == "object" && !table.contains_key(name);
    let mut usable = !names.iter().map(|(name, _)| name.as_str()).chain(meant.iter().copied()).any(broken);
    for choice in required(schema) {
        if choice.iter().any(|name| table.contains_key(*name)) {
            continue;
        }
        usable = false;
        // A field that was present but invalid, or whose name was misspelled, has been reported already.
        let seen = |name: &&str| names.iter().any(|(n, _)| n == name) || meant.contains(name);
        if !choice.iter().any(seen) {
            let name = choice[0];
            findings.error(place, format!("`[{path}]` has no `{name}`")).with_hint(what_to_add(name, schema));
        }
    }
    usable
}

/// The required fields, each with its alternatives: members of an `anyOf` that require one field each.
fn required(schema: &Value) -> Vec<Vec<&str>> {
    let each = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let choices = schema["allOf"].as_array().into_iter().flatten().map(|all| {
        let alternatives = all["anyOf"].as_array().into_iter().flatten();
        alternatives.filter_map(|one| one["required"][0].as_str()).collect::<Vec<&str>>()
    });
    each.map(|name| vec![name]).chain(choices).filter(|choice| !choice.is_empty()).collect()
}

/// The hint for a missing field, which includes its description.
fn what_to_add(name: &str, schema: &Value) -> String {
    let description = schema["properties"][name]["description"].as_str().unwrap_or_default();
    let (first, rest) = description.split_at_checked(1).unwrap_or_default();
    format!("add `{name}`: {}{}", first.to_lowercase(), rest.trim_end_matches('.'))
}

/// Reports an unknown field. Returns the known field that was probably meant.
fn report_unknown<'k>(
    name: &str,
    place: &Range<usize>,
    known: &[&'k str],
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<&'k str> {
    let message = match path {
        "" => format!("unknown field `{name}`"),
        path => format!("unknown field `{name}` in `[{path}]`"),
    };
    let meant = closest(name, known.iter().copied());
    findings.error(place, message).with_hint(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known fields: {}", list(known.iter().copied())),
    });
    meant
}

fn check_value(
    value: &mut Spanned<DeValue<'_>>,
    name_place: &Range<usize>,
    schema: &Value,
    path: &str,
    findings: &mut Findings<'_>,
) -> bool {
    let place = value.span();
    if let Some(alternatives) = schema["anyOf"].as_array() {
        // They are told apart by their types.
        let found = kind_of(value.get_ref());
        let Some(fitting) = alternatives.iter().find(|one| kind_wanted(one) == found) else {
            let wanted: Vec<&str> = alternatives.iter().map(|one| article(wanted_type(one))).collect();
            findings.error(&place, format!("`{path}` must be {}, not {found}", wanted.join(" or ")));
            return false;
        };
        return check_value(value, name_place, fitting, path, findings);
    }
    match (wanted_type(schema), value.get_mut()) {
        ("object", DeValue::Table(table)) => check_table(table, name_place, schema, path, findings),
        ("array", DeValue::Array(array)) => {
            let mut usable = true;
            for (index, item) in array.iter_mut().enumerate() {
                usable &=
                    check_value(item, name_place, &schema["items"], &format!("{path}[{index}]"), findings);
            }
            usable
        }
        ("integer", DeValue::Integer(_)) | ("boolean", DeValue::Boolean(_)) => true,
        ("string", DeValue::String(text)) => check_word(text, &place, schema, path, findings),
        (wanted, found) => {
            // The place of a table would be its header or all of its lines, so point to its name.
            let place = if found.is_table() { name_place.clone() } else { place };
            let field = path.rsplit('.').next().unwrap_or(path);
            let hint = match (wanted, &*found) {
                ("array", DeValue::String(text)) => Some(format!("write `{field} = [{:?}]`", text.as_ref())),
                ("string", DeValue::Array(_)) if field == "path" => Some("write `paths = […]`".to_owned()),
                ("object", scalar) => only_field(schema)
                    .zip(written(scalar))
                    .map(|(only, value)| format!("write `{field} = {{ {only} = {value} }}`")),
                ("string", DeValue::Integer(number)) => Some(format!("write `\"{number}\"`")),
                ("string", DeValue::Float(number)) => Some(format!("write `\"{number}\"`")),
                _ => None,
            };
            let message = format!("`{path}` must be {}, not {}", article(wanted), kind_of(found));
            let finding = findings.error(&place, message);
            if let Some(hint) = hint {
                finding.with_hint(hint);
            }
            false
        }
    }
}

/// Returns whether a string is one of those that a schema allows.
fn check_word(
    text: &str,
    place: &Range<usize>,
    schema: &Value,
    path: &str,
    findings: &mut Findings<'_>,
) -> bool {
    let words = words_of(schema);
    if words.is_empty() || words.contains(&text) {
        return true;
    }
    let hint = match closest(text, words.iter().copied()) {
        Some(meant) => format!("did you mean `\"{meant}\"`?"),
        None => format!("write one of {}", list(words)),
    };
    findings.error(place, format!("`{path}` cannot be `{text}`")).with_hint(hint);
    false
}

/// The field of a table that has no other.
fn only_field(schema: &Value) -> Option<&str> {
    let mut names = schema["properties"].as_object()?.keys();
    names.next().filter(|_| names.next().is_none()).map(String::as_str)
}

/// A single value as it is written in TOML.
fn written(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(format!("{:?}", text.as_ref())),
        DeValue::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

fn wanted_type(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or("string")
}

/// The allowed values of a string; empty if it is free.
fn words_of(schema: &Value) -> Vec<&str> {
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    let constants = alternatives.clone().filter_map(|one| one["const"].as_str());
    let listed = std::iter::once(schema)
        .chain(alternatives)
        .flat_map(|one| one["enum"].as_array().into_iter().flatten())
        .filter_map(Value::as_str);
    constants.chain(listed).collect()
}

fn article(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a table",
        "array" => "a list of strings",
        "integer" => "a whole number",
        "boolean" => "`true` or `false`",
        _ => "a string",
    }
}

/// What [`kind_of`] calls the values of a schema.
fn kind_wanted(schema: &Value) -> &'static str {
    match wanted_type(schema) {
        "boolean" => "a boolean",
        wanted => article(wanted),
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
