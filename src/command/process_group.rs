//! The process group of the command of `run`: how it is ended when the job is cancelled, and what has left it.
//!
//! Runners of GitHub Actions and Azure Pipelines send an interruption, a termination 7.5 s later, and kill 2.5 s after that.
//! [`Ending`] is this program's part of that schedule, without effects; the functions below it are what differs between
//! systems. Windows has no such groups: Ctrl-C reaches every process of the console, and nothing else is sent.

use std::process::Command;
use std::time::{Duration, Instant};

/// How long a group may take after the first signal before it is terminated: as long as runners wait.
const GENTLE: Duration = Duration::from_millis(7_500);

/// How long it may take after that before it is killed, at most. Runners wait for 2.5 s.
const LAST: Duration = Duration::from_millis(750);

/// A second signal comes when the sender is about to kill, a third of the time between both signals later. The group gets a
/// tenth of it.
const SHARE: u32 = 10;

/// What is to be sent to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// `SIGTERM`.
    Terminate,
    /// `SIGKILL`.
    Kill,
}

/// The end of a group, from the first signal on.
#[derive(Debug)]
pub(super) struct Ending {
    since: Instant,
    is_terminated: bool,
    kill_at: Option<Instant>,
}

impl Ending {
    /// The first signal came, and was forwarded.
    pub(super) fn new(now: Instant) -> Self {
        Ending { since: now, is_terminated: false, kill_at: None }
    }

    /// A second signal came, and was forwarded.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.is_terminated = true;
        self.kill_by(now + LAST.min((now - self.since) / SHARE));
    }

    /// The leader of the group has ended: what it leaves has heard the signal as well.
    pub(super) fn leader_has_ended(&mut self, now: Instant) -> Step {
        self.is_terminated = true;
        self.kill_by(now + LAST);
        Step::Terminate
    }

    fn kill_by(&mut self, at: Instant) {
        self.kill_at = Some(self.kill_at.map_or(at, |known| known.min(at)));
    }

    /// What is due now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Step> {
        if self.kill_at.is_some_and(|at| at <= now) {
            return Some(Step::Kill);
        }
        if self.is_terminated || now - self.since < GENTLE {
            return None;
        }
        self.is_terminated = true;
        self.kill_by(now + LAST);
        Some(Step::Terminate)
    }

    /// Whether it has been killed for so long that what is left cannot be ended: it hangs in the kernel, or nothing
    /// collects it.
    pub(super) fn is_given_up(&self, now: Instant) -> bool {
        self.kill_at.is_some_and(|at| at + LAST <= now)
    }
}

/// The variable by which processes are known that left the group, as far as they keep it.
pub(super) const MARK: &str = "CACHEKEEP_RUN_ID";

#[cfg(unix)]
mod system {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

    use super::Command;

    fn pid(number: u32) -> Option<Pid> {
        i32::try_from(number).ok().and_then(Pid::from_raw)
    }

    /// Whether this process belongs to the group that reads from the terminal.
    pub(crate) fn is_foreground() -> bool {
        rustix::termios::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
    }

