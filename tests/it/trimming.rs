//! Trimming: what goes before a save, and what never does.

use std::fs;

use cachekeep_test_support::project::{Project, Ran, binary};

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
trim = { max-size = "250kB" }
"#;

fn project() -> Project {
    let project = Project::new(CONFIG);
    for (index, name) in ["oldest", "older", "newest"].iter().enumerate() {
        let path = project.write(&format!("workspace/out/{name}"), vec![7; 102_400]);
        let time =
            filetime::FileTime::from_unix_time(1_700_000_000 + i64::try_from(index).expect("small"), 0);
        filetime::set_file_times(path, time, time).expect("touched");
    }
    project
}

fn left(project: &Project) -> Vec<String> {
    let names = fs::read_dir(project.path("workspace/out")).expect("a directory").flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_dry_run_tells_and_removes_nothing() {
    let project = project();
    let ran = project.run(&["trim", "--dry-run", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["trim"]["files"], 1);
    assert!(
        ran.stderr.contains("would remove `oldest`: least recently used (102.4 kB, modified "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("would trim 1 file, 102.4 kB of 307.2 kB"), "{}", ran.stderr);
    assert_eq!(left(&project).len(), 3);
}

#[test]
fn the_least_recently_used_goes_and_only_below_the_root() {
    let project = project();
    let ran = project.run(&["trim", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["trim"]["files"], 1);
    assert_eq!(left(&project), ["newest", "older"]);
}

#[test]
fn a_save_trims_first() {
    let project = project();
    let ran = project.run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["files"], 2, "{}", ran.stderr);
    assert_eq!(ran.json()["caches"][0]["trim"]["before-bytes"], 307_200, "{}", ran.stderr);
    assert_eq!(ran.json()["caches"][0]["trim"]["after-bytes"], 204_800, "{}", ran.stderr);
    assert_eq!(left(&project), ["newest", "older"]);
}

/// Whether it is trimmed or not, a cache that nothing made is skipped.
#[test]
fn what_is_not_there_is_not_trimmed_and_not_saved() {
    let project = Project::new(CONFIG);
    let ran = project.run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "skipped", "{}", ran.stderr);
    assert!(ran.stderr.contains("does not exist"), "{}", ran.stderr);
}

fn with(trim: &str) -> Project {
    let project = project();
    project.write("workspace/cachekeep.toml", CONFIG.replace("max-size = \"250kB\"", trim));
    project
}

#[test]
fn a_limit_that_removes_nothing_says_so() {
    let project = with("max-size = \"1GB\", keep = 3");
    let ran = project.run(&["trim"]).success();
    let expect = "nothing to trim: 307.2 kB is below `max-size`, 1.00 GB; 3 files of 3 that `keep` allows";
    assert!(ran.stderr.contains(expect), "{}", ran.stderr);
    assert_eq!(left(&project).len(), 3);
}

#[test]
fn a_size_may_come_from_the_environment_and_never_empties_a_cache_by_mistake() {
    let project = with("max-size = \"{env.OUT_SIZE}\"");
    let unset = project.run(&["trim"]).success();
    assert!(unset.stderr.contains("the environment has no `OUT_SIZE`"), "{}", unset.stderr);
    let with_size = |size: &str| Ran::of(project.command().arg("trim").env("OUT_SIZE", size)).success();
    let bare = with_size("5").stderr;
    assert!(bare.contains("`5` has no unit, and would be 5 B"), "{bare}");
    // A save goes on without the trim.
    let saved = project.run(&["save", "--json"]).success();
    assert_eq!(saved.json()["caches"][0]["save"]["save-result"], "saved", "{}", saved.stderr);
    assert_eq!(left(&project).len(), 3);
    with_size("250 kB");
    assert_eq!(left(&project), ["newest", "older"]);
}

#[cfg(unix)]
#[test]
fn a_restore_and_a_save_leave_the_recency_as_it_was() {
    use std::os::unix::fs::MetadataExt as _;
    let project = with("max-size = \"1GB\"");
    let times = || -> Vec<(i64, i64)> {
        let names = ["oldest", "older", "newest"].iter();
        let found = names.map(|name| fs::metadata(project.path("workspace/out").join(name)).expect("a file"));
        found.map(|file| (file.atime(), file.mtime())).collect()
    };
    let expect: Vec<(i64, i64)> =
        (0..3).map(|index| (1_700_000_000 + index, 1_700_000_000 + index)).collect();
    project.run(&["save"]).success();
    assert_eq!(times(), expect, "a save reads without leaving a trace");
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    project.run(&["restore"]).success();
    assert_eq!(times(), expect, "restored files were last read when they were written");
}

#[test]
fn what_a_command_holds_is_not_trimmed_and_named() {
    let project = with("units = \"children\", keep = 1");
    for (index, name) in ["run-1", "run-2", "run-3"].iter().enumerate() {
        let path = project.write(&format!("workspace/out/{name}/log"), "x");
        let time =
            filetime::FileTime::from_unix_time(1_700_000_100 + i64::try_from(index).expect("small"), 0);
        filetime::set_file_times(path, time, time).expect("touched");
    }
    let hold = ["hold", "out/run-1", "--"];
    let held = Ran::of(project.command().args(hold).arg(binary()).args(["trim", "--json"])).success();
    assert!(held.stderr.contains("kept `run-1`: in use by process "), "{}", held.stderr);
    let stays = &held.json()["caches"][0]["trim"]["stays"];
    assert_eq!((stays[0]["path"].as_str(), stays.as_array().map(Vec::len)), (Some("run-1"), Some(1)));
    assert_eq!(left(&project), ["run-1", "run-3"]);
    assert_eq!(fs::read_dir(project.path("workspace/out/run-1")).expect("a directory").count(), 1);
    project.run(&["trim"]).success();
    assert_eq!(left(&project), ["run-3"]);
    let missing = project.run(&["hold", "out/none", "--", "true"]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
}

#[cfg(unix)]
#[test]
fn a_hold_returns_what_its_command_returns_and_ends_with_its_process() {
    let project = with("units = \"children\", keep = 1");
    project.write("workspace/out/run/log", "x");
    assert_eq!(project.run(&["hold", "out/run", "--", "sh", "-c", "exit 7"]).code, 7);
    // The command kills its parent: the lease ends at once, and the next hold removes what is left of it.
    let killed = project.run(&["hold", "out/run", "--", "sh", "-c", "kill -KILL $PPID; sleep 0.1"]);
    assert_ne!(killed.code, 0);
    assert_eq!(fs::read_dir(project.path("workspace/out/run")).expect("a directory").count(), 2);
    let trimmed = project.run(&["trim", "--json"]).success();
    assert_eq!(trimmed.json()["caches"][0]["trim"]["stays"], serde_json::Value::Null, "{}", trimmed.stderr);
    assert_eq!(fs::read_dir(project.path("workspace/out/run")).expect("a directory").count(), 1);
}
