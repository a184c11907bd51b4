//! A directory store that is read while it is cleaned: what is being read stays, what was restored counts as used,
//! and a cleaner that cannot free anything reports why and ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::own_store::{keys, run};
use cachekeep_test_support::project::{Project, Ran, file_url};
use cachekeep_test_support::skip;

/// One cache a key: `a`, `b` and so on, on a topic branch, where nothing is current.
const CONFIG: &str = r#"
[cache.c]
path = "cache"
key = "{var.k}"

[clean]
POLICY
"#;

/// More than anything here takes, and less than a rule's limit.
const DAY: Duration = Duration::from_hours(24);

fn project(policy: &str) -> Project {
    Project::new(&CONFIG.replace("POLICY", policy))
}

fn on_topic(project: &Project, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    let common = ["--store", &store, "--ref", "topic", "--default-ref", "main"];
    project.run(&[arguments, &common].concat())
}

/// Saves an entry of 100 kB so many days ago.
fn saved(project: &Project, key: &str, days: u32) -> PathBuf {
    let noise: Vec<u8> = (0..100_000).map(|_| rand::random::<u8>()).collect();
    project.write("workspace/cache/file", noise);
    on_topic(project, &["save", "--required", "--var", &format!("k={key}")]).success();
    let path = entry(project, key).expect("it was just saved");
    let file = File::options().write(true).open(&path).expect("an entry");
    file.set_modified(SystemTime::now() - DAY * days).expect("set");
    path
}

fn entry(project: &Project, key: &str) -> Option<PathBuf> {
    files(&project.path("store/repositories"))
        .into_iter()
        .find(|path| path.ends_with(format!("{key}.tar.zst")))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for child in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if child.path().is_dir() {
            found.extend(files(&child.path()));
        } else {
            found.push(child.path());
        }
    }
    found
}

/// Reads an entry until the returned value is dropped, as a restore does.
fn reader(entry: &Path) -> File {
    let file = File::open(entry).expect("an entry");
    file.try_lock_shared().expect("no cleaner holds a lock on it");
    file
}

fn restore(project: &Project, key: &str) -> Ran {
    on_topic(project, &["restore", "--fail-on-miss", "--var", &format!("k={key}")])
}

/// Ends a lease. Closing would do, but for a child of another test between its fork and its exec, which only Unix has.
fn release(lease: File) {
    #[cfg(unix)]
    lease.unlock().expect("it was locked");
    drop(lease);
}

#[test]
fn an_entry_that_is_being_read_stays_and_the_others_go() {
    let project = project("unused-for = \"7d\"");
    let entries = ["a", "b", "c"].map(|key| saved(&project, key, 9));
    let lease = reader(&entries[1]);
    let ran = on_topic(&project, &["clean", "--json"]).success();
    let done = ran.json();
    assert_eq!(keys(&done, "delete"), ["a", "c"].map(str::to_owned).into());
    assert_eq!(done["end"], "done");
    assert_eq!(done["freed"]["entries"], 2);
    assert_eq!(done["blocked"]["leased"]["entries"], 1);
    assert!(ran.stderr.contains("in 1 entry would go, but: leased"), "{}", ran.stderr);
    release(lease);
    let done = on_topic(&project, &["clean", "--json"]).success().json();
    assert_eq!(keys(&done, "delete"), ["b".to_owned()].into());
    assert_eq!(files(&project.path("store/repositories")), Vec::<PathBuf>::new());
}

#[test]
fn a_cleaner_that_finds_everything_in_use_ends_and_says_so() {
    let project = project("budget = \"150kB\"");
    let entries = ["a", "b", "c"].map(|key| saved(&project, key, 9));
    let leases = entries.each_ref().map(|entry| reader(entry));
    let ran = on_topic(&project, &["clean", "--json"]).success();
    let done = ran.json();
    assert_eq!((&done["end"], &done["freed"]["entries"]), (&"done".into(), &0.into()));
    assert_eq!(done["rounds"].as_array().expect("rounds").len(), 1, "it does not go round in circles");
    assert_eq!(done["plan"]["budget"]["blocked"]["leased"]["entries"], 3);
    assert!(ran.stderr.contains("nothing to delete") && ran.stderr.contains("leased"), "{}", ran.stderr);
    drop(leases);
}

#[test]
fn a_cleaner_that_may_delete_nothing_ends_and_names_the_right_that_is_missing() {
    let project = project("unused-for = \"7d\"");
    let keys: Vec<String> = (0..30).map(|number| format!("k{number}")).collect();
    for key in &keys {
        saved(&project, key, 9);
    }
    let Some(_store) = ReadOnly::make(&project.path("store")) else {
        return skip::skip("a_cleaner_that_may_delete_nothing", "a store cannot be made read-only here");
    };
    let ran = on_topic(&project, &["clean", "--json"]).code(5);
    let done = ran.json();
    assert_eq!((&done["end"], &done["failed"]["entries"]), (&"not-permitted".into(), &30.into()));
    assert!(done["reason"].as_str().expect("a reason").contains("writing is not permitted"), "{done}");
    assert_eq!(ran.stderr.matches("warning: cannot delete").count(), 1, "one for all: {}", ran.stderr);
    assert!(ran.stderr.contains("hint: clean as a user who may delete"), "{}", ran.stderr);
    // It can still be read, and what could not be deleted is still counted.
    restore(&project, "k7").success();
    let listed = on_topic(&project, &["ls", "--json"]).success().json();
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(30));
    assert_eq!(on_topic(&project, &["usage", "--json"]).success().json()["total"]["entries"], 30);
    assert_eq!(on_topic(&project, &["status", "--json"]).success().json()["store"]["entries"], 30);
}

