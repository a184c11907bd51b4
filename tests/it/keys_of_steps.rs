//! Restore and save as separate steps: the save uses the key that the restore computed.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::project::{Project, Ran};

const CONFIG: &str = r#"
[cache.deps]
path = "deps"
key = "deps-{var.flavor}-{files:**/package-lock.json}"
"#;

/// A project with one lock file, which is not in the cache.
fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/package-lock.json", "1");
    project.write("workspace/deps/file", "contents");
    project
}

fn in_pipeline(project: &Project, id: &str, arguments: &[&str]) -> Ran {
    let variables = [
        ("GITLAB_CI", "true"),
        ("CI", "true"),
        ("CI_PIPELINE_ID", id),
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
    ];
    Ran::of(project.command().envs(variables).args(arguments)).success()
}

fn on_ci(project: &Project, arguments: &[&str]) -> Ran {
    in_pipeline(project, "7", arguments)
}

fn on_laptop(project: &Project, arguments: &[&str]) -> Ran {
    project.run(arguments).success()
}

/// The key that a save used.
fn saved_key(ran: &Ran) -> String {
    let document = ran.json();
    let save = &document["caches"][0]["save"];
    assert_eq!(save["save-result"], "saved", "{}", ran.stderr);
    save["key"].as_str().expect("a key").to_owned()
}

/// The key of the tree as it is.
fn key(project: &Project) -> String {
    let ran = project.run(&["key", "--json", "--var", "flavor=a"]).success();
    ran.json()["caches"][0]["key"].as_str().expect("a key").to_owned()
}

type Run = fn(&Project, &[&str]) -> Ran;

#[test]
fn a_lock_file_that_the_build_made_does_not_change_the_key() {
    for run in [on_ci as Run, on_laptop] {
        let project = project();
        let fresh = key(&project);
        run(&project, &["restore", "--var", "flavor=a"]);
        project.write("workspace/node_modules/x/package-lock.json", "made");
        assert_ne!(key(&project), fresh);
        let ran = run(&project, &["save", "--json", "--var", "flavor=a"]);
        assert_eq!(saved_key(&ran), fresh);
        assert!(ran.stderr.contains("because of `node_modules/x/package-lock.json`"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`--recompute-key`"), "{}", ran.stderr);
    }
}

#[test]
fn the_new_key_is_used_where_it_is_asked_for() {
    let project = project();
    on_ci(&project, &["restore", "--var", "flavor=a"]);
    project.write("workspace/node_modules/x/package-lock.json", "made");
    let ran = on_ci(&project, &["save", "--json", "--recompute-key", "--var", "flavor=a"]);
    assert_eq!(saved_key(&ran), key(&project));
}

#[test]
fn a_job_of_a_ci_keeps_its_key_and_a_laptop_follows_edits() {
    let job = project();
    let fresh = key(&job);
    on_ci(&job, &["restore", "--var", "flavor=a"]);
    job.write("workspace/package-lock.json", "2");
    assert_eq!(saved_key(&on_ci(&job, &["save", "--json", "--var", "flavor=a"])), fresh);

    let laptop = project();
    on_laptop(&laptop, &["restore", "--var", "flavor=a"]);
    laptop.write("workspace/package-lock.json", "3");
    let ran = on_laptop(&laptop, &["save", "--json", "--var", "flavor=a"]);
    assert_eq!(saved_key(&ran), key(&laptop));
    assert!(!ran.stderr.contains("as this job restored it"), "{}", ran.stderr);
}

#[test]
fn variables_of_the_restore_are_remembered_and_others_are_obeyed() {
    let project = project();
    let fresh = key(&project);
    on_ci(&project, &["restore", "--var", "flavor=a"]);
    assert_eq!(saved_key(&on_ci(&project, &["save", "--json"])), fresh, "no variable is given");
    let ran = on_ci(&project, &["save", "--json", "--var", "flavor=b"]);
    assert!(saved_key(&ran).starts_with("deps-b-"), "{}", ran.stderr);
}

#[test]
fn keys_of_another_job_are_not_used() {
    let project = project();
    on_ci(&project, &["restore", "--var", "flavor=a"]);
    project.write("workspace/package-lock.json", "2");
    let ran = in_pipeline(&project, "8", &["save", "--json", "--var", "flavor=a"]);
    assert_eq!(saved_key(&ran), key(&project));
}

#[test]
fn a_damaged_note_is_ignored() {
    let project = project();
    on_ci(&project, &["restore", "--var", "flavor=a"]);
    let notes = notes(&project.path(""));
    assert_eq!(notes.len(), 1);
    for damage in ["", "{", "{\"job\":5}", "[]", "\0\u{ff}"] {
        fs::write(&notes[0], damage).expect("written");
        project.write("workspace/package-lock.json", format!("changed {damage}"));
        let ran = on_ci(&project, &["save", "--json", "--var", "flavor=a"]);
        assert_eq!(saved_key(&ran), key(&project), "{damage}");
    }
}

/// The notes of keys below a directory.
fn notes(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(".keys.json") {
            found.push(entry.path());
        }
        found.extend(notes(&entry.path()));
    }
    found
}
