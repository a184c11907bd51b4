//! What each failure looks like to the user. The table in README.md is made of these.

use std::fs;

use cachekeep_test_support::project::{Project, Ran, file_url};

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
"#;

fn project(config: &str) -> Project {
    let project = Project::new(config);
    project.write("workspace/out/file", "one");
    project
}

/// What a person reads, without what differs from run to run.
fn told(project: &Project, ran: &Ran) -> String {
    let root = project.path("").canonicalize().expect("the project");
    let text = ran.stderr.replace(&format!("{}/", root.display()), "…/");
    text.replace(project.path("").to_str().expect("text"), "…/").replace(std::path::MAIN_SEPARATOR, "/")
}

#[test]
fn bad_toml_is_located() {
    let project = project("[cache.out\npath = 1\n");
    let ran = project.run(&["restore"]).code(2);
    insta::assert_snapshot!(told(&project, &ran), @"
    error: unclosed table, expected `]`
     --> cachekeep.toml:1:11
      |
    1 | [cache.out
      |           ^
    ");
}

#[test]
fn an_unknown_field_has_a_suggestion() {
    let project =
        project("[cache.out]\npath = \"{workspace}/out\"\nkey = \"out-v1\"\nrestore-key = [\"out-\"]\n");
    let ran = project.run(&["restore"]).code(2);
    insta::assert_snapshot!(told(&project, &ran), @r#"
    error: unknown field `restore-key` in `[cache.out]`
     --> cachekeep.toml:4:1
      |
    4 | restore-key = ["out-"]
      | ^^^^^^^^^^^
      = hint: did you mean `restore-keys`?
    "#);
}

#[test]
fn an_unknown_cache_lists_those_there_are() {
    let project = project(CONFIG);
    let ran = project.run(&["restore", "uot"]).code(2);
    insta::assert_snapshot!(told(&project, &ran), @"error: there is no cache `uot`; there are: out");
}

#[test]
fn no_configuration_says_how_to_get_one() {
    let project = project(CONFIG);
    fs::remove_file(project.path("workspace/cachekeep.toml")).expect("removed");
    let ran = project.run(&["restore"]).code(2);
    insta::assert_snapshot!(told(&project, &ran), @"
    error: no `cachekeep.toml` in `…/workspace` or above
      hint: run `cachekeep init`, which proposes one, name one with `--config`, or declare a cache with `--path` and `--key`
    ");
}

#[test]
fn a_missing_path_is_named() {
    let project = project(CONFIG);
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let ran = project.run(&["save"]).success();
    insta::assert_snapshot!(told(&project, &ran), @"
    warning: out: not saved (skipped): `…/workspace/out` does not exist
      hint: nothing made it: does the build write there? `path` in the configuration says where
    ");
    project.run(&["save", "--required"]).code(1);
}

#[test]
fn a_placeholder_without_a_value_says_which() {
    let project = project(&CONFIG.replace("out-v1", "out-{var.variant}"));
    project.run(&["save", "--required"]).code(1);
    project.run(&["key"]).code(1);
    let ran = project.run(&["save"]).success();
    insta::assert_snapshot!(told(&project, &ran), @"
    warning: out: `out-{var.variant}`: {var.variant} cannot be expanded: no value was given for it
      hint: give it with `--var variant=VALUE`, or `vars: variant=VALUE` in a step
    ");
}

#[test]
fn a_corrupted_entry_is_a_miss_with_a_reason() {
    let project = project(CONFIG);
    let store = project.path("store");
    let location = file_url(&store);
    project.run(&["--store", &location, "save"]).success();
    let entry = crate::saving::find_entries(&store).remove(0);
    let mut bytes = fs::read(&entry).expect("an entry");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&entry, bytes).expect("written");
    // Else the entry's contents are found in the tree, and what is damaged is not read.
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let ran = project.run(&["--store", &location, "restore"]).success();
    let told = told(&project, &ran);
    assert!(told.starts_with("warning: out: `out-v1` of refs/local/workspace was not restored: "), "{told}");
    assert!(told.contains("damaged"), "{told}");
}
