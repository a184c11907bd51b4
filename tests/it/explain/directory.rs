//! Verdicts over a directory store.

use std::fs;

use super::check;
use cachekeep_test_support::project::{Project, Ran, file_url};

const CONFIG: &str = r#"
[cache.data]
path = "cache"
key = "data-{files:src/**}-{var.v}"
restore-keys = ["data-"]

[cache.lone]
path = "cache2"
key = "lone-{files:src/**}"
"#;

fn run_on(project: &Project, git_ref: &str, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    let common = ["--store", &store, "--ref", git_ref, "--default-ref", "main", "--var", "v=1"];
    project.run(&[arguments, &common].concat())
}

fn explain(project: &Project, git_ref: &str, arguments: &[&str]) -> Ran {
    run_on(project, git_ref, &[&["explain", "--json"], arguments].concat()).success()
}

/// A project with both caches saved on a ref.
fn saved_on(git_ref: &str) -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/src/a", "a");
    project.write("workspace/cache/file", "of data");
    project.write("workspace/cache2/file", "of lone");
    run_on(&project, git_ref, &["save", "--required"]).success();
    project
}

#[test]
fn a_hit_names_the_entry() {
    let project = saved_on("main");
    let one =
        check(&explain(&project, "topic", &["data"]), "hit", None, &["hits exactly", "of refs/heads/main"]);
    assert_eq!(one["found"]["ref"], "refs/heads/main");
    assert!(one["hint"].is_null());
    let text = run_on(&project, "topic", &["explain"]).success().stdout;
    assert_eq!(text.matches("hits exactly").count(), 2, "{text}");
}

#[test]
fn the_document_has_the_fields_that_are_documented() {
    let document = explain(&saved_on("main"), "main", &["data"]).json();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys(&document), ["caches", "command", "store"]);
    let expected = [
        "cache",
        "candidate-count",
        "candidates",
        "differs",
        "found",
        "hint",
        "key",
        "parts",
        "reads",
        "restore-keys",
        "result",
        "verdict",
        "version",
        "witness",
    ];
    assert_eq!(keys(&document["caches"][0]), expected);
    assert_eq!(keys(&document["caches"][0]["candidates"][0]), ["differs", "entry", "near"]);
}

#[test]
fn nothing_was_ever_saved() {
    let project = Project::new(CONFIG);
    project.write("workspace/src/a", "a");
    check(
        &explain(&project, "main", &["data"]),
        "miss",
        Some("nothing-saved"),
        &["nothing like it", "writer"],
    );
}

#[test]
fn a_key_part_is_named_with_the_files_that_made_it_another() {
    let project = saved_on("main");
    project.write("workspace/src/b", "b");
    project.write("workspace/src/a", "changed");
    let told = ["hits by prefix", "`{files:src/**}` differs: 1 changed (src/a), 1 added (src/b)"];
    let one = check(&explain(&project, "main", &["data"]), "partial", Some("key-part"), &told);
    assert_eq!(one["parts"][0]["only-here"].as_array().map(Vec::len), Some(2));
    assert_eq!(one["parts"].as_array().map(Vec::len), Some(1), "only one part differs");
    // Without a restore key nothing is restored, and the cure is one.
    let told = ["the nearest entry", "`{files:src/**}`", "`restore-keys = [\"lone-\"]`"];
    check(&explain(&project, "main", &["lone"]), "miss", Some("key-part"), &told);
}

#[test]
fn keys_of_another_job_tell_the_files_where_this_machine_remembers_nothing() {
    let project = saved_on("main");
    let before = run_on(&project, "main", &["key", "--json"]).success().stdout;
    let before = project.write("before.json", before).display().to_string();
    fs::remove_dir_all(project.path("home/.cache")).expect("nothing is remembered");
    project.write("workspace/src/b", "b");
    let told = ["`{files:src/**}` is", "--diff"];
    check(&explain(&project, "main", &["data"]), "partial", Some("key-part"), &told);
    let told = ["1 added (src/b)"];
    check(&explain(&project, "main", &["data", "--diff", &before]), "partial", Some("key-part"), &told);
    let ran = run_on(&project, "main", &["explain", "--diff", "cachekeep.toml"]).code(2);
    assert!(ran.stderr.contains("is not what `cachekeep key --json` prints"), "{}", ran.stderr);
}

