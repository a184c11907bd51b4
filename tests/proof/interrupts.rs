//! Ctrl-C and a polite termination in every phase: a prompt end, the right code, and nothing left at once.

use std::time::{Duration, Instant};

use cachekeep::domain::sentinel::SENTINEL_FILE;
use rustix::process::Signal;

use crate::forest;
use crate::job::{Job, ONE_CACHE};
use crate::process::Process;
use crate::scale::{pick, tell};
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::tree::snapshot;

/// The longest time that counts as prompt: 5 s for the full size, which has the machine to itself, and 30 s beside other
/// tests, which is less than the minute that some of the commands would still take.
fn prompt() -> Duration {
    pick(Duration::from_secs(30), Duration::from_secs(5))
}

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// How often each signal is sent in each phase.
fn times() -> u32 {
    pick(1, 20)
}

/// Interrupts it now and waits for its end, which is soon and leaves nothing.
#[track_caller]
fn interrupt(job: &Job, process: Process, signal: Signal) -> Ran {
    let sent = Instant::now();
    process.signal(signal);
    let ran = process.end();
    let took = sent.elapsed();
    assert!(took < prompt(), "{took:?} after {signal:?}\n{}", ran.stderr);
    assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new(), "after {signal:?}\n{}", ran.stderr);
    ran
}

/// Interrupts a command some time after it is busy in a directory, with every signal; returns how each run ended, and
/// whether it was interrupted before it was done.
fn in_phase(
    job: &Job,
    arguments: &[&str],
    directory: &str,
    mut life: Duration,
    mut after: impl FnMut(&Ran, bool),
) {
    let mut caught = 0;
    for attempt in 0..100 {
        // The last ones are for a machine that was busier when the whole was timed than it is now.
        if attempt >= times() * 3 && caught > 0 {
            break;
        }
        let (signal, code) = SIGNALS[attempt as usize % 3];
        let mut process = Process::start(&mut job.command(&attempt.to_string(), arguments));
        if !process.until(|| job.is_busy_in(directory)) {
            process.end().success();
            continue;
        }
        std::thread::sleep(life.mul_f64(rand::random_range(0.0..0.6)));
        if !process.is_running() {
            life = life.mul_f64(0.7);
            after(&process.end().success(), false);
            continue;
        }
        let ran = interrupt(job, process, signal);
        // It may have been on its way out.
        let was_interrupted = ran.code == code;
        after(&if was_interrupted { ran } else { ran.success() }, was_interrupted);
        caught += u32::from(was_interrupted);
    }
    assert!(caught > 0, "never in time");
    tell(&format!("interrupted {caught} times: {arguments:?}"));
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

#[test]
fn while_it_looks_up() {
    let job = Job::new(ONE_CACHE);
    forest::plain(&job.out(), 1 << 20, 1);
    let whole = timed(|| drop(job.run("1", &["restore", "--lookup-only"]).success()));
    for attempt in 0..times() * 6 {
        let (signal, code) = SIGNALS[attempt as usize % 3];
        let process = Process::start(&mut job.command("1", &["restore", "--lookup-only"]));
        std::thread::sleep(whole.mul_f64(rand::random_range(0.0..1.0)));
        let ran = interrupt(&job, process, signal);
        assert!([0, code].contains(&ran.code), "{}\n{}", ran.code, ran.stderr);
    }
}

#[test]
fn while_it_saves() {
    let job = Job::new(ONE_CACHE);
    forest::plain(&job.out(), 16 << 20, 1);
    let tree = snapshot(&job.out());
    let whole = timed(|| drop(job.run("warm", &["save"]).success()));
    in_phase(&job, &["save"], "store/uploads", whole, |_, _| {
        assert_eq!(snapshot(&job.out()), tree);
        for key in job.keys() {
            assert_eq!(job.restored(&key), tree);
        }
        job.entries().into_iter().for_each(|entry| std::fs::remove_file(entry).expect("removed"));
    });
}

#[test]
fn while_it_restores() {
    let config = ONE_CACHE.replace("out-{var.n}", "out");
    let job = Job::new(&config);
    let older = job.project.path("older");
    forest::plain(&job.out(), 16 << 20, 1);
    job.run("", &["save"]).success();
    forest::clear(&job.out());
    forest::plain(&job.out(), 4 << 20, 2);
    forest::copy(&job.out(), &older);
    let before = snapshot(&job.out());
    let whole = timed(|| drop(job.run("", &["restore", "--required"]).success()));
    let complete = snapshot(&job.out());
    let renew = || {
        forest::clear(&job.out());
        forest::copy(&older, &job.out());
    };
    for arguments in [&["restore"][..], &["run", "--", "touch", "the-command-ran"]] {
        renew();
        in_phase(&job, arguments, "workspace", whole, |ran, was_interrupted| {
            let found = snapshot(&job.out());
            assert!(found == before || found == complete, "{}", ran.stderr);
            if was_interrupted && arguments[0] == "run" {
                assert!(!job.project.path("workspace/the-command-ran").exists(), "{}", ran.stderr);
            }
            let _ = std::fs::remove_file(job.project.path("workspace/the-command-ran"));
            renew();
        });
    }
}

#[test]
fn while_it_seeds() {
    let (job, names) = forest::seeded(200, 50_000);
    let whole = timed(|| drop(job.run("", &["seed", "--required"]).success()));
    forest::clear(&job.out());
    in_phase(&job, &["seed"], "workspace/out", whole, |ran, _| {
        let present = forest::verified_objects(&job.out());
        assert!(!job.out().join(SENTINEL_FILE).exists() || present == names.len(), "{}", ran.stderr);
        forest::clear(&job.out());
    });
}

#[test]
fn while_the_command_runs_and_while_it_is_saved() {
    let job = Job::new(ONE_CACHE);
    let started = job.project.path("workspace/started");
    for (signal, code) in SIGNALS {
        let command = ["run", "--", "sh", "-c", "touch started; exec sleep 60"];
        let mut process = Process::start(&mut job.command("1", &command));
        assert!(process.until(|| started.exists()));
        // The child's death by the signal, or the shell's that had not become `sleep` yet.
        interrupt(&job, process, signal).code(code);
        std::fs::remove_file(&started).expect("it started");
    }
    forest::plain(&job.out(), 16 << 20, 1);
    let whole = timed(|| drop(job.run("warm", &["save"]).success()));
    in_phase(&job, &["run", "--", "true"], "store/uploads", whole, |_, _| {
        job.entries().into_iter().for_each(|entry| std::fs::remove_file(entry).expect("removed"));
    });
}
