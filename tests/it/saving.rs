//! Saving: one result for every case, and what other scopes see of it.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::snapshot;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-{var.generation}"
restore-keys = ["out-"]
"#;

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/out/a/file", "one");
    project
}

fn on(project: &Project, reference: &str, arguments: &[&str]) -> Ran {
    let mut all = vec!["--json", "--ref", reference, "--default-ref", "main"];
    all.extend(arguments);
    project.run(&all)
}

#[track_caller]
fn saves(ran: &Ran, result: &str) {
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], result, "{}", ran.stderr);
}

#[track_caller]
fn hits(ran: &Ran, hit: &str) {
    assert_eq!(ran.json()["caches"][0]["restore"]["hit"], hit, "{}", ran.stderr);
}

#[test]
fn the_first_save_wins_and_later_ones_learn_it() {
    let project = project();
    saves(&on(&project, "main", &["--var", "generation=1", "save"]), "saved");
    saves(&on(&project, "main", &["--var", "generation=1", "save"]), "exists");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "saved");
}

#[test]
fn what_was_restored_and_not_changed_is_not_saved_again() {
    let project = project();
    on(&project, "main", &["--var", "generation=1", "save"]).success();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    hits(&on(&project, "main", &["--var", "generation=2", "restore"]), "partial");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "unchanged");
    // The same bytes written again have another time and the same content.
    project.write("workspace/out/a/file", "one");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "unchanged");
    project.write("workspace/out/a/file", "two");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "saved");
}

/// npm dates every file 1985, and `"1.0.0"` is as long as `"1.0.1"`.
#[test]
fn a_change_that_keeps_size_and_time_is_saved() {
    let project = project();
    let file = project.path("workspace/out/a/file");
    let time = filetime::FileTime::from_unix_time(499_162_500, 0);
    filetime::set_file_mtime(&file, time).expect("a time");
    on(&project, "main", &["--var", "generation=1", "save"]).success();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    hits(&on(&project, "main", &["--var", "generation=2", "restore"]), "partial");
    project.write("workspace/out/a/file", "two");
    filetime::set_file_mtime(&file, time).expect("a time");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "saved");
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    hits(&on(&project, "main", &["--var", "generation=2", "restore"]), "exact");
    assert_eq!(project.read("workspace/out/a/file"), "two");
}

/// A nightly cache becomes the stable one: who looks for the stable key must find it.
#[test]
fn what_did_not_change_is_saved_under_a_key_that_does_not_find_it() {
    let project = project();
    let of =
        |key: &str, verb: &str| project.run(&["--json", "--path", "{workspace}/out", "--key", key, verb]);
    saves(&of("nightly-1", "save"), "saved");
    hits(&of("nightly-1", "restore"), "exact");
    saves(&of("stable", "save"), "saved");
    hits(&of("stable", "restore"), "exact");
    // An entry that is found by a prefix, but is not the newest of those that are.
    let restore = ["--json", "--path", "{workspace}/out", "--key", "next", "--restore-key", "nightly-"];
    hits(&project.run(&[&restore[..], &["restore"]].concat()), "partial");
    saves(&project.run(&[&restore[..], &["save"]].concat()), "unchanged");
    saves(&project.run(&["--json", "--path", "{workspace}/out", "--key", "next", "save"]), "saved");
}

#[test]
fn a_cache_without_a_file_is_not_saved() {
    let project = project();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let save = |arguments: &[&str]| project.run(&[&["--json", "--key", "k"], arguments, &["save"]].concat());
    let glob = save(&["--path", "{workspace}/app/*/cache"]);
    saves(&glob, "skipped");
    fs::create_dir_all(project.path("workspace/out/deep/er")).expect("directories");
    let directories = save(&["--path", "{workspace}/out"]);
    saves(&directories, "skipped");
    assert!(
        directories.stderr.contains("warning: out: not saved (skipped): nothing in"),
        "{}",
        directories.stderr
    );
    project.write("workspace/out/deep/file", "x");
    saves(&save(&["--path", "{workspace}/out", "--path", "!{workspace}/out/deep"]), "skipped");
    hits(&project.run(&["--json", "--path", "{workspace}/out", "--key", "k", "restore"]), "none");
    saves(&save(&["--path", "{workspace}/out"]), "saved");
}

