//! `action.yml` agrees with the sources: inputs, outputs, pins; and the reference page lists them all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cachekeep::cli::inputs::NESTED;
use cachekeep::cli::inputs::{INPUTS, variable};
use cachekeep::parts::OUTPUTS;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn text(relative: &str) -> String {
    fs::read_to_string(root().join(relative)).expect(relative)
}

/// The SHA-256 of bytes in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    cachekeep::domain::digest::Sha256Digest::of(bytes).to_string()
}

/// The lines below `heading:` at the margin, without the margin of two.
fn section<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let start = text.find(&format!("\n{heading}:\n")).expect(heading) + heading.len() + 3;
    let lines = text[start..].lines().take_while(|line| line.is_empty() || line.starts_with(' '));
    lines.filter_map(|line| line.strip_prefix("  ")).collect()
}

/// `(name, description, field)` of each entry of a section, where `field` is another field of it.
pub fn entries(text: &str, heading: &str, field: &str) -> Vec<(String, String, String)> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for line in section(text, heading) {
        let quoted = |rest: &str| rest.trim_matches('"').to_owned();
        if let Some(rest) = line.strip_prefix("  description: ") {
            found.last_mut().expect("a name").1 = quoted(rest);
        } else if let Some(rest) = line.strip_prefix(&format!("  {field}: ")) {
            found.last_mut().expect("a name").2 = quoted(rest);
        } else if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            found.push((name.to_owned(), String::new(), String::new()));
        }
    }
    found
}

#[test]
fn inputs_are_those_of_the_sources() {
    let expect: Vec<_> = INPUTS
        .iter()
        .map(|input| (input.name.to_owned(), input.help.to_owned(), input.default.to_owned()))
        .collect();
    assert_eq!(entries(&text("action.yml"), "inputs", "default"), expect);
}

#[test]
fn outputs_are_those_of_the_sources() {
    let value = |name: &str| format!("${{{{ steps.finish.outputs.{name} || steps.start.outputs.{name} }}}}");
    let expect: Vec<_> = OUTPUTS
        .iter()
        .map(|output| (output.name.to_owned(), output.help.to_owned(), value(output.name)))
        .collect();
    assert_eq!(entries(&text("action.yml"), "outputs", "value"), expect);
}

#[test]
fn every_step_of_ours_gets_every_input_in_its_environment() {
    let steps = crate::action::steps::own_steps();
    assert_eq!(
        steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(),
        ["install", "start", "stage", "finish"]
    );
    for step in steps.iter().filter(|step| step.id != "install") {
        for input in INPUTS.iter().filter(|input| input.name != "version") {
            let given = step.env.iter().find(|(name, _)| *name == variable(input.name));
            let expect = format!("${{{{ inputs.{} }}}}", input.name);
            assert_eq!(given.map(|(_, value)| value.as_str()), Some(expect.as_str()), "{}", step.id);
        }
        // A step with `path` has no policy that the status of the job would matter to.
        let status = step.env.iter().find(|(name, _)| name == "CACHEKEEP_JOB_STATUS");
        let expect = "${{ inputs.path == '' && job.status || '' }}";
        assert_eq!(status.map(|(_, value)| value.as_str()), Some(expect), "{}", step.id);
    }
}

#[test]
fn no_expression_stands_in_a_script() {
    for step in crate::action::steps::own_steps() {
        assert!(!step.run.contains("${{"), "{}: {}", step.id, step.run);
        for word in step.run.split_whitespace().filter(|word| word.contains('$')) {
            assert!(word.starts_with('"') && word.ends_with('"'), "{}: {word} is not quoted", step.id);
        }
    }
}

#[test]
fn there_are_as_many_nested_steps_as_the_sources_say() {
    let action = text("action.yml");
    for index in 0..=NESTED {
        let expect = usize::from(index < NESTED);
        for id in [format!("id: restore-{index}\n"), format!("id: kept-{index}\n")] {
            assert_eq!(action.matches(&id).count(), expect, "{id}");
        }
        assert_eq!(action.matches(&format!("CACHEKEEP_STAGED_{index}:")).count(), expect);
    }
    assert_eq!(action.matches("actions/cache/save@").count(), NESTED);
    assert_eq!(action.matches("enableCrossOsArchive: true").count(), 3 * NESTED);
}

/// Every `uses:` of other people's actions in a file.
fn foreign_actions(text: &str) -> Vec<&str> {
    let uses = text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "));
    // The workflows that others call use the release that they belong to.
    uses.filter(|name| !name.starts_with("./") && *name != "cachekeep/cachekeep@v1").collect()
}

#[test]
fn actions_are_pinned_by_commit_and_one_action_by_one_commit() {
    let mut files =
        ["action.yml", "restore/action.yml", "save/action.yml"].map(|file| root().join(file)).to_vec();
    let workflows = fs::read_dir(root().join(".github/workflows")).expect("workflows");
    files.extend(workflows.flatten().map(|entry| entry.path()));
    let mut pins = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a file");
        for name in foreign_actions(&text) {
            let (action, rest) = name.split_once('@').expect("a reference");
            let (commit, comment) = rest.split_once(" # ").unwrap_or((rest, ""));
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_commit && comment.starts_with('v'), "{}: {name}", file.display());
            let repository: Vec<&str> = action.split('/').take(2).collect();
            pins.insert((repository.join("/"), commit.to_owned()));
        }
    }
    let repositories: BTreeSet<&String> = pins.iter().map(|(repository, _)| repository).collect();
    assert_eq!(repositories.len(), pins.len(), "{pins:?}");
}

#[test]
fn the_reference_page_is_current() {
    let mut inputs = String::from("| input | default | |\n|---|---|---|\n");
    for input in INPUTS {
        let default = if input.default.is_empty() { String::new() } else { format!("`{}`", input.default) };
        let _ = writeln!(inputs, "| `{}` | {default} | {} |", input.name, input.help);
    }
    let mut outputs = String::from("| output | |\n|---|---|\n");
    for output in OUTPUTS {
        let _ = writeln!(outputs, "| `{}` | {} |", output.name, output.help);
    }
    let path = Path::new("docs/github-actions.md");
    let mut page = text("docs/github-actions.md");
    let mut current = page.clone();
    for (name, table) in [("inputs", inputs), ("outputs", outputs)] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let from = current.find(&begin).expect("a mark") + begin.len();
        let to = current.find(&end).expect("a mark");
        current.replace_range(from..to, &table);
    }
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        fs::write(root().join(path), &current).expect("written");
        page.clone_from(&current);
    }
    assert!(page == current, "{}: CACHEKEEP_BLESS=1 cargo test --test it action::", path.display());
}
