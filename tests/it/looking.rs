//! Commands that only look: nothing changes on any disk.

use cachekeep_test_support::project::{Project, file_url};
use cachekeep_test_support::tree::snapshot;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1-{files:in/*}"
restore-keys = ["out-v1-"]
trim = { max-size = "1kB", unused-for = "1d" }
"#;

const LOOKING: &[&[&str]] = &[
    &["key"],
    &["key", "--json"],
    &["env"],
    &["explain"],
    &["explain", "--json"],
    &["ls"],
    &["ls", "--json"],
    &["usage"],
    &["usage", "--json"],
    &["check"],
    &["doctor"],
    &["doctor", "--json"],
    &["trim", "--dry-run"],
    &["clean", "--dry-run"],
    &["restore", "--lookup-only"],
    &["restore", "--lookup-only", "--json"],
    &["schema"],
    &["completions", "bash"],
    &["complete"],
    &["--help"],
    &["--version"],
];

#[test]
fn commands_that_only_look_create_nothing() {
    let project = Project::new(CONFIG);
    project.write("workspace/in/file", "x");
    let before = snapshot(&project.path(""));
    for arguments in LOOKING {
        let ran = project.run(arguments);
        assert!([0, 1].contains(&ran.code), "{arguments:?}: {} {}", ran.code, ran.stderr);
        assert_eq!(snapshot(&project.path("")), before, "{arguments:?}");
    }
}

#[test]
fn commands_that_only_look_change_no_store_and_no_cache() {
    let project = Project::new(CONFIG);
    project.write("workspace/in/file", "x");
    project.write("workspace/out/file", "contents".repeat(1_000));
    project.run(&["--var", "a=b", "save"]).success();
    project.write("workspace/out/file", "contents".repeat(1_000));
    // What a killed process left is for the next command that does something.
    project.write("workspace/.cachekeep-1-ab.tmp/lease", "cachekeep");
    let before = snapshot(&project.path(""));
    for arguments in LOOKING {
        project.run(arguments);
        assert_eq!(snapshot(&project.path("")), before, "{arguments:?}");
    }
}

/// A store that cannot be opened does not disturb commands that do not use it.
#[test]
fn keys_and_other_repositories_need_no_store() {
    let project = Project::new(CONFIG);
    project.write("workspace/in/file", "x");
    let file = project.write("file", "");
    let store = format!("{}/store", file_url(&file));
    let ran = project.run(&["--store", &store, "key"]).success();
    assert_eq!(ran.stderr, "");
    let ran = project.run(&["--store", &store, "--verbose", "ls", "--repository", "other/repository"]);
    assert!(!ran.stderr.contains(&store[7..]), "{}", ran.stderr);
    assert!(ran.stderr.contains("GITHUB_TOKEN"), "{}", ran.stderr);
}

#[test]
fn a_store_is_opened_by_commands_that_use_it_alone() {
    let project = Project::new(CONFIG);
    project.write("workspace/in/file", "x");
    let opens = |arguments: &[&str]| {
        let ran = project.run(&[&["--verbose"], arguments].concat());
        ran.stderr.contains("opened the store at")
    };
    for arguments in [&["key"][..], &["env"], &["schema"], &["completions", "bash"], &["doctor"]] {
        assert!(!opens(arguments), "{arguments:?}");
    }
    // Another repository's caches are GitHub's; without a token there is nothing to ask.
    assert!(!opens(&["ls", "--repository", "other/repo"]));
    for arguments in [&["ls"][..], &["usage"], &["explain"], &["restore", "--lookup-only"], &["save"]] {
        assert!(opens(arguments), "{arguments:?}");
    }
}