    /// Has a command lead a group of its own. Not on a terminal: a group of its own could not read from it.
    pub(in crate::command) fn separate(command: &mut Command) -> bool {
        let may = !is_foreground();
        if may {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        may
    }

    /// Sends a signal to a process. One that is gone needs none.
    pub(in crate::command) fn send(process: u32, signal: i32) {
        if let (Some(process), Some(signal)) = (pid(process), Signal::from_named_raw(signal)) {
            let _ = kill_process(process, signal);
        }
    }

    /// Sends a signal to all processes of a group. One that is gone needs none.
    pub(in crate::command) fn send_to_group(group: u32, signal: i32) {
        if let (Some(group), Some(signal)) = (pid(group), Signal::from_named_raw(signal)) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Whether a group has processes. Its number is not used again while it has.
    pub(in crate::command) fn exists(group: u32) -> bool {
        pid(group).is_some_and(|group| test_kill_process_group(group).is_ok())
    }

    /// The number of the signal of a step.
    pub(in crate::command) fn signal_of(step: super::Step) -> i32 {
        match step {
            super::Step::Terminate => Signal::TERM.as_raw(),
            super::Step::Kill => Signal::KILL.as_raw(),
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::Command;

    pub(in crate::command) fn separate(_: &mut Command) -> bool {
        false
    }

    /// Ctrl-C reaches every process of the console: nothing is forwarded.
    pub(in crate::command) fn send(_: u32, _: i32) {}

    pub(in crate::command) fn send_to_group(_: u32, _: i32) {}

    pub(in crate::command) fn exists(_: u32) -> bool {
        false
    }

    pub(in crate::command) fn signal_of(_: super::Step) -> i32 {
        0
    }
}

#[cfg(unix)]
pub(crate) use system::is_foreground;
pub(super) use system::{exists, send, send_to_group, separate, signal_of};

/// The processes that carry a mark and have left the group, as `123 (name)`; only Linux shows the variables of others.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "`/proc` holds what the kernel knows of processes")]
pub(super) fn left(mark: &str, group: u32) -> Vec<String> {
    use crate::fs::read::read_regular;
    use std::path::Path;

    /// More than the kernel lets a process start with.
    const MAX_ENVIRONMENT: u64 = 8 << 20;
    const MAX_STAT: u64 = 4_096;

    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for child in Path::new("/proc").read_dir().into_iter().flatten().flatten() {
        let Some(number) = child.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that has ended, or of another user, cannot be read.
        let Ok(environment) = read_regular(&child.path().join("environ"), MAX_ENVIRONMENT) else { continue };
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes());
        if !is_marked {
            continue;
        }
        let stat = read_regular(&child.path().join("stat"), MAX_STAT).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        // `123 (name) S parent group …`: the name may hold anything.
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let is_of_group = tail.split_whitespace().nth(2).is_some_and(|own| own.parse() == Ok(group));
        if !is_of_group {
            let name = head.split_once('(').map_or("", |(_, name)| name);
            found.push((number, name.to_owned()));
        }
    }
    found.sort();
    found.into_iter().map(|(number, name)| format!("{number} (`{name}`)")).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn left(_: &str, _: u32) -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_group_has_as_long_as_the_runner_waits_and_is_gone_before_it_kills() {
        let start = Instant::now();
        let mut ending = Ending::new(start);
        assert_eq!(ending.due(at(start, 7_499)), None);
        assert_eq!(ending.due(at(start, 7_500)), Some(Step::Terminate));
        assert_eq!(ending.due(at(start, 8_249)), None);
        assert_eq!(ending.due(at(start, 8_250)), Some(Step::Kill));
        assert_eq!(ending.due(at(start, 8_300)), Some(Step::Kill), "until none is left");
        assert!(!ending.is_given_up(at(start, 8_999)) && ending.is_given_up(at(start, 9_000)));
    }

    #[test]
    fn a_second_signal_shortens_the_rest_by_the_pace_of_the_sender() {
        for (between, grace) in [(7_500, 750), (750, 75), (60_000, 750), (0, 0)] {
            let start = Instant::now();
            let mut ending = Ending::new(start);
            ending.hurry(at(start, between));
            if grace > 0 {
                assert_eq!(ending.due(at(start, between + grace - 1)), None, "{between}");
            }
            assert_eq!(ending.due(at(start, between + grace)), Some(Step::Kill), "{between}");
        }
    }

    #[test]
    fn what_a_leader_leaves_is_terminated_at_once() {
        let start = Instant::now();
        let mut ending = Ending::new(start);
        assert_eq!(ending.leader_has_ended(at(start, 10)), Step::Terminate);
        assert_eq!(ending.due(at(start, 700)), None);
        ending.hurry(at(start, 700));
        assert_eq!(ending.due(at(start, 760)), Some(Step::Kill), "the earlier of both");
    }
}
