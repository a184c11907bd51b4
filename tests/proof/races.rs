//! Many at once: one entry, made by one of them, and never seen by halves.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::process::Process;
use crate::scale::{pick, tell};
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::threads::SetAtTheEnd;
use cachekeep_test_support::tree::snapshot;

#[test]
fn of_eight_that_save_one_key_one_saves_and_readers_see_it_whole_or_not_at_all() {
    let job = Job::new(ONE_CACHE);
    forest::plain(&job.out(), 12 << 20, 1);
    let tree = snapshot(&job.out());
    let (misses, hits) = (AtomicU32::new(0), AtomicU32::new(0));
    for round in 0..pick(2, 20) {
        let key = round.to_string();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _done_at_the_end = SetAtTheEnd(&done);
            for reader in 0..3 {
                let place = job.project.path(&format!("reader-{reader}"));
                std::fs::create_dir_all(&place).expect("a directory");
                let (job, tree, done, key, misses, hits) = (&job, &tree, &done, &key, &misses, &hits);
                scope.spawn(move || {
                    // Once more after the end, when there must be an entry.
                    let mut last = false;
                    while !last {
                        last = done.load(Ordering::Acquire);
                        forest::clear(&place.join("out"));
                        let ran = Ran::of(&mut job.command_in(&place, key, &["restore"])).success();
                        assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
                        if field(&ran, "restore/hit") == "exact" {
                            hits.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(&snapshot(&place.join("out")), tree);
                        } else {
                            misses.fetch_add(1, Ordering::Relaxed);
                            assert!(!last && !place.join("out").exists(), "{}", ran.stderr);
                        }
                    }
                });
            }
            let writers: Vec<_> =
                (0..8).map(|_| Process::start(&mut job.command(&key, &["save", "--required"]))).collect();
            let ended: Vec<_> = writers.into_iter().map(Process::end).collect();
            done.store(true, Ordering::Release);
            let mut results: Vec<_> =
                ended.into_iter().map(|ran| field(&ran.success(), "save/save-result")).collect();
            results.sort();
            assert_eq!(
                results,
                ["exists", "exists", "exists", "exists", "exists", "exists", "exists", "saved"]
            );
        });
        assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new());
        assert_eq!(job.entries().len(), 1 + round);
    }
    tell(&format!("races: readers saw {misses:?} misses and {hits:?} whole entries"));
}
