//! Cancelled jobs: a runner interrupts, terminates and kills, at a random moment of `run` with a command that ignores
//! signals and has grandchildren. After the next start all of it is gone.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cachekeep_test_support::processes::processes_with;
use cachekeep_test_support::signals::hear_signals;
use rustix::process::{Pid, Signal, kill_process};

use crate::forest;
use crate::job::{Job, ONE_CACHE};
use crate::process::PATIENCE;
use crate::scale::{pick, tell};

/// Between the signals of GitHub's and Azure's runners.
const SCHEDULE: [Duration; 2] = [Duration::from_millis(7_500), Duration::from_millis(2_500)];

/// Ignored signals are inherited: neither the shells nor what they start hears any but the last.
const STUBBORN: &str = "trap '' INT TERM HUP
(sleep 600 & sleep 600 & wait) &
sleep 600 &
while :; do sleep 1; done";

/// How long a slice of a wait may take before the machine counts as stalled.
const SLICE: Duration = Duration::from_millis(10);

/// Waits so that a machine that stalls does not shorten what others have of the time.
fn wait(duration: Duration) {
    let mut waited = Duration::ZERO;
    while waited < duration {
        let started = Instant::now();
        std::thread::sleep(SLICE);
        if started.elapsed() < SLICE * 3 {
            waited += started.elapsed();
        }
    }
}

/// When a job is cancelled.
enum Moment<'a> {
    After(Duration),
    /// Once its command has made this file.
    OnceThere(&'a Path),
}

/// Cancels a job a while after its start, by the schedule of a runner. What it prints is dropped: what outlived it would hold
/// a pipe open.
fn cancel(command: &mut Command, moment: &Moment<'_>, pace: u32) {
    hear_signals();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("the binary starts");
    let pid = Pid::from_child(&child);
    match moment {
        Moment::After(pause) => std::thread::sleep(*pause),
        Moment::OnceThere(file) => {
            let started = Instant::now();
            while !file.exists() {
                assert!(started.elapsed() < PATIENCE, "the command does not run");
                std::thread::sleep(SLICE);
            }
        }
    }
    kill_process(pid, Signal::INT).expect("a child that was not waited for");
    for (signal, pause) in [Signal::TERM, Signal::KILL].into_iter().zip(SCHEDULE) {
        wait(pause / pace);
        kill_process(pid, signal).expect("a child that was not waited for");
    }
    child.wait().expect("it ends");
}

fn storm(pace: u32, count: u32) {
    let job = Job::new(&ONE_CACHE.replace("out-{var.n}", "out"));
    forest::plain(&job.out(), 8 << 20, 1);
    job.run("", &["save"]).success();
    let started = Instant::now();
    job.run("", &["run", "--", "true"]).success();
    let whole = started.elapsed();
    let mut with_command = 0;
    for attempt in 0..count {
        forest::clear(&job.out());
        let mark = format!("{}-{pace}-{attempt}", std::process::id());
        let mut command = job.command("", &["run", "--", "sh", "-c", &format!("touch up\n{STUBBORN}")]);
        let up = job.project.path("workspace/up");
        let _ = std::fs::remove_file(&up);
        // The first is cancelled while the command runs, all others at any moment.
        let moment = match attempt {
            0 => Moment::OnceThere(&up),
            _ => Moment::After(whole.mul_f64(rand::random_range(0.0..2.0))),
        };
        cancel(command.env("CACHEKEEP_TEST_STORM", &mark), &moment, pace);
        with_command += u32::from(up.exists());
        job.run("", &["run", "--", "true"]).success();
        let mark = format!("CACHEKEEP_TEST_STORM={mark}");
        let ended = Instant::now();
        // Processes that were killed may still be on their way out; one that was not sleeps for ten minutes.
        while !processes_with(&mark).is_empty() {
            assert!(ended.elapsed() < PATIENCE, "left by attempt {attempt}: {:?}", processes_with(&mark));
            std::thread::sleep(SLICE);
        }
        assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new(), "attempt {attempt}");
    }
    assert!(with_command > 0, "the command never ran");
    tell(&format!(
        "cancelled {count} times at 1/{pace} of the schedule, {with_command} with the command running"
    ));
}

#[test]
fn a_job_that_is_cancelled_ten_times_as_fast_as_by_a_runner_leaves_nothing() {
    storm(10, pick(12, 180));
}

#[test]
fn a_job_that_is_cancelled_by_the_schedule_of_a_runner_leaves_nothing() {
    storm(1, pick(1, 20));
}
