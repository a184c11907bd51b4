//! Readers and a cleaner at one store: what is being read is not deleted, and what is deleted is a miss.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::forest;
use crate::job::{Job, field};
use crate::process::Process;
use crate::scale::{pick, tell};
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::tree::{Snapshot, snapshot};

/// Writers save ever new generations of these; only the newest stays, so that the cleaner always has something to do.
const CONFIG: &str = r#"
[disk]
reserve = "0%"

[cache.out]
path = "{workspace}/out"
key = "out-{var.n}"
restore-keys = ["out-"]
shared = true

[clean]
superseded = { keep = 1 }
recent = "0s"
guard = { percent = 0 }
"#;

const READERS: usize = 8;

/// Trees that differ, each in a checkout of its own.
const TREES: usize = 3;

/// What happened, over all processes.
#[derive(Debug, Default)]
struct Seen {
    hits: AtomicU32,
    misses: AtomicU32,
    saved: AtomicU32,
    cleanings: AtomicU32,
    deleted: AtomicU32,
    leased: AtomicU32,
}

impl Seen {
    fn count(counter: &AtomicU32, more: u64) {
        counter.fetch_add(u32::try_from(more).expect("few"), Ordering::Relaxed);
    }
}

/// The key of a generation: digits that key patterns replace by `*`.
fn key_of(generation: usize) -> String {
    (10_000_000 + generation).to_string()
}

/// Which tree was saved under a key.
fn tree_of(key: &str) -> usize {
    (key.parse::<usize>().expect("digits") - 10_000_000) % TREES
}

/// Restores what is newest until it is over. A hit is the tree of its key, byte by byte; a miss is clean.
fn read(job: &Job, place: &Path, trees: &[Snapshot], done: &AtomicBool, seen: &Seen) {
    while !done.load(Ordering::Acquire) {
        forest::clear(&place.join("out"));
        let ran = Ran::of(&mut job.command_in(place, "none", &["restore", "--required"])).success();
        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
        if field(&ran, "restore/hit") == "none" {
            Seen::count(&seen.misses, 1);
            assert!(!place.join("out").exists(), "{}", ran.stderr);
            continue;
        }
        let key = field(&ran, "restore/matched-key");
        let tree = tree_of(key.strip_prefix("out-").expect("one of our keys"));
        assert!(snapshot(&place.join("out")) == trees[tree], "`{key}` is another tree");
        Seen::count(&seen.hits, 1);
    }
}

/// Saves one generation after the other.
fn write(job: &Job, places: &[PathBuf], done: &AtomicBool, seen: &Seen) {
    for generation in 1.. {
        if done.load(Ordering::Acquire) {
            return;
        }
        let place = &places[generation % TREES];
        let save = ["save", "--required"];
        let ran = Ran::of(&mut job.command_in(place, &key_of(generation), &save)).success();
        assert_eq!(field(&ran, "save/save-result"), "saved", "{}", ran.stderr);
        Seen::count(&seen.saved, 1);
    }
}

/// Cleans. Nothing fails; an entry that a process reads is kept.
fn clean(job: &Job, seen: &Seen) {
    let outcome = job.run("none", &["clean"]).success().json();
    assert_eq!(outcome["end"], "done", "{outcome}");
    let count = |pointer: &str| outcome.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or(0);
    Seen::count(&seen.cleanings, 1);
    Seen::count(&seen.deleted, count("/freed/entries"));
    Seen::count(&seen.leased, count("/spared/entries") + count("/blocked/leased/entries"));
}

