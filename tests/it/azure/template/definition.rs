//! The templates agree with the sources and with Azure's schema, and no parameter stands in a script.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cachekeep::cli::inputs::{INPUTS, NESTED, variable};
use cachekeep_test_support::skip::skip;

use crate::action::definition::{root, text};

const TEMPLATES: [&str; 6] = ["install", "connection", "restore", "save", "populate", "clean"];

/// Parameters that are not inputs of the action: `install.yml`'s, `Cache@2`'s, and of the steps themselves.
const OWN: [&str; 8] =
    ["transport", "format", "stagingDirectory", "serviceConnection", "prefix", "sums", "source", "condition"];

/// Inputs that restore and save have nothing to do with, or that only GitHub has.
const NOT_HERE: [&str; 12] = [
    "mode",
    "dry-run",
    "pull-request",
    "key-prefix",
    "ref",
    "older-than",
    "unused-for",
    "with-protected",
    "free",
    "html",
    "lookup-only",
    "per-os",
];

fn template(name: &str) -> String {
    text(&format!("azure-task/{name}.yml"))
}

fn parameters(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("  - name: ")).map(str::to_owned).collect()
}

/// `fail-on-cache-miss` as `failOnCacheMiss`: parameters have no dashes.
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| format!("{name}{}{}", part[..1].to_uppercase(), &part[1..]))
}

#[test]
fn parameters_are_those_of_the_sources() {
    let of_action: BTreeSet<String> = INPUTS
        .iter()
        .filter(|input| !NOT_HERE.contains(&input.name))
        .map(|input| camel(input.name))
        .collect();
    // Both come in variables of the same names.
    assert!(INPUTS.iter().all(|input| !OWN.contains(&camel(input.name).as_str())), "{OWN:?} are taken");
    let expect: BTreeSet<String> = of_action.iter().cloned().chain(OWN.map(str::to_owned)).collect();
    let of = |name: &str| parameters(&template(name)).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(of("restore"), &expect - &BTreeSet::from(["condition".to_owned()]));
    let only_restored = ["restoreKeys", "failOnCacheMiss", "exact", "seed", "allowExport"].map(str::to_owned);
    assert_eq!(of("save"), &expect - &only_restored.into());
    for small in ["populate", "clean"] {
        let unknown: Vec<_> =
            of(small).into_iter().filter(|name| name != "dryRun" && !expect.contains(name)).collect();
        assert_eq!(unknown, [] as [&str; 0], "{small}");
    }
}

#[test]
fn every_parameter_reaches_the_program_by_its_environment() {
    for (name, steps) in [("restore", 2), ("save", 1)] {
        let text = template(name);
        for parameter in parameters(&text) {
            let value = format!("${{{{ parameters.{parameter} }}}}");
            let input = INPUTS.iter().find(|input| camel(input.name) == parameter && input.name != "version");
            let own = ["transport", "format", "stagingDirectory", "prefix"].contains(&parameter.as_str());
            let variable = match input {
                Some(input) => variable(input.name),
                None if own => variable(&parameter.replace("Directory", "-directory")),
                None => continue,
            };
            assert_eq!(
                text.matches(&format!("      {variable}: {value}\n")).count(),
                steps,
                "{name} {variable}"
            );
        }
    }
}

#[test]
fn no_parameter_and_no_macro_stands_in_a_script() {
    for name in TEMPLATES {
        for script in scripts(&template(name)) {
            assert!(!script.contains("${{"), "{name}: {script}");
            // The agent expands `$(name)` before a shell sees it; a command with arguments it leaves alone.
            for after in script.split("$(").skip(1) {
                let word: String =
                    after.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
                assert!(!after[word.len()..].starts_with(')'), "{name}: $({word})");
            }
        }
    }
}

/// The scripts of a template.
fn scripts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let start = line.trim_start().trim_start_matches("- ");
        let Some(rest) = ["bash: ", "inlineScript: "].iter().find_map(|key| start.strip_prefix(key)) else {
            continue;
        };
        if rest == "|" {
            let indent = |line: &str| line.len() - line.trim_start().len();
            let margin = lines.peek().map_or(0, |first| indent(first));
            let mut script = String::new();
            while let Some(next) = lines.next_if(|next| next.trim().is_empty() || indent(next) >= margin) {
                script.push_str(next.get(margin..).unwrap_or_default());
                script.push('\n');
            }
            found.push(script);
        } else {
            found.push(rest.trim_matches('\'').to_owned());
        }
    }
    found
}

#[test]
fn there_are_as_many_tasks_as_the_sources_say() {
    let text = template("restore");
    assert_eq!(text.matches("task: Cache@2").count(), NESTED);
    for slot in 0..NESTED {
        for name in ["KEY", "RESTORE_KEYS", "PATH"] {
            assert_eq!(
                text.matches(&format!("$(${{{{ parameters.prefix }}}}_{name}_{slot})")).count(),
                1,
                "{name}"
            );
        }
    }
}

#[test]
fn shellcheck_is_content_with_the_scripts() {
    for name in TEMPLATES {
        for script in scripts(&template(name)) {
            let mut command = Command::new("shellcheck");
            command.args(["-s", "bash", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let Ok(mut child) = command.spawn() else {
                return skip("shellcheck_is_content_with_the_scripts", "shellcheck is not installed");
            };
            child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
            let output = child.wait_with_output().expect("ended");
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// Whether Azure's schema takes a file; `None` without the program.
fn is_valid(file: &PathBuf) -> Option<bool> {
    let mut command = Command::new("check-jsonschema");
    command.args(["--builtin-schema", "vendor.azure-pipelines", "--data-transform", "azure-pipelines"]);
    command.arg(file).output().ok().map(|output| output.status.success())
}

#[test]
fn the_schema_takes_the_templates_and_refuses_a_broken_one() {
    let place = tempfile::tempdir().expect("a directory");
    for name in TEMPLATES {
        let Some(valid) = is_valid(&root().join(format!("azure-task/{name}.yml"))) else {
            return skip("the_schema_takes_the_templates", "check-jsonschema is not installed");
        };
        assert!(valid, "{name}");
    }
    let broken = place.path().join("restore.yml");
    std::fs::write(&broken, template("restore").replace("cacheHitVar:", "cacheHitVariable:"))
        .expect("written");
    assert_eq!(is_valid(&broken), Some(false));
}
