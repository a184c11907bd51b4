//! The work of a live process is left alone: stopped in the middle, it is not recovered from, and completes afterwards.

use rustix::process::Signal;

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::process::Process;
use cachekeep_test_support::tree::snapshot;

/// Starts a command, stops it as soon as it is busy in a directory, lets others start meanwhile, and lets it go on.
/// Tries until it was caught.
fn stop_and_go(job: &Job, key: &str, arguments: &[&str], directory: &str, mut again: impl FnMut()) -> String {
    for _ in 0..50 {
        again();
        let mut peer = Process::start(&mut job.command(key, arguments));
        peer.until(|| job.is_busy_in(directory));
        peer.signal(Signal::STOP);
        if !job.is_busy_in(directory) {
            peer.signal(Signal::CONT);
            peer.end().success();
            continue;
        }
        let before = job.leftovers();
        for other in [
            &["restore", "--lookup-only"][..],
            &["restore"],
            &["seed"],
            &["save", "--role", "consumer"],
            &["clean"],
        ] {
            job.run("other", other).success();
            assert_eq!(job.leftovers(), before, "a live peer's things are spared");
        }
        peer.signal(Signal::CONT);
        let ended = peer.end().success();
        assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new());
        return ended.stdout;
    }
    panic!("never caught at work");
}

#[test]
fn a_stopped_save_and_a_stopped_restore_complete() {
    let job = Job::new(ONE_CACHE);
    forest::plain(&job.out(), 16 << 20, 1);
    let tree = snapshot(&job.out());
    let mut generation = 0;
    stop_and_go(&job, "1", &["save", "--required"], "store/uploads", || {
        if generation > 0 {
            job.entries().into_iter().for_each(|entry| std::fs::remove_file(entry).expect("removed"));
        }
        generation += 1;
    });
    assert_eq!(job.restored("1"), tree);
    let restore = ["restore", "--required", "--fail-on-miss"];
    stop_and_go(&job, "1", &restore, "workspace", || forest::clear(&job.out()));
    assert_eq!(snapshot(&job.out()), tree);
}

#[test]
fn a_stopped_seed_completes() {
    let (job, names) = forest::seeded(200, 50_000);
    // No other process may seed meanwhile, so the others here only look.
    for _ in 0..50 {
        forest::clear(&job.out());
        let mut peer = Process::start(&mut job.command("1", &["seed", "--required"]));
        peer.until(|| job.is_busy_in("workspace/out"));
        peer.signal(Signal::STOP);
        if !job.is_busy_in("workspace/out") {
            // Killed where it stands, it would leave things that the others sweep.
            peer.signal(Signal::CONT);
            peer.end().success();
            continue;
        }
        let before = job.leftovers();
        for other in [&["restore", "--lookup-only"][..], &["save", "--role", "consumer"]] {
            job.run("1", other).success();
            assert_eq!(job.leftovers(), before);
        }
        // Another one that seeds at the same time does not disturb it either.
        let second = job.run("1", &["seed", "--required"]).success();
        assert_eq!(field(&second, "seed/result"), "seeded");
        assert_eq!(job.leftovers(), before);
        peer.signal(Signal::CONT);
        peer.end().success();
        assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new());
        assert_eq!(forest::verified_objects(&job.out()), names.len());
        job.run("1", &["gate"]).success();
        return;
    }
    panic!("never caught at work");
}
