//! `init` on repositories of different languages: in `tests/fixtures/init` each has its proposal beside it, as a diff and as notes.
//! `CACHEKEEP_BLESS=1` writes both anew.

#[cfg(unix)]
mod gitlab;
#[cfg(unix)]
mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::project::Project;
use cachekeep_test_support::skip::skip;

use crate::action::definition::root;

const REPOSITORIES: [&str; 8] = ["azure", "cpp", "gitlab", "go", "links", "node", "python", "rust"];

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/init")
}

/// Copies a tree.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a listing") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

/// A project with the files of a fixture.
fn project(name: &str) -> Project {
    let project = Project::new("");
    fs::remove_file(project.path("workspace/cachekeep.toml")).expect("removed");
    copy(&fixtures().join(name), &project.path("workspace"));
    project
}

/// Compares with a file beside the fixtures, or writes it.
#[cfg(unix)]
#[track_caller]
fn compare(file: &str, text: &str) {
    let path = fixtures().join(file);
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        fs::write(&path, text).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{file}");
}

fn check(project: &Project, program: &str, arguments: &[&str]) {
    match Command::new(program).args(arguments).current_dir(project.path("workspace")).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
        }
        Err(error) => skip("a check of what `init` proposes", &format!("{program}: {error}")),
    }
}

/// The workflows and pipelines of a project.
fn workflows(project: &Project) -> Vec<String> {
    let directory = project.path("workspace/.github/workflows");
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    names.map(|entry| format!(".github/workflows/{}", entry.file_name().to_string_lossy())).collect()
}

#[test]
#[cfg(unix)]
fn proposals_are_those_beside_the_fixtures() {
    for name in REPOSITORIES {
        let ran = project(name).run(&["init"]).success();
        compare(&format!("{name}.diff"), &ran.stdout);
        compare(&format!("{name}.log"), &ran.stderr);
    }
}

#[test]
fn a_diff_says_what_is_written_and_a_second_run_finds_nothing_more() {
    for name in REPOSITORIES {
        let (shown, made) = (project(name), project(name));
        let diff = shown.run(&["init"]).success().stdout;
        shown.write("workspace/proposal.diff", &diff);
        check(&shown, "git", &["apply", "proposal.diff"]);
        let document = made.run(&["--json", "init", "--write"]).success().json();
        assert_eq!(document["written"], true, "{name}");
        let files = document["files"].as_array().expect("files");
        for file in files {
            let path = format!("workspace/{}", file["path"].as_str().expect("a path").replace('\\', "/"));
            assert_eq!(shown.read(&path), made.read(&path), "{name}: {path}");
        }
        assert!(made.temporary_things().is_empty(), "{name}");
        let again = made.run(&["--json", "init"]).success().json();
        assert_eq!(again["files"].as_array().map(Vec::len), Some(0), "{name}: {again}");
        let reasons = |document: &serde_json::Value| -> Vec<String> {
            let left = document["left"].as_array().expect("findings");
            left.iter().map(|finding| finding["message"].to_string()).collect()
        };
        assert_eq!(reasons(&again), reasons(&document), "{name}");
    }
}

#[test]
fn what_is_proposed_has_no_error_and_passes_the_linters() {
    let schema = |project: &Project, name: &str, file: &str| {
        check(project, "check-jsonschema", &["--builtin-schema", &format!("vendor.{name}"), file]);
    };
    for name in REPOSITORIES {
        let project = project(name);
        project.run(&["init", "--write"]).success();
        let found = project.run(&["check", "--json"]);
        if name != "gitlab" {
            let findings = found.json()["findings"].as_array().expect("findings").clone();
            assert!(findings.iter().all(|finding| finding["severity"] != "error"), "{name}: {findings:?}");
        }
        found.success();
        for file in workflows(&project) {
            check(&project, "actionlint", &[&file]);
            schema(&project, "github-workflows", &file);
        }
        match name {
            "azure" => {
                let transform = ["--data-transform", "azure-pipelines", "azure-pipelines.yml"];
                let vendor = ["--regex-variant", "python", "--builtin-schema", "vendor.azure-pipelines"];
                check(&project, "check-jsonschema", &[&vendor[..], &transform].concat());
            }
            "gitlab" => gitlab_schema(&project, ".gitlab-ci.yml"),
            _ => {}
        }
    }
}

fn gitlab_schema(project: &Project, file: &str) {
    // The schema has escapes that only Python's expressions know.
    let arguments = ["--regex-variant", "python", "--data-transform", "gitlab-ci", file];
    check(project, "check-jsonschema", &[&["--builtin-schema", "vendor.gitlab-ci"], &arguments[..]].concat());
}

#[test]
fn the_template_for_gitlab_fits_its_schema() {
    let project = Project::new("");
    project
        .write("workspace/cachekeep.yml", fs::read(root().join("gitlab/cachekeep.yml")).expect("a template"));
    gitlab_schema(&project, "cachekeep.yml");
}

#[test]
fn nothing_is_written_unless_that_was_asked_for() {
    let project = project("go");
    let before = project.read("workspace/.github/workflows/go.yml");
    project.run(&["init"]).success();
    assert_eq!(project.read("workspace/.github/workflows/go.yml"), before);
    assert!(!project.path("workspace/cachekeep.toml").exists());
}

#[test]
fn an_empty_repository_is_told_how_to_start() {
    let project = Project::new("");
    fs::remove_file(project.path("workspace/cachekeep.toml")).expect("removed");
    let ran = project.run(&["init"]).success();
    assert_eq!(ran.stdout, "nothing to propose\n");
    assert!(ran.stderr.contains("no cache of another program was found"), "{}", ran.stderr);
    assert!(ran.stderr.contains("cachekeep init --starter"), "{}", ran.stderr);
    project.run(&["init", "--starter", "--write"]).success();
    project.run(&["check"]).success();
    let ran = project.run(&["init", "--starter", "--write"]).success();
    assert!(ran.stderr.contains("`cachekeep.toml` is there, and stays as it is"), "{}", ran.stderr);
}
