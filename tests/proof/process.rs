//! Processes that are watched, stopped, interrupted and killed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use cachekeep_test_support::capture::Source;
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::signals::hear_signals;

/// Longer than anything here takes, even where others use the machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A running binary; killed when dropped.
pub(crate) struct Process {
    child: Option<Child>,
    source: Source,
}

impl Process {
    /// Starts a command, its output kept.
    pub(crate) fn start(command: &mut Command) -> Self {
        hear_signals();
        let source = Source::of("binary", command);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Process { child: Some(child.expect("the binary starts")), source }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it is waited for once")
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it is waited for once").id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a child that was not waited for");
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child().try_wait().expect("a child").is_none()
    }

    /// Waits until something is so, while it runs; whether it came to be.
    pub(crate) fn until(&mut self, mut is_so: impl FnMut() -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if is_so() {
                return true;
            }
            if !self.is_running() {
                return false;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        panic!("nothing happened in {PATIENCE:?}");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let child = self.child.take().expect("it is waited for once");
        Ran::read(&self.source, child.wait_with_output().expect("it ends"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Kills a command at random moments of its run time, which it estimates from the runs before.
pub(crate) struct Killer {
    life: Duration,
}

impl Killer {
    /// One that thinks that a whole run takes so long.
    pub(crate) fn new(life: Duration) -> Self {
        Killer { life }
    }

    /// Starts the command and kills it somewhere; whether it was still running then.
    pub(crate) fn strike(&mut self, command: &mut Command) -> bool {
        self.strike_after(command, || true)
    }

    /// The same, but counts its time from when something is so.
    pub(crate) fn strike_after(&mut self, command: &mut Command, is_so: impl Fn() -> bool) -> bool {
        Source::of("binary", command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        while !is_so() && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_micros(300));
        }
        std::thread::sleep(self.life.mul_f64(rand::random_range(0.0..1.0)));
        child.kill().expect("a child that was not waited for");
        let killed = child.wait().expect("it ends").signal() == Some(9);
        // A command that ended first is shorter than the estimate; one that was killed may be longer.
        self.life = self.life.mul_f64(if killed { 1.06 } else { 0.75 });
        killed
    }
}
