//! Tests of leases.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cachekeep_test_support::threads::SetAtTheEnd;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

#[test]
fn names_of_temporary_things_are_told_from_others() {
    let check = |name: &str, expect: bool| assert_eq!(is_temp_name(OsStr::new(name)), expect, "{name}");
    check(".cachekeep-12-ab.tmp", true);
    check(".cachekeep-.tmp", false);
    check(".cachekeep-x", false);
    check(".cachekeep.tmp", false);
    check("a.cachekeep-x.tmp", false);
}

#[test]
fn a_lease_tells_people_whose_it_is() {
    let place = tempfile::tempdir().expect("a place");
    let leased = LeasedDirectory::create_in(place.path(), "restoring `x`", now()).expect("a lease");
    assert!(is_temp_name(leased.path().file_name().expect("a name")));
    let text = fs::read_to_string(leased.path().join(LEASE)).expect("readable");
    assert!(text.starts_with("cachekeep "), "{text}");
    assert!(
        text.contains("purpose restoring `x`\n") && text.contains("started 2026-03-01T12:00:00Z\n"),
        "{text}"
    );
    assert!(text.contains(&format!("pid {}\n", std::process::id())), "{text}");
}

#[test]
fn dropping_and_closing_remove_everything() {
    let place = tempfile::tempdir().expect("a place");
    for closes in [true, false] {
        let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("a lease");
        fs::create_dir_all(leased.payload().join("a/b")).expect("payload");
        fs::write(leased.payload().join("a/b/c"), "x").expect("payload");
        if closes {
            leased.close().expect("closes");
        } else {
            drop(leased);
        }
        assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 0);
    }
}

#[test]
fn a_live_lease_cannot_be_taken_over_and_a_dead_one_can() {
    let place = tempfile::tempdir().expect("a place");
    let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("a lease");
    let path = leased.path().to_owned();
    assert!(matches!(LeasedDirectory::take_over(&path, now()), Ok(Takeover::Live)));
    leased.leave();
    assert!(matches!(LeasedDirectory::take_over(&path, now()), Ok(Takeover::Ours(_))));
    assert!(!path.exists(), "taken over and dropped");
    assert!(matches!(LeasedDirectory::take_over(&path, now()), Ok(Takeover::Gone)));
}

#[test]
fn without_a_lease_only_the_empty_and_the_old_go() {
    let place = tempfile::tempdir().expect("a place");
    let path = place.path().join(".cachekeep-1-1.tmp");
    fs::create_dir(&path).expect("made");
    assert!(matches!(LeasedDirectory::take_over(&path, now()), Ok(Takeover::Gone)));

    fs::create_dir(&path).expect("made");
    fs::write(path.join("junk"), "x").expect("written");
    let modified = DateTime::<Utc>::from(fs::metadata(&path).expect("there").modified().expect("a time"));
    let young = LeasedDirectory::take_over(&path, modified + TimeDelta::hours(23));
    assert!(matches!(young, Ok(Takeover::Live)), "{young:?}");
    let old = LeasedDirectory::take_over(&path, modified + TimeDelta::hours(25));
    assert!(matches!(old, Ok(Takeover::Ours(_))), "{old:?}");
}

#[test]
fn a_directory_with_a_journal_outlives_its_owner() {
    let place = tempfile::tempdir().expect("a place");
    let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("a lease");
    let path = leased.path().to_owned();
    fs::write(path.join(JOURNAL), "{}").expect("written");
    drop(leased);
    assert!(path.join(PAYLOAD).is_dir());
}

#[test]
fn where_no_directory_is_the_error_names_it() {
    let error =
        LeasedDirectory::create_in(Path::new("/nonexistent/x"), "test", now()).expect_err("no parent");
    assert!(
        error.to_string().starts_with("cannot make a temporary directory in `/nonexistent/x`: "),
        "{error}"
    );
}

#[test]
fn an_owner_ends_well_while_another_process_looks_at_its_lease() {
    let place = tempfile::tempdir().expect("a place");
    let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("a lease");
    let other = File::open(leased.path().join(LEASE)).expect("a lease");
    leased.close().expect("closes");
    drop(other);
    recover_all(place.path());
    assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 0);
}

#[test]
fn owners_and_recoverers_may_race_without_harm() {
    let place = tempfile::tempdir().expect("a place");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop_at_the_end = SetAtTheEnd(&stop);
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for entry in fs::read_dir(place.path()).expect("a place").flatten() {
                        let _ = LeasedDirectory::take_over(&entry.path(), now());
                    }
                }
            });
        }
        for _ in 0..300 {
            let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("a lease");
            fs::write(leased.payload().join("file"), "x").expect("our payload stays while we live");
            leased.close().expect("closes");
        }
    });
    recover_all(place.path());
    assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 0);
}

/// Where names of files that another process has open stay, an owner may leave its directory empty.
fn recover_all(place: &Path) {
    for entry in fs::read_dir(place).expect("a place").flatten() {
        let taken = LeasedDirectory::take_over(&entry.path(), now()).expect("looked at");
        assert!(cfg!(windows) && matches!(taken, Takeover::Gone), "{taken:?}");
    }
}

/// Without the flag the scope would wait for the thread for ever; here the thread gives up, so that the test fails.
#[test]
fn a_test_that_panics_ends_the_threads_beside_it() {
    let (done, begun) = (AtomicBool::new(false), Instant::now());
    let ended = std::panic::catch_unwind(|| {
        std::thread::scope(|scope| {
            let _done_at_the_end = SetAtTheEnd(&done);
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(30) {
                    std::thread::yield_now();
                }
            });
            panic!("as a failed assertion does");
        });
    });
    assert!(ended.is_err() && done.into_inner(), "the thread was not ended");
}

#[cfg(unix)]
#[test]
fn a_lease_that_is_a_link_or_a_pipe_is_never_taken_over_or_taken_for_gone() {
    let place = tempfile::tempdir().expect("a place");
    let outside = place.path().join("outside");
    fs::write(&outside, "untouched").expect("written");
    for kind in ["link", "dangling", "pipe", "directory"] {
        let path = place.path().join(format!(".cachekeep-{kind}.tmp"));
        fs::create_dir(&path).expect("made");
        let lease = path.join(LEASE);
        match kind {
            "link" => std::os::unix::fs::symlink(&outside, &lease).expect("linked"),
            "dangling" => std::os::unix::fs::symlink("nowhere", &lease).expect("linked"),
            "pipe" => {
                let made = std::process::Command::new("mkfifo").arg(&lease).status();
                assert!(made.is_ok_and(|status| status.success()), "a pipe");
            }
            _ => fs::create_dir(&lease).expect("made"),
        }
        let taken = LeasedDirectory::take_over(&path, now());
        assert!(taken.is_err(), "{kind}: {taken:?}");
        assert!(lease.symlink_metadata().is_ok(), "{kind}");
    }
    assert_eq!(fs::read_to_string(&outside).expect("there"), "untouched");
}
