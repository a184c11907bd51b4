//! Cleaning a directory store: the same rules, without a forge to ask.

use std::collections::BTreeSet;

use cachekeep_test_support::project::{Project, Ran, file_url};

pub(crate) const CONFIG: &str = r#"
[cache.c]
path = "cache"
key = "c-{var.day}"

[clean]
superseded = { keep = 1 }
"#;

pub(crate) fn run(project: &Project, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    let common = ["--store", &store, "--ref", "main", "--default-ref", "main"];
    project.run(&[arguments, &common].concat())
}

pub(crate) fn keys(document: &serde_json::Value, verdict: &str) -> BTreeSet<String> {
    let entries = document["plan"]["entries"].as_array().expect("entries");
    let of_verdict = entries.iter().filter(|entry| entry["verdict"] == verdict);
    of_verdict.map(|entry| entry["key"].as_str().expect("a key").to_owned()).collect()
}

#[test]
fn superseded_generations_of_a_directory_store_go() {
    let project = Project::new(CONFIG);
    for day in 1..=3 {
        project.write("workspace/cache/file", format!("content of day {day}"));
        run(&project, &["save", "--var", &format!("day=2026110{day}"), "--required"]).success();
    }
    let dry = run(&project, &["clean", "--dry-run", "--json"]).success().json();
    assert_eq!(keys(&dry, "delete"), ["c-20261101", "c-20261102"].map(str::to_owned).into());
    let done = run(&project, &["clean", "--json"]).success().json();
    assert_eq!(done["freed"]["entries"], 2);
    assert!(done["calls"].is_null());
    let again = run(&project, &["clean", "--json"]).success().json();
    assert!(keys(&again, "delete").is_empty());
    assert_eq!(keys(&again, "keep"), ["c-20261103".to_owned()].into());
    run(&project, &["restore", "--var", "day=20261103", "--fail-on-miss"]).success();
}

#[test]
fn a_store_that_cannot_be_opened_fails_with_its_reason() {
    let project = Project::new(CONFIG);
    project.write("store", "not a directory");
    let ran = run(&project, &["clean"]);
    assert!(ran.code == 1, "{}: {}", ran.code, ran.stderr);
    assert!(ran.stderr.contains("cannot find out what is in"), "{}", ran.stderr);
}
