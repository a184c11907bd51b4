//! The main job on the example: restore, seed, gate, run, save.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::{Snapshot, contents};

/// The example of the repository, copied into a project with a store of its own.
pub(crate) fn example() -> Project {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("example");
    let project = Project::new("");
    copy(&source, &project.path("workspace"));
    project
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a listing").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_name() == "build" {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

fn run(project: &Project) -> Ran {
    project.run(&["run", "--json", "--", "sh", "thumbnails.sh"]).success()
}

/// A field of the JSON document, by cache and pointer.
fn field(ran: &Ran, cache: &str, pointer: &str) -> serde_json::Value {
    let document = ran.json();
    let caches = document["caches"].as_array().expect("caches").clone();
    let report = caches.into_iter().find(|report| report["cache"] == cache).expect(cache);
    report.pointer(pointer).cloned().unwrap_or_default()
}

fn objects(project: &Project) -> Snapshot {
    contents(&project.path("workspace/build/objects"))
}

fn forget_build(project: &Project) {
    fs::remove_dir_all(project.path("workspace/build")).expect("a build to forget");
}

#[test]
fn a_cold_run_misses_seeds_gates_runs_and_saves() {
    let project = example();
    let ran = run(&project);
    assert_eq!(field(&ran, "frames", "/restore/hit"), "none");
    assert_eq!(field(&ran, "frames", "/seed/result"), "seeded");
    assert_eq!(field(&ran, "frames", "/seed/added"), 72);
    assert_eq!(field(&ran, "frames", "/gate/complete"), true);
    assert_eq!(field(&ran, "frames", "/save/save-result"), "saved");
    assert_eq!(field(&ran, "thumbnails", "/save/save-result"), "saved");
    assert!(
        ran.stderr.contains("72 made, 0 kept") || ran.stdout.contains("72 made, 0 kept"),
        "{}",
        ran.stderr
    );
    assert_eq!(project.temporary_things(), Vec::<PathBuf>::new());
}

#[test]
fn a_warm_run_hits_exactly_and_does_not_seed() {
    let project = example();
    run(&project);
    let before = objects(&project);
    forget_build(&project);
    let ran = run(&project);
    assert_eq!(field(&ran, "frames", "/restore/hit"), "exact");
    assert_eq!(field(&ran, "frames", "/seed/result"), "not-needed");
    assert_eq!(field(&ran, "frames", "/save/save-result"), "exists");
    assert!(ran.stderr.contains("0 made, 72 kept"), "{}", ran.stderr);
    assert_eq!(objects(&project), before);
}

#[test]
fn a_deleted_object_is_the_only_one_that_is_replaced() {
    let project = example();
    run(&project);
    let before = objects(&project);
    let victim = before.keys().find(|path| path.starts_with("SHA512/")).expect("an object");
    fs::remove_file(project.path("workspace/build/objects").join(victim)).expect("an object");
    let ran = project.run(&["seed", "frames", "--json"]).success();
    assert_eq!(field(&ran, "frames", "/seed/result"), "seeded");
    assert_eq!(field(&ran, "frames", "/seed/added"), 1);
    assert_eq!(objects(&project), before);
}

#[cfg(unix)]
#[test]
fn a_restore_leaves_the_objects_that_are_there() {
    use std::os::unix::fs::MetadataExt;
    let project = example();
    run(&project);
    let inodes = || -> std::collections::BTreeMap<String, u64> {
        let objects = objects(&project);
        let inode = |path: &String| {
            let path = project.path("workspace/build/objects").join(path);
            (path.display().to_string(), fs::metadata(&path).expect("there").ino())
        };
        objects.keys().filter(|path| path.contains('/')).map(inode).collect()
    };
    let before = inodes();
    let (victim, _) = before.first_key_value().expect("an object");
    fs::remove_file(victim).expect("removed");
    let ran = run(&project);
    assert_eq!(field(&ran, "frames", "/restore/hit"), "exact");
    let after = inodes();
    let changed: Vec<_> = after.iter().filter(|(path, inode)| before.get(*path) != Some(inode)).collect();
    assert_eq!((after.len(), changed.len()), (before.len(), 1));
    assert_eq!(changed[0].0, victim);
}

#[test]
fn a_flipped_object_is_noticed_and_replaced() {
    let project = example();
    run(&project);
    let before = objects(&project);
    let victim = before.keys().find(|path| path.starts_with("CID/")).expect("an object");
    let path = project.path("workspace/build/objects").join(victim);
    let mut bytes = fs::read(&path).expect("an object");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("written");
    project.run(&["gate", "frames"]).code(3);
    let ran = project.run(&["seed", "frames", "--json"]).success();
    assert_eq!(field(&ran, "frames", "/seed/added"), 1);
    assert_eq!(objects(&project), before);
    project.run(&["gate", "frames"]).success();
}

#[test]
fn verbs_one_by_one_do_what_run_does() {
    let project = example();
    let ran = project.run(&["restore", "frames", "--json"]).success();
    assert_eq!(field(&ran, "frames", "/restore/hit"), "none");
    project.run(&["restore", "frames", "--fail-on-miss"]).code(4);
    project.run(&["gate", "frames"]).code(3);
    project.run(&["seed", "frames"]).success();
    project.run(&["gate", "frames"]).success();
    let ran = project.run(&["save", "frames", "--json"]).success();
    assert_eq!(field(&ran, "frames", "/save/save-result"), "saved");
    let before = objects(&project);
    forget_build(&project);
    let ran = project.run(&["restore", "frames", "--lookup-only", "--json"]).success();
    assert_eq!(field(&ran, "frames", "/restore/hit"), "exact");
    assert!(!project.path("workspace/build").exists());
    project.run(&["restore", "frames", "--fail-on-miss"]).success();
    assert_eq!(objects(&project), before);
}

#[test]
fn one_changed_link_is_a_partial_hit_and_a_new_generation() {
    let project = example();
    run(&project);
    forget_build(&project);
    let link = project.path("workspace/data/md5/frame-01.pgm.md5");
    fs::remove_file(link).expect("a link");
    let ran = run(&project);
    assert_eq!(field(&ran, "frames", "/restore/hit"), "partial");
    assert_eq!(field(&ran, "frames", "/seed/result"), "not-needed");
    assert_eq!(field(&ran, "frames", "/gate/complete"), true);
}
