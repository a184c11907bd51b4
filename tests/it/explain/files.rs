//! `explain --files`: the files here compared with those of the entry.

use std::fs;
use std::os::unix::fs::symlink;

use cachekeep_test_support::project::{Project, Ran, file_url};

fn run(project: &Project, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    project.run(&[arguments, &["--store", &store, "--ref", "main"]].concat()).success()
}

fn project(paths: &str) -> Project {
    let project = Project::new(&format!("[cache.data]\n{paths}\nkey = \"k\"\n"));
    for name in ["same", "changed", "longer", "gone", "d/deep"] {
        project.write(&format!("workspace/out/{name}"), "saved");
    }
    symlink("same", project.path("workspace/out/link")).expect("a link");
    fs::hard_link(project.path("workspace/out/same"), project.path("workspace/out/twin")).expect("a link");
    project
}

#[test]
fn files_that_differ_are_named() {
    let project = project("path = \"out\"");
    run(&project, &["save"]);
    let unchanged = run(&project, &["explain", "--files", "--json"]).json()["caches"][0]["files"].clone();
    let none: [&str; 0] = [];
    assert_eq!(unchanged, serde_json::json!({ "changed": none, "added": none, "removed": none, "same": 7 }));
    let out = project.path("workspace/out");
    project.write("workspace/out/changed", "other");
    project.write("workspace/out/longer", "longer than it was");
    project.write("workspace/out/new\u{1b}[2J", "new");
    fs::remove_file(out.join("gone")).expect("removed");
    fs::remove_file(out.join("link")).expect("removed");
    symlink("elsewhere", out.join("link")).expect("a link");
    // The same contents at another time are the same; what was one file with two names may be two files.
    fs::remove_file(out.join("twin")).expect("removed");
    project.write("workspace/out/twin", "saved");
    let files = run(&project, &["explain", "--files", "--json"]).json()["caches"][0]["files"].clone();
    assert_eq!(
        files,
        serde_json::json!({
            "changed": ["changed", "link", "longer"], "added": ["new\u{1b}[2J"], "removed": ["gone"], "same": 3
        })
    );
    let text = run(&project, &["explain", "--files"]).stdout;
    let expect = "\n  3 files as in the entry, 3 changed, 1 only here, 1 only in the entry\n  ~ changed\n  ~ link\n  ~ longer\n  + new\\u{1b}[2J\n  - gone\n";
    assert!(text.ends_with(expect), "{text}");
    assert!(!run(&project, &["explain"]).stdout.contains("as in the entry"));
}

#[test]
fn files_of_several_roots_have_the_number_of_their_root() {
    let project = project("paths = [\"out\", \"more\"]");
    project.write("workspace/more/a", "saved");
    run(&project, &["save"]);
    fs::remove_dir_all(project.path("workspace/more")).expect("removed");
    project.write("workspace/out/b", "new");
    let files = run(&project, &["explain", "--files", "--json"]).json()["caches"][0]["files"].clone();
    assert_eq!((&files["added"], &files["removed"]), (&["0:b"].into(), &["1:a"].into()), "{files}");
}

#[test]
fn the_eleventh_root_is_not_taken_for_the_second() {
    let roots: Vec<String> = (0..11).map(|root| format!("\"r{root}\"")).collect();
    let project = project(&format!("paths = [{}]", roots.join(", ")));
    for root in 0..11 {
        project.write(&format!("workspace/r{root}/file"), "saved");
    }
    run(&project, &["save"]);
    fs::remove_file(project.path("workspace/r10/file")).expect("removed");
    let files = run(&project, &["explain", "--files", "--json"]).json()["caches"][0]["files"].clone();
    assert_eq!(files["removed"], serde_json::json!(["10:file"]), "{files}");
}