#[test]
fn a_scope_that_the_job_does_not_read_is_named() {
    let project = saved_on("refs/pull/12/merge");
    let told =
        ["only in refs/pull/12/merge", "only jobs of that pull request read", "a job on refs/heads/main"];
    check(&explain(&project, "refs/pull/13/merge", &["data"]), "miss", Some("scope"), &told);
    check(&explain(&project, "refs/pull/12/merge", &["data"]), "hit", None, &[]);
}

#[test]
fn another_layout_is_another_version() {
    let project = saved_on("main");
    project.write(
        "workspace/cachekeep.toml",
        CONFIG.replace("path = \"cache\"", "paths = [\"cache\", \"cache3\"]"),
    );
    check(&explain(&project, "main", &["data"]), "miss", Some("version"), &["when the cache had 1 root"]);
    // One key for two caches.
    project.write(
        "workspace/cachekeep.toml",
        CONFIG.replace("lone-{files:src/**}", "data-{files:src/**}-{var.v}"),
    );
    check(&explain(&project, "main", &["lone"]), "miss", Some("version"), &["an entry of the cache `data`"]);
}

#[test]
fn an_entry_that_is_gone_is_remembered() {
    let project = saved_on("main");
    fs::remove_dir_all(project.path("store/repositories")).expect("emptied");
    let told = ["is not there any more: it was saved here at", "deleted"];
    check(&explain(&project, "main", &["data"]), "miss", Some("evicted"), &told);
    // It stays remembered that way only for the store that had it.
    let other = file_url(&project.path("other"));
    let ran = project.run(&["explain", "--json", "data", "--var", "v=1", "--store", &other]).success();
    check(&ran, "miss", Some("nothing-saved"), &[]);
}

#[test]
fn a_key_that_was_typed_needs_no_configuration() {
    let project = saved_on("main");
    project.write("elsewhere/file", "");
    let explain = |arguments: &[&str]| {
        let store = file_url(&project.path("store"));
        // Whose entries are looked at depends on the checkout.
        let workspace = project.path("workspace").display().to_string();
        let common =
            ["explain", "--json", "--store", &store, "--ref", "main", "--workspace", workspace.as_str()];
        let mut command = project.command();
        Ran::of(command.current_dir(project.path("elsewhere")).args(common).args(arguments))
    };
    check(
        &explain(&["--key", "data-zz"]).success(),
        "miss",
        Some("key-part"),
        &["`restore-keys = [\"data-\"]`"],
    );
    let partial = explain(&["--key", "data-zz", "--restore-key", "data-"]).success();
    let one = check(&partial, "partial", Some("key-part"), &[]);
    let key = one["found"]["key"].as_str().expect("a key").to_owned();
    let version = one["found"]["version"].as_str().expect("a version").to_owned();
    check(&explain(&["--key", &key]).success(), "hit", None, &[]);
    check(&explain(&["--key", &key, "--version", &version]).success(), "hit", None, &[]);
    check(&explain(&["--key", &key, "--version", &"0".repeat(64)]).success(), "miss", Some("version"), &[]);
    let shouted = explain(&["--key", &key.to_uppercase()]).success();
    check(&shouted, "miss", Some("spelling"), &["letter case", "byte by byte"]);
    for (arguments, words) in [
        (&["--key", "a,b"][..], "a comma"),
        (&["--key", "a", "--version", "short"], "64 hexadecimal digits"),
        (&["--version", &version], "goes with `--key`"),
        (&[], "nothing to explain"),
        (&["nope"], "there is no cache `nope`"),
    ] {
        let ran = explain(arguments).code(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn a_store_that_cannot_be_read_for_now_is_an_error() {
    let project = saved_on("main");
    fs::remove_dir_all(project.path("store")).expect("emptied");
    project.write("store", "not a directory");
    let ran = run_on(&project, "main", &["explain"]).code(1);
    assert!(ran.stderr.contains("cannot find out what is in"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_store_that_the_job_may_not_read_is_denied() {
    use std::os::unix::fs::PermissionsExt as _;

    let project = saved_on("main");
    let entries = project.path("store/repositories");
    fs::set_permissions(&entries, fs::Permissions::from_mode(0o000)).expect("closed");
    if fs::read_dir(&entries).is_ok() {
        // Root reads everything, whatever the modes.
        return;
    }
    let ran = explain(&project, "main", &["data"]);
    fs::set_permissions(&entries, fs::Permissions::from_mode(0o755)).expect("open");
    check(&ran, "miss", Some("denied"), &["may not read", "let this user read the store"]);
}
