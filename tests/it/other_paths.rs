//! Entries that were saved under the same key from other paths: misses that say so.

use std::fs;
use std::path::PathBuf;

use cachekeep::archive::{self, Levels, PackRequest};
use cachekeep::domain::event::{Meter, Phase};
use cachekeep::parts::Selection;
use cachekeep_test_support::project::{Project, Ran};
use tokio_util::sync::CancellationToken;

const HINT: &str =
    "change the key along with the paths (`-v1` to `-v2`): an entry is never replaced under its key";

fn config(paths: &str) -> String {
    format!("[cache.out]\npaths = [{paths}]\nkey = \"out-v1\"\nrestore-keys = [\"out-\"]\n")
}

/// A project that saved from these paths and now has others.
fn moved(before: &str, after: &str) -> Project {
    let project = Project::new(&config(before));
    for name in ["a/build/file", "a/build/tmp/file", "b/build/file", "c/file"] {
        project.write(&format!("workspace/{name}"), name);
    }
    project.run(&["save"]).success();
    project.write("workspace/cachekeep.toml", config(after));
    for name in ["a", "b", "c"] {
        fs::remove_dir_all(project.path("workspace").join(name)).expect("removed");
    }
    project
}

fn outcome(ran: &Ran) -> serde_json::Value {
    ran.json()["caches"][0]["restore"].clone()
}

#[test]
fn another_path_under_the_same_key_is_a_miss_that_names_both() {
    let project = moved(r#""a/build""#, r#""b/build""#);
    let why = "it was saved from `a/build`, and this cache is `b/build`";
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(outcome(&ran)["hit"], "none");
    assert!(ran.stderr.contains("`out-v1` of ") && ran.stderr.contains(why), "{}", ran.stderr);
    assert!(ran.stderr.contains(HINT), "{}", ran.stderr);
    assert!(!project.path("workspace/b").exists() && !project.path("workspace/a").exists());
    assert!(project.temporary_things().is_empty());
    let looked = project.run(&["--json", "restore", "--lookup-only"]).success();
    assert_eq!(outcome(&looked)["hit"], "none");
    assert!(looked.stderr.contains("does not fit: ") && looked.stderr.contains(why), "{}", looked.stderr);
    project.run(&["restore", "--lookup-only", "--fail-on-miss"]).code(4);
    project.write("workspace/b/build/file", "new");
    let saved = project.run(&["save"]).success();
    assert!(saved.stderr.contains("warning") && saved.stderr.contains(why), "{}", saved.stderr);
    assert!(saved.stderr.contains(HINT), "{}", saved.stderr);
}

#[test]
fn explain_says_that_the_paths_differ() {
    let project = moved(r#""a/build""#, r#""b/build""#);
    let told = project.run(&["explain"]).success().stdout;
    let verdict = "out misses: the paths differ: `out-v1` is there, but was saved from `a/build`, and this cache is \
                   `b/build`\n  hint: ";
    assert!(told.starts_with(&format!("{verdict}{HINT}\n")), "{told}");
    let row = told.lines().last().expect("a table");
    assert!(row.trim_start().starts_with("out-v1 ") && row.ends_with("  paths"), "{told}");
    let told = project.run(&["explain", "--json"]).success().json();
    let told = &told["caches"][0];
    assert_eq!((&told["result"], &told["differs"]), (&"miss".into(), &"paths".into()));
    assert_eq!(told["found"], serde_json::Value::Null);
    assert_eq!(told["witness"]["key"], "out-v1");
    assert_eq!(told["candidates"][0]["differs"], serde_json::json!(["paths"]));
}

#[test]
fn an_entry_that_a_prefix_finds_is_no_exception() {
    let project = moved(r#""a/build""#, r#""b/build""#);
    let later = config(r#""b/build""#).replace("\"out-v1\"", "\"out-v2\"");
    project.write("workspace/cachekeep.toml", later);
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(outcome(&ran)["hit"], "none");
    assert!(ran.stderr.contains("it was saved from `a/build`"), "{}", ran.stderr);
    // Under a key of its own it is saved.
    project.write("workspace/b/build/file", "new");
    let ran = project.run(&["--json", "save"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved");
}

#[test]
fn what_was_excluded_since_is_not_restored_and_what_no_longer_is_was_never_saved() {
    let project = moved(r#""a/build""#, r#""a/build", "!a/build/tmp""#);
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(outcome(&ran)["hit"], "exact", "{}", ran.stderr);
    assert!(project.path("workspace/a/build/file").exists());
    assert!(!project.path("workspace/a/build/tmp").exists());
    let project = moved(r#""a/build", "!a/build/tmp""#, r#""a/build""#);
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(outcome(&ran)["hit"], "none", "{}", ran.stderr);
    assert!(ran.stderr.contains("it was saved from `a/build`, `!a/build/tmp`"), "{}", ran.stderr);
}

#[test]
fn roots_that_changed_places_are_other_paths() {
    let project = moved(r#""a/build", "c""#, r#""c", "a/build""#);
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(outcome(&ran)["hit"], "none");
    assert!(ran.stderr.contains("it was saved from `a/build`, and this cache is `c`"), "{}", ran.stderr);
    assert!(!project.path("workspace/c").exists());
}

#[test]
fn one_place_may_be_written_in_any_way() {
    let project = moved(r#""a/build", "{temp}/x", "{home}/y""#, r#""a/build", "{temp}/x", "{home}/y""#);
    let at = |name: &str| project.path(name).canonicalize().expect("there").display().to_string();
    let (workspace, temp) = (project.path("workspace").display().to_string(), at("temp"));
    for paths in [
        r#""{workspace}/a/build", "{temp}/x", "~/y""#.to_owned(),
        r#""./a/build/", "{temp}/./x/**", "{home}/y""#.to_owned(),
        format!(r#"'{workspace}/a/build', '{temp}/x', "~/y""#),
    ] {
        project.write("workspace/cachekeep.toml", config(&paths));
        let ran = project.run(&["--json", "restore"]).success();
        assert_eq!(outcome(&ran)["hit"], "exact", "{paths}: {}", ran.stderr);
    }
}

/// The only entry of the project's store.
fn entry(project: &Project) -> PathBuf {
    let all = walkdir::WalkDir::new(project.path("home")).into_iter().flatten();
    let mut entries = all.filter(|entry| entry.file_name().to_string_lossy().ends_with(".tar.zst"));
    entries.next().expect("an entry").into_path()
}

#[test]
fn an_entry_that_records_no_paths_is_restored() {
    let project = moved(r#""a/build""#, r#""b/build""#);
    project.write("earlier/file", "of an earlier cachekeep");
    let selections = [Selection::everything(project.path("earlier"))];
    let request = PackRequest {
        cache: "out",
        selections: &selections,
        last: None,
        workers: 1,
        levels: Levels::default(),
        producer: "earlier",
    };
    let mut bytes = Vec::new();
    let meter = Meter::new("out", Phase::Save);
    archive::pack(&request, &mut bytes, &CancellationToken::new(), &meter).expect("packed");
    fs::write(entry(&project), bytes).expect("written");
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(outcome(&ran)["hit"], "exact", "{}", ran.stderr);
    assert_eq!(project.read("workspace/b/build/file"), "of an earlier cachekeep");
    assert!(project.run(&["explain"]).success().stdout.starts_with("out hits exactly"));
}