/// Both sides of a declaration count from the workspace, as in actions/cache.
#[test]
fn exclusions_count_from_the_workspace_and_say_when_they_exclude_nothing() {
    let project = project();
    project.write("workspace/out/unwanted/file", "no");
    let save = |exclusion: &str, key: &str| {
        project.run(&["--json", "--path", "out", "--path", exclusion, "--key", key, "save"])
    };
    let excluded = save("!out/unwanted", "a");
    saves(&excluded, "saved");
    assert!(!excluded.stderr.contains("excludes nothing"), "{}", excluded.stderr);
    let idle = save("!unwanted", "b");
    saves(&idle, "saved");
    assert!(idle.stderr.contains("warning: out: `!unwanted` excludes nothing"), "{}", idle.stderr);
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    hits(
        &project.run(&["--json", "--path", "out", "--path", "!out/unwanted", "--key", "a", "restore"]),
        "exact",
    );
    assert!(project.path("workspace/out/a/file").exists());
    assert!(!project.path("workspace/out/unwanted").exists());
}

#[test]
fn names_with_brackets_are_names() {
    let project = Project::new("");
    project.write("workspace/app/[slug]/.c/file", "x");
    let run = |arguments: &[&str]| project.run(&[&["--json", "--key", "k"], arguments].concat());
    saves(&run(&["--path", "app/[slug]/.c", "save"]), "saved");
    fs::remove_dir_all(project.path("workspace/app/[slug]/.c")).expect("removed");
    hits(&run(&["--path", "app/[slug]/.c", "restore"]), "exact");
    assert_eq!(project.read("workspace/app/[slug]/.c/file"), "x");
}

#[test]
fn a_workspace_may_have_any_name() {
    for name in ["job[1]", "{a,b}", "a b#", "[!x]", "é"] {
        let project = Project::new("");
        let workspace = project.path("workspace").join(name);
        fs::create_dir_all(workspace.join("c")).expect("directories");
        fs::write(workspace.join("c/file"), "x").expect("a file");
        let run = |verb: &str| {
            let workspace = workspace.to_str().expect("text");
            project.run(&["--json", "--workspace", workspace, "--path", "c", "--key", "k", verb])
        };
        saves(&run("save"), "saved");
        fs::write(workspace.join("beside"), "kept").expect("a file");
        fs::remove_dir_all(workspace.join("c")).expect("removed");
        hits(&run("restore"), "exact");
        assert_eq!(fs::read_to_string(workspace.join("c/file")).expect("restored"), "x", "{name}");
        assert!(workspace.join("beside").exists(), "{name}");
    }
}

#[test]
fn what_was_restored_from_an_entry_that_is_gone_is_saved_again() {
    let project = project();
    on(&project, "main", &["--var", "generation=1", "save"]).success();
    hits(&on(&project, "main", &["--var", "generation=1", "restore"]), "exact");
    fs::remove_file(entry_of(&project)).expect("evicted");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "saved");
}

#[test]
fn a_consumer_never_saves() {
    let project = project();
    saves(&on(&project, "main", &["--var", "generation=1", "--role", "consumer", "save"]), "denied-mode");
    on(&project, "main", &["--var", "generation=1", "--role", "consumer", "save", "--required"]).code(1);
}

#[test]
fn a_pull_request_reads_the_default_branch_and_never_the_other_way_round() {
    let project = project();
    saves(&on(&project, "refs/pull/7/merge", &["--var", "generation=1", "save"]), "saved");
    hits(&on(&project, "main", &["--var", "generation=1", "restore", "--lookup-only"]), "none");
    hits(&on(&project, "refs/pull/8/merge", &["--var", "generation=1", "restore", "--lookup-only"]), "none");
    hits(&on(&project, "refs/pull/7/merge", &["--var", "generation=1", "restore", "--lookup-only"]), "exact");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "saved");
    hits(&on(&project, "refs/pull/8/merge", &["--var", "generation=2", "restore", "--lookup-only"]), "exact");
    // An entry that every branch can read is not saved again.
    saves(&on(&project, "refs/pull/8/merge", &["--var", "generation=2", "save"]), "exists");
}