#[test]
fn eight_readers_and_a_cleaner_get_along() {
    let job = Job::new(CONFIG);
    let grown = |index| {
        let place = job.project.path(&format!("writer-{index}"));
        forest::plain(&place.join("out"), pick(20, 40) << 20, index as u64 + 1);
        place
    };
    let places: Vec<PathBuf> = (0..TREES).map(grown).collect();
    let trees: Vec<Snapshot> = places.iter().map(|place| snapshot(&place.join("out"))).collect();
    Ran::of(&mut job.command_in(&places[0], &key_of(0), &["save", "--required"])).success();

    let (seen, done) = (Seen::default(), AtomicBool::new(false));
    let started = Instant::now();
    let length = Duration::from_secs(pick(4, 60));
    std::thread::scope(|scope| {
        let (job, seen, done, trees, places) = (&job, &seen, &done, &trees, &places);
        for reader in 0..READERS {
            let place = job.project.path(&format!("reader-{reader}"));
            std::fs::create_dir_all(&place).expect("a directory");
            scope.spawn(move || ending(done, || read(job, &place, trees, done, seen)));
        }
        scope.spawn(move || ending(done, || write(job, places, done, seen)));
        scope.spawn(move || {
            ending(done, || {
                while !done.load(Ordering::Acquire) {
                    clean(job, seen);
                }
            });
        });
        // Long enough, and for something of everything, however slow this machine is.
        let enough = || {
            let counters = [&seen.hits, &seen.saved, &seen.cleanings, &seen.deleted];
            counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 2)
        };
        while !done.load(Ordering::Acquire) && (started.elapsed() < length || !enough()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        done.store(true, Ordering::Release);
    });
    // The readers have ended: one generation is left, and nothing else.
    clean(&job, &seen);
    assert_eq!(job.entries().len(), 1);
    assert_eq!(job.leftovers(), Vec::<PathBuf>::new());
    let key = &job.keys()[0];
    assert!(job.restored(key) == trees[tree_of(key)]);
    tell(&format!("leases: {:?}, {seen:?}", started.elapsed()));
}

/// Generation 1 in the store, superseded, and a process that was stopped while it restores it.
fn stopped_reader(job: &Job) -> Process {
    for _ in 0..10 {
        forest::clear(&job.out());
        let restore = ["restore", "--required", "--fail-on-miss"];
        let mut reader = Process::start(&mut job.command(&key_of(1), &restore));
        if !reader.until(|| job.is_busy_in("workspace")) {
            reader.end().success();
            continue;
        }
        reader.signal(Signal::STOP);
        let plan = job.run("none", &["clean", "--dry-run"]).success().json();
        if plan["blocked"]["leased"]["entries"] == 1 {
            return reader;
        }
        // It had read everything already.
        reader.signal(Signal::CONT);
        reader.end().success();
    }
    panic!("never caught while it was reading");
}

#[test]
fn a_stopped_reader_keeps_its_entry_and_a_dead_one_does_not() {
    let job = Job::new(CONFIG);
    forest::plain(&job.out(), 48 << 20, 1);
    let tree = snapshot(&job.out());
    job.run(&key_of(1), &["save", "--required"]).success();
    // Larger, for what is much smaller replaces nothing; and compressible, to be quick.
    std::fs::write(job.out().join("more"), vec![7; 1 << 20]).expect("a file");
    job.run(&key_of(2), &["save", "--required"]).success();
    for is_killed in [false, true] {
        let mut reader = stopped_reader(&job);
        let outcome = job.run("none", &["clean"]).success().json();
        assert_eq!((&outcome["freed"]["entries"], &outcome["end"]), (&0.into(), &"done".into()), "{outcome}");
        assert_eq!(job.entries().len(), 2);
        if is_killed {
            reader.signal(Signal::KILL);
            assert!(!reader.until(|| false), "it is dead");
        } else {
            reader.signal(Signal::CONT);
            reader.end().success();
            assert!(snapshot(&job.out()) == tree);
        }
    }
    let outcome = job.run("none", &["clean"]).success().json();
    assert_eq!(outcome["freed"]["entries"], 1, "a dead process's lease counts for nothing");
    assert_eq!(job.keys(), [key_of(2)]);
    job.run("other", &["restore"]).success();
    assert_eq!(job.leftovers(), Vec::<PathBuf>::new());
}

/// Ends the others as well, also where this one fails.
fn ending(done: &AtomicBool, work: impl FnOnce()) {
    struct Ending<'a>(&'a AtomicBool);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let _ending = Ending(done);
    work();
}
