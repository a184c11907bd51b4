//! `task.json` and `vss-extension.json`: the fields that the service and the agent want, and what the sources say.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Command;

use cachekeep::cli::task::{output_name, shared_inputs};
use cachekeep::parts::OUTPUTS;
use serde_json::{Value, json};

use super::extension;

fn read(name: &str) -> Value {
    let text = fs::read_to_string(extension().join(name)).expect(name);
    serde_json::from_str(&text).expect("JSON")
}

fn definition() -> Value {
    read("CachekeepV0/task.json")
}

fn list<'a>(value: &'a Value, field: &str) -> Vec<&'a Value> {
    value[field].as_array().unwrap_or_else(|| panic!("no {field}")).iter().collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// A name that the service takes for an input or an output: no dashes.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[test]
fn inputs_and_outputs_are_those_of_the_sources() {
    let task = definition();
    let found: BTreeSet<(&str, &str, &str)> = list(&task, "inputs")
        .into_iter()
        .map(|input| (text(input, "name"), text(input, "defaultValue"), text(input, "helpMarkDown")))
        .filter(|(name, ..)| !["azureSubscription", "save"].contains(name))
        .collect();
    let shared: Vec<(String, _)> = shared_inputs().collect();
    let expect: BTreeSet<(&str, &str, &str)> =
        shared.iter().map(|(name, input)| (name.as_str(), input.default, input.help)).collect();
    assert_eq!(found, expect);
    let found: Vec<(&str, &str)> = list(&task, "outputVariables")
        .into_iter()
        .map(|output| (text(output, "name"), text(output, "description")))
        .collect();
    let names: Vec<String> = OUTPUTS.iter().map(|output| output_name(output.name)).collect();
    let expect: Vec<(&str, &str)> =
        names.iter().zip(OUTPUTS).map(|(name, output)| (name.as_str(), output.help)).collect();
    assert_eq!(found, expect);
}

#[test]
fn names_types_and_groups_are_those_that_the_service_takes() {
    let task = definition();
    let groups: Vec<&str> = list(&task, "groups").into_iter().map(|group| text(group, "name")).collect();
    let types = [
        "boolean",
        "filePath",
        "multiLine",
        "pickList",
        "radio",
        "secureFile",
        "string",
        "int",
        "connectedService:AzureRM",
    ];
    for input in list(&task, "inputs") {
        assert!(is_name(text(input, "name")) && types.contains(&text(input, "type")), "{input}");
        assert!(input["groupName"].as_str().is_none_or(|group| groups.contains(&group)), "{input}");
        assert_eq!(input["required"], json!(false), "{input}");
    }
    assert!(list(&task, "outputVariables").into_iter().all(|output| is_name(text(output, "name"))));
    let id = text(&task, "id");
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert!(lengths == [8, 4, 4, 4, 12] && id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
    assert!(text(&task, "name").chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    assert!(text(&task, "friendlyName").len() <= 40 && !text(&task, "instanceNameFormat").is_empty());
    let allowed = |field: &str, words: &[&str]| {
        list(&task, field).into_iter().all(|value| value.as_str().is_some_and(|word| words.contains(&word)))
    };
    assert!(allowed("runsOn", &["Agent", "DeploymentGroup"]) && allowed("visibility", &["Build", "Release"]));
}

#[test]
fn the_agent_finds_its_scripts() {
    let task = definition();
    // The first agent with Node20_1; older ones update themselves.
    assert_eq!(text(&task, "minimumAgentVersion"), "4.248.0");
    for stage in ["execution", "postjobexecution"] {
        let handlers = task[stage].as_object().expect("handlers");
        assert_eq!(handlers.keys().collect::<Vec<_>>(), ["Node20_1", "Node24"]);
        for handler in handlers.values() {
            // Macros in it are replaced in one of the stages alone.
            assert!(!text(handler, "target").contains("$("), "{handler}");
            assert!(extension().join("CachekeepV0").join(text(handler, "target")).is_file(), "{handler}");
        }
    }
    // A restricted task could upload no summary.
    for field in ["restrictions", "prejobexecution", "demands"] {
        assert!(task.get(field).is_none(), "{field}");
    }
}

/// An agent keeps its copy of a task as long as the version stays.
#[test]
fn versions_are_those_of_the_program() {
    let task = definition();
    let part = |name: &str| task["version"][name].as_u64().expect("a number");
    let version = format!("{}.{}.{}", part("Major"), part("Minor"), part("Patch"));
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&read("vss-extension.json"), "version"), version);
}

#[test]
fn the_manifest_contributes_the_task() {
    let manifest = read("vss-extension.json");
    assert_eq!(manifest["manifestVersion"], json!(1));
    assert_eq!(manifest["categories"], json!(["Azure Pipelines"]));
    assert_eq!(manifest["targets"], json!([{ "id": "Microsoft.VisualStudio.Services" }]));
    assert!(text(&manifest, "description").len() <= 200);
    let contributions = list(&manifest, "contributions");
    assert_eq!(contributions.len(), 1);
    assert_eq!(text(contributions[0], "type"), "ms.vss-distributed-task.task");
    assert_eq!(contributions[0]["targets"], json!(["ms.vss-distributed-task.tasks"]));
    let folder = text(&contributions[0]["properties"], "name");
    assert!(extension().join(folder).join("task.json").is_file());
    assert_eq!(manifest["files"], json!([{ "path": folder }]));
}

/// The schema of the task's library is not part of this repository: `CACHEKEEP_TASKS_SCHEMA` names it.
#[test]
fn the_schema_of_tasks_accepts_the_definition_and_refuses_a_broken_one() {
    let Some(schema) = std::env::var_os("CACHEKEEP_TASKS_SCHEMA") else {
        let text = "\nNOT CHECKED: task.json against tasks.schema.json, which CACHEKEEP_TASKS_SCHEMA does not name\n";
        let _ = std::io::stderr().write_all(text.as_bytes());
        return;
    };
    let place = tempfile::tempdir().expect("a directory");
    let is_valid = |definition: &Value| {
        let file = place.path().join("task.json");
        fs::write(&file, definition.to_string()).expect("written");
        // The schema's patterns are older than the regular expressions of today's JSON schemas.
        let mut check = Command::new("check-jsonschema");
        check.args(["--regex-variant", "python", "--schemafile"]).arg(&schema).arg(&file);
        check.output().expect("check-jsonschema").status.success()
    };
    assert!(is_valid(&definition()));
    let broken = |field: &str, value: Value| {
        let mut broken = definition();
        broken[field] = value;
        broken
    };
    assert!(!is_valid(&broken("id", json!("no-guid"))));
    assert!(!is_valid(&broken("inputs", json!([{ "name": "with-dash", "label": "x", "type": "string" }]))));
    assert!(!is_valid(&broken("execution", json!({ "Process": { "target": "cachekeep" } }))));
}