/// A store that cannot be written while this lives.
struct ReadOnly {
    root: PathBuf,
    is_mounted: bool,
}

impl ReadOnly {
    /// Removes write permissions, or mounts the directory read-only where permissions do not bind the user.
    fn make(root: &Path) -> Option<Self> {
        let mut made = ReadOnly { root: root.to_owned(), is_mounted: false };
        made.set(true);
        let probe = files(root).first()?.with_extension("probe");
        if std::fs::write(&probe, "").is_err() {
            return Some(made);
        }
        std::fs::remove_file(probe).expect("it was just made");
        let mount = |arguments: &[&str]| {
            let mut command = std::process::Command::new("mount");
            command.args(arguments).arg(root).output().is_ok_and(|ran| ran.status.success())
        };
        let shown = root.display().to_string();
        made.is_mounted = cfg!(target_os = "linux") && mount(&["--bind", &shown]);
        (made.is_mounted && mount(&["-o", "remount,bind,ro"])).then_some(made)
    }

    fn set(&self, is_read_only: bool) {
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            let mut permissions = std::fs::metadata(&directory).expect("a directory").permissions();
            #[cfg(unix)]
            std::os::unix::fs::PermissionsExt::set_mode(
                &mut permissions,
                if is_read_only { 0o555 } else { 0o755 },
            );
            #[cfg(not(unix))]
            permissions.set_readonly(is_read_only);
            std::fs::set_permissions(&directory, permissions).expect("changed");
            let children = std::fs::read_dir(&directory).expect("a directory").flatten();
            directories.extend(children.map(|child| child.path()).filter(|path| path.is_dir()));
        }
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.root).output();
        }
        self.set(false);
    }
}

#[test]
fn what_was_restored_counts_as_used_and_what_was_only_looked_up_does_not() {
    let project = project("unused-for = \"7d\"");
    for key in ["restored", "looked-up", "idle"] {
        saved(&project, key, 9);
    }
    restore(&project, "restored").success();
    on_topic(&project, &["restore", "--lookup-only", "--var", "k=looked-up"]).success();
    let list = on_topic(&project, &["ls"]).success().stdout;
    let used = |key: &str| list.lines().find(|line| line.ends_with(key)).expect("a line").to_owned();
    assert!(used("restored").contains(" s ago") && used("idle").contains("9 d"), "{list}");
    let usage = on_topic(&project, &["usage", "--json"]).success().json();
    assert_eq!(usage["by-age"][0]["entries"], 1, "{usage}");
    let done = on_topic(&project, &["clean", "--json"]).success().json();
    assert_eq!(keys(&done, "delete"), ["looked-up", "idle"].map(str::to_owned).into());
    assert_eq!(files(&project.path("store/repositories")).len(), 2, "an entry and its marker");
}

#[test]
fn a_budget_takes_what_was_restored_longest_ago() {
    let project = project("budget = \"250kB\"\nrecent = \"0s\"");
    for (key, days) in [("a", 9), ("b", 8), ("c", 7), ("d", 6)] {
        saved(&project, key, days);
    }
    for key in ["a", "c"] {
        restore(&project, key).success();
    }
    let done = on_topic(&project, &["clean", "--json"]).success().json();
    assert_eq!(keys(&done, "delete"), ["b", "d"].map(str::to_owned).into());
}

#[test]
fn uploads_of_dead_processes_are_swept_and_reported_and_live_ones_spared() {
    let project = project("unused-for = \"7d\"");
    saved(&project, "a", 1);
    for name in ["dead", "live"] {
        project.write(&format!("store/uploads/.cachekeep-{name}.tmp/lease"), "");
        project.write(&format!("store/uploads/.cachekeep-{name}.tmp/payload/archive"), vec![7; 2_000_000]);
    }
    let live = File::open(project.path("store/uploads/.cachekeep-live.tmp/lease")).expect("a lease");
    live.lock().expect("locked");
    let dry = on_topic(&project, &["clean", "--dry-run", "--json"]).success().json();
    assert!(dry["swept"].is_null());
    assert!(project.path("store/uploads/.cachekeep-dead.tmp").exists(), "a dry run removes nothing");
    let ran = on_topic(&project, &["clean", "--json"]).success();
    let swept = &ran.json()["swept"];
    assert_eq!(
        (&swept["removed"], &swept["bytes"], &swept["live"]),
        (&1.into(), &2_000_000.into(), &1.into())
    );
    let said = "1 unfinished uploads of 2.00 MB removed, 1 in progress";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(!project.path("store/uploads/.cachekeep-dead.tmp").exists());
    assert!(project.path("store/uploads/.cachekeep-live.tmp/payload/archive").exists());
    // The same by the recovery that every restore begins with.
    release(live);
    run(&project, &["restore", "--var", "k=a"]).success();
    assert!(!project.path("store/uploads/.cachekeep-live.tmp").exists());
}