#[test]
fn a_restore_merges_without_deleting_and_the_entry_wins() {
    let project = project();
    on(&project, "main", &["--var", "generation=1", "save"]).success();
    project.write("workspace/out/a/file", "changed");
    project.write("workspace/out/b/mine", "kept");
    hits(&on(&project, "main", &["--var", "generation=1", "restore"]), "exact");
    assert_eq!(project.read("workspace/out/a/file"), "one");
    assert_eq!(project.read("workspace/out/b/mine"), "kept");
    assert!(project.temporary_things().is_empty());
}

#[test]
fn a_corrupt_entry_is_a_miss_with_a_reason_and_is_replaced_by_the_next_save() {
    let project = project();
    on(&project, "main", &["--var", "generation=1", "save"]).success();
    change_entry(&project, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
    });
    project.write("workspace/out/a/file", "mine");
    let before = snapshot(&project.path("workspace/out"));
    let ran = on(&project, "main", &["--var", "generation=1", "restore"]).success();
    hits(&ran, "none");
    let reason = ran.json()["caches"][0]["restore"]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(!reason.is_empty() && ran.stderr.contains("warning"), "{reason}\n{}", ran.stderr);
    assert_eq!(snapshot(&project.path("workspace/out")), before);
    on(&project, "main", &["--var", "generation=1", "restore", "--required"]).code(1);
    saves(&on(&project, "main", &["--var", "generation=1", "save"]), "saved");
    hits(&on(&project, "main", &["--var", "generation=1", "restore"]), "exact");
}

/// A root that a tool makes only where it is needed, such as `~/.cargo/git`.
#[test]
fn a_root_that_is_missing_after_a_restore_does_not_keep_the_others_from_being_saved() {
    let project = Project::new(
        "[cache.out]\npaths = [\"out\", \"absent\"]\nkey = \"out-{var.generation}\"\nrestore-keys = [\"out-\"]\n",
    );
    project.write("workspace/out/file", "first");
    saves(&on(&project, "main", &["--var", "generation=1", "save"]), "saved");
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    hits(&on(&project, "main", &["--var", "generation=2", "restore"]), "partial");
    saves(&on(&project, "main", &["--var", "generation=2", "save"]), "unchanged");
    project.write("workspace/out/file", "later");
    saves(&on(&project, "main", &["--var", "generation=3", "save"]), "saved");
    // Without any root there is nothing to save, restored or not.
    hits(&on(&project, "main", &["--var", "generation=3", "restore"]), "exact");
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    saves(&on(&project, "main", &["--var", "generation=4", "save"]), "skipped");
}

#[test]
fn an_entry_of_a_later_format_is_a_miss_that_says_so_and_stays() {
    let project = project();
    on(&project, "main", &["--var", "generation=1", "save"]).success();
    let bytes = change_entry(&project, |bytes| {
        let field = b"\"format\":";
        let at = bytes.windows(field.len()).position(|part| part == field).expect("a manifest") + field.len();
        assert_eq!(bytes[at], b'2');
        bytes[at] = b'3';
    });
    project.write("workspace/out/a/file", "mine");
    let before = snapshot(&project.path("workspace/out"));
    let ran = on(&project, "main", &["--var", "generation=1", "restore"]).success();
    hits(&ran, "none");
    let reason = "`out-1` of refs/heads/main was not restored: the archive has format 3, this program reads formats up to 2";
    assert_eq!(ran.json()["caches"][0]["restore"]["reason"], reason, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: update cachekeep, or save the cache under a new key"),
        "{}",
        ran.stderr
    );
    assert_eq!(snapshot(&project.path("workspace/out")), before);
    // Later versions can restore it: it is not replaced as a damaged entry is.
    saves(&on(&project, "main", &["--var", "generation=1", "save"]), "exists");
    assert_eq!(fs::read(entry_of(&project)).expect("an entry"), bytes);
}

/// Changes the bytes of the only entry in the default store; what they are then.
fn change_entry(project: &Project, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let entry = entry_of(project);
    let mut bytes = fs::read(&entry).expect("an entry");
    change(&mut bytes);
    fs::write(&entry, &bytes).expect("written");
    bytes
}

/// The only entry in the default store.
fn entry_of(project: &Project) -> PathBuf {
    let mut found = find_entries(&project.path("home"));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The entries below a directory.
pub(crate) fn find_entries(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(find_entries(&entry.path()));
        } else if entry.path().to_string_lossy().ends_with(".tar.zst") {
            found.push(entry.path());
        }
    }
    found
}
