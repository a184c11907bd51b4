//! Files that are made from the sources and committed: they must be what the sources say.
//!
//! `CACHEKEEP_BLESS=1 cargo test --test tidy generated` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cachekeep::cli::args::Args;
use cachekeep::cli::exit;
use cachekeep::cli::inputs::RULES;
use clap::CommandFactory;
use serde_json::Value;

fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        fs::write(&path, expected).expect("written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not current: CACHEKEEP_BLESS=1 cargo test --test tidy generated");
}

/// Tables with the fields of a part of the configuration, and of the tables in it.
fn fields(text: &mut String, table: &str, part: &Value) {
    let properties = part["properties"].as_object().expect("fields");
    let is_table = |field: &Value| {
        field["properties"].is_object() || field["additionalProperties"]["properties"].is_object()
    };
    let title = if table.is_empty() { "At the top".to_owned() } else { format!("`[{table}]`") };
    let _ = write!(text, "\n### {title}\n\n| field | value | default | |\n|---|---|---|---|\n");
    for (name, field) in properties.iter().filter(|(_, field)| !is_table(field)) {
        let default = match &field["default"] {
            Value::Null => String::new(),
            Value::Array(items) if items.is_empty() => "`[]`".to_owned(),
            Value::Object(items) if items.is_empty() => String::new(),
            default => format!("`{default}`"),
        };
        let help = one_line(field);
        let _ = writeln!(text, "| `{name}` | {} | {default} | {help} |", value_of(field));
    }
    for (name, field) in properties.iter().filter(|(_, field)| is_table(field)) {
        let table = if table.is_empty() { name.clone() } else { format!("{table}.{name}") };
        match &field["additionalProperties"] {
            entries @ Value::Object(_) => fields(text, &format!("{table}.NAME"), entries),
            _ => fields(text, &table, field),
        }
    }
}

/// The help of a field, in a cell of a table.
fn one_line(field: &Value) -> String {
    let help = field["description"].as_str().expect("a help");
    help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// What a field may be.
fn value_of(field: &Value) -> String {
    let choices = field["oneOf"].as_array().or_else(|| field["anyOf"].as_array());
    if let Some(choices) = choices {
        let each = choices.iter().map(|choice| match &choice["const"] {
            Value::Null => value_of(choice),
            word => format!("`{word}`"),
        });
        return each.collect::<Vec<_>>().join(", ");
    }
    let example =
        field["examples"][1].as_str().map_or(String::new(), |example| format!(" such as `\"{example}\"`"));
    match field["type"].as_str().expect("a type") {
        "array" => "list of strings".to_owned(),
        "object" => "table of strings".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "integer" => "number".to_owned(),
        simple => format!("{simple}{example}"),
    }
}

#[test]
fn the_reference_is_current() {
    let mut text = String::from(
        "# Reference\n\nGenerated from the sources (`tests/tidy/generated.rs`). The fields of `cachekeep.toml` are \
         listed at the end, and `cachekeep schema` prints them for editors.\n\n## Exit codes\n\n| code | means |\n|---|---|\n",
    );
    for (code, meaning) in exit::DOCUMENTED {
        let _ = writeln!(text, "| {} | {meaning} |", code.0);
    }
    let _ = writeln!(text, "| {}+N | ended by signal N |", exit::SIGNAL_BASE);
    let mut command = Args::command().term_width(100);
    command.build();
    let _ = write!(text, "\n## cachekeep\n\n```text\n{}```\n", command.render_long_help());
    for subcommand in command.get_subcommands_mut().filter(|subcommand| subcommand.get_name() != "help") {
        let global: Vec<String> = subcommand
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().to_string())
            .collect();
        // Options of every command are listed once, above.
        let mut own = subcommand.clone();
        for id in global {
            own = own.mut_arg(id, |argument| argument.hide(true));
        }
        let _ = write!(
            text,
            "\n## cachekeep {}\n\n```text\n{}```\n",
            subcommand.get_name(),
            own.render_long_help()
        );
    }
    text.push_str("\n## Rules of check\n\nWhat an expression will be is not known before a workflow or pipeline runs; rules that depend on it say nothing then.\n\n");
    text.push_str("| rule | what is wrong |\n|---|---|\n");
    for rule in RULES {
        let _ = writeln!(text, "| `{}` | {} |", rule.name, rule.what);
    }
    text.push_str("\n## Fields of cachekeep.toml\n\nThe [guide](guide.md) explains them.\n");
    // `schema.rs` checks that it is current.
    let schema = include_str!("../../cachekeep.schema.json");
    fields(&mut text, "", &serde_json::from_str(schema).expect("JSON"));
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    check("docs/reference.md", &format!("{}\n", trimmed.join("\n")));
}
