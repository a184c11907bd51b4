//! The quota of a directory store: what goes after a save, what stays, and who does it when several processes save.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cachekeep_test_support::event::started_by;
use cachekeep_test_support::project::{Project, Ran, file_url};
use cachekeep_test_support::threads::SetAtTheEnd;

const CACHE: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-{var.n}"
restore-keys = ["out-"]
"#;

/// Bytes of the file that is cached; they cannot be compressed.
const BYTES: usize = 60_000;

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(BYTES)
    .collect()
}

fn project(head: &str) -> Project {
    Project::new(&format!("{head}\n{CACHE}"))
}

fn save(project: &Project, store: &Path, n: u64) -> Ran {
    project.write("workspace/out/file", noise(n));
    let store = file_url(store);
    let n = format!("n={n}");
    project.run(&["--json", "--store", &store, "--ref", "main", "--var", &n, "save"]).success()
}

/// The entries of a store, with their sizes.
fn entries(store: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut directories = vec![store.to_owned()];
    while let Some(directory) = directories.pop() {
        for child in fs::read_dir(&directory).into_iter().flatten().flatten() {
            // It may be deleted meanwhile.
            let Ok(metadata) = child.metadata() else { continue };
            if metadata.is_dir() {
                directories.push(child.path());
            } else if child.file_name().to_string_lossy().ends_with(".tar.zst") {
                found.push((child.path(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

fn keys(store: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().replace(".tar.zst", "");
    entries(store).iter().map(|(path, _)| name(path)).collect()
}

fn bytes(store: &Path) -> u64 {
    entries(store).iter().map(|(_, size)| size).sum()
}

/// Makes an entry as old as a number of hours.
fn age(store: &Path, key: &str, hours: u64) {
    let (path, _) =
        entries(store).into_iter().find(|(path, _)| path.ends_with(format!("{key}.tar.zst"))).expect(key);
    let file = fs::File::options().write(true).open(path).expect("an entry");
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3_600)).expect("a time");
}

#[test]
fn after_a_save_the_least_recently_used_go_and_the_reasons_are_given() {
    let project = project("quota = \"200kB\"");
    let store = project.path("store");
    for n in 1..=3 {
        let ran = save(&project, &store, n);
        assert_eq!(ran.json()["quota"]["deleted"], 0, "{}", ran.stderr);
        age(&store, &format!("out-{n}"), 10 - n);
    }
    let ran = save(&project, &store, 4);
    assert_eq!(keys(&store), ["out-2", "out-3", "out-4"], "{}", ran.stderr);
    let quota = &ran.json()["quota"];
    assert_eq!((&quota["quota-bytes"], &quota["deleted"]), (&200_000.into(), &1.into()), "{quota}");
    assert_eq!(quota["after-bytes"], bytes(&store), "{quota}");
    let reason = "deleted `out-1` of refs/heads/main (60.9 kB): least recently used (9 h ago) while";
    assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    let place = file_url(&store);
    let place = place.trim_start_matches(if cfg!(windows) { "file:///" } else { "file://" });
    assert!(ran.stderr.contains(&format!("deleted 1 entry of {place}")), "{}", ran.stderr);
}

#[test]
fn a_store_that_is_named_has_no_quota_unless_one_is_set() {
    let project = project("");
    let store = project.path("store");
    let ran = save(&project, &store, 1);
    assert!(ran.json()["quota"].is_null(), "{}", ran.stderr);
    let set = project
        .command()
        .env("CACHEKEEP_QUOTA", "10kB")
        .args(["--json", "--store", &file_url(&store), "--var", "n=2", "save"])
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&set.stderr).into_owned();
    assert!(text.contains("deleted"), "{text}");
    let wrong = Ran::of(project.command().env("CACHEKEEP_QUOTA", "much").arg("save")).code(2);
    assert!(wrong.stderr.contains("CACHEKEEP_QUOTA"), "{}", wrong.stderr);
}

#[test]
fn what_is_protected_stays_and_a_store_that_stays_too_large_says_why() {
    let project = project("quota = \"100kB\"\n[clean]\nprotect = [\"out-1\", \"out-2\"]");
    let store = project.path("store");
    save(&project, &store, 1);
    save(&project, &store, 2);
    let ran = save(&project, &store, 3);
    assert_eq!(keys(&store), ["out-1", "out-2"], "{}", ran.stderr);
    assert!(ran.stderr.contains("may not be deleted: 121.9 kB in 2 entries (protected)"), "{}", ran.stderr);
    // Another repository saves there as well, and protects nothing.
    let other = Project::new(&format!("quota = \"100kB\"\n{CACHE}"));
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        cachekeep_test_support::project::scrub(&mut command, &other.path(""));
        let done = command.args(arguments).current_dir(other.path("workspace")).output().expect("git");
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "https://github.com/other/one.git"]);
    let ran = save(&other, &store, 7);
    assert_eq!(keys(&store), ["out-1", "out-2"], "{}", ran.stderr);
    let ran = other.run(&["ls", "--all-repositories", "--store", &file_url(&store)]);
    assert!(ran.success().stdout.contains("out-1"));
}

/// The file of an entry is made as large as no upgrade may delete at once; it has holes.
#[cfg(unix)]
#[test]
fn the_first_run_after_an_upgrade_only_warns() {
    let project = project("");
    let save = |n: &str| {
        project.write("workspace/out/file", noise(n.len() as u64));
        project.run(&["--json", "--ref", "main", "--var", n, "save"]).success()
    };
    assert_eq!(save("n=1").json()["quota"]["deleted"], 0);
    let store = project.path("home/.cache/cachekeep/store");
    let (first, _) = entries(&store).remove(0);
    fs::File::options()
        .write(true)
        .open(&first)
        .expect("an entry")
        .set_len(11_000_000_000)
        .expect("a length");
    age(&store, "out-1", 5);
    fs::remove_file(store.join("uploads/quota.json")).expect("as before the upgrade");
    let ran = save("n=22");
    assert_eq!(ran.json()["quota"]["only-warned"], true, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("its quota from now on") && ran.stderr.contains("CACHEKEEP_QUOTA"),
        "{}",
        ran.stderr
    );
    assert_eq!(keys(&store), ["out-1", "out-22"]);
    let ran = save("n=333");
    assert_eq!(ran.json()["quota"]["deleted"], 1, "{}", ran.stderr);
    assert_eq!(keys(&store), ["out-22", "out-333"]);
}

#[test]
fn in_a_privileged_event_the_configuration_deletes_nothing() {
    let project = project("quota = \"100kB\"");
    let store = project.path("store");
    let location = file_url(&store);
    for n in 1..=3 {
        project.write("workspace/out/file", noise(n));
        let mut command = project.command();
        command.args(["--store", &location, "--ref", "main", "--role", "writer", "--json", "save"]);
        command.args(["--var", &format!("n={n}")]);
        let ran = Ran::of(command.envs(started_by("workflow_run", &project.path("temp")))).success();
        assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
        assert!(ran.json()["quota"].is_null(), "{}", ran.stderr);
    }
    assert_eq!(entries(&store).len(), 3);
}

/// Saves so many times, in a project of its own.
fn write(store: &Path, head: &str, writer: u64, rounds: u64) {
    let project = project(head);
    for round in 0..rounds {
        let ran = save(&project, store, writer * 1_000_000 + round);
        assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
    }
}

/// Restores until it is done, in a project of its own; returns how often.
fn read(store: &Path, reader: u64, done: &AtomicBool) -> usize {
    let project = project("");
    let location = file_url(store);
    let n = format!("n=none-{reader}");
    let arguments = ["--json", "--store", &location, "--ref", "main", "--var", &n, "restore", "--required"];
    let mut restored = 0;
    while !done.load(Ordering::Relaxed) {
        let ran = project.run(&arguments).success();
        assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "partial", "{}", ran.stderr);
        restored += 1;
    }
    restored
}

/// Eight jobs save and four restore over one store. `CACHEKEEP_TEST_QUOTA_ROUNDS` sets how often.
#[allow(clippy::print_stderr, reason = "the figures of a long run, for people")]
#[test]
fn many_writers_and_readers_keep_the_store_below_its_mark_and_break_no_lease() {
    const WRITERS: u64 = 8;
    const READERS: u64 = 4;
    let rounds: u64 =
        std::env::var("CACHEKEEP_TEST_QUOTA_ROUNDS").map_or(5, |text| text.parse().expect("a number"));
    let place = tempfile::tempdir().expect("a place");
    let store = place.path().join("store");
    let first = project("");
    save(&first, &store, 0);
    let one = bytes(&store);
    let high = one * 20;
    // An entry that is read all the while, and was used before all others.
    age(&store, "out-0", 50);
    let (leased, _) = entries(&store).remove(0);
    let reader = fs::File::open(&leased).expect("an entry");
    reader.lock_shared().expect("leased");

    let head = format!("quota = \"{high}B\"");
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let restored: usize = std::thread::scope(|scope| {
        let _done_at_the_end = SetAtTheEnd(&done);
        let (store, head, done) = (&store, &head, &done);
        let write = |writer| scope.spawn(move || write(store, head, writer, rounds));
        let writers: Vec<_> = (1..=WRITERS).map(write).collect();
        let read = |reader| scope.spawn(move || read(store, reader, done));
        let readers: Vec<_> = (0..READERS).map(read).collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(bytes(store), Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let ended: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        readers.into_iter().map(|reader| reader.join().expect("every restore is a hit")).sum()
    });
    let most = most.into_inner();
    eprintln!("{most} bytes at most, {high} allowed, {one} an entry; {restored} restores");
    // Each writer has one entry in flight.
    assert!(most <= high + WRITERS * (one + 100), "{most} bytes, {high} allowed");
    assert!(bytes(&store) <= high, "{} bytes, {high} allowed", bytes(&store));
    assert!(leased.exists(), "an entry that is being read was deleted");
    assert_eq!(
        fs::read_dir(store.join("uploads")).expect("a directory").count(),
        2,
        "the lock and the record"
    );
}
