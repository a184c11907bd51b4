//! The command of `run`: a process beside this one, or in place of this one where no other can be started.

#![expect(clippy::disallowed_methods, reason = "this is what `run` is for")]

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Child as Process, Command, ExitStatus};
use std::time::Duration;

use super::interrupt::{Interrupt, TICK};
use super::process_group;
use crate::domain::event::Level;
use crate::domain::outcome::Child;
use crate::platform::{Env, programs};
use crate::threads::executor::Executor;

/// How many times a process is started that cannot be for want of resources, and the pause between two attempts: threads
/// and processes that have ended count for a moment longer.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// How often a process is looked after where no thread waits for signals.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Processes that are named in a message.
const NAMED: usize = 10;

/// A command with what it gets.
pub(crate) struct ChildCommand<'a> {
    /// The program and its arguments; at least one word.
    pub words: &'a [OsString],
    /// What follows on the command line of Windows, quoted as the program wants it.
    pub tail: Option<&'a OsStr>,
    /// The environment of this process.
    pub env: &'a Env,
    /// Variables beyond it.
    pub variables: &'a [(String, String)],
    /// Whether standard output belongs to this program, so that the command gets standard error for both.
    pub stdout_is_taken: bool,
}

impl ChildCommand<'_> {
    /// Runs the command to its end. `executor` drives what listens for signals, if there is one.
    pub(crate) fn run(
        &self,
        interrupt: &Interrupt,
        executor: Option<&Executor>,
        report: &dyn Fn(Level, String),
    ) -> Child {
        let program = self.words[0].display();
        // Without the means to end a group it would outlive this program.
        let mark = interrupt.listens().then(|| format!("{:016x}", rand::random::<u64>()));
        let ended = match self.spawn(mark.as_deref()) {
            Ok((mut process, false)) => {
                interrupt.set_child(process.id());
                let status = wait(&mut process, executor);
                interrupt.set_child(0);
                status.map(ended)
            }
            Ok((mut process, true)) => {
                interrupt.set_leader(process.id());
                let status = wait(&mut process, executor);
                interrupt.set_child(0);
                let pause =
                    || executor.map_or_else(|| std::thread::sleep(TICK), |executor| executor.pause(TICK));
                interrupt.end_group(&pause);
                if let (Some(mark), Some(_)) = (mark, interrupt.signal()) {
                    report_left(&mark, process.id(), report);
                }
                status.map(ended)
            }
            Err(error) if is_want_of_resources(&error) => {
                let text = format!(
                    "no process can be started beside this one: {error}; `{program}` takes its place, and no cache is \
                     saved after it"
                );
                report(Level::Warning, text);
                Err(replace_this_process(&mut self.prepare()))
            }
            Err(error) => Err(error),
        };
        let child = ended.unwrap_or_else(|error| {
            report(Level::Error, format!("cannot run `{program}`: {error}"));
            if error.kind() == io::ErrorKind::NotFound { Child::NotFound } else { Child::NotExecutable }
        });
        interrupt.note_end(child);
        child
    }

    fn prepare(&self) -> Command {
        let mut command = Command::new(programs::to_start(self.env, &self.words[0]));
        command.args(&self.words[1..]).envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(tail) = self.tail {
            add_as_it_is(&mut command, tail);
        }
        if self.stdout_is_taken {
            command.stdout(io::stderr());
        }
        command
    }

    /// Starts the command; with a mark in a group of its own where that can be, and then tells so.
    fn spawn(&self, mark: Option<&str>) -> io::Result<(Process, bool)> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            let mut command = self.prepare();
            let leads = mark.is_some_and(|mark| {
                command.env(process_group::MARK, mark);
                process_group::separate(&mut command)
            });
            match command.spawn() {
                Err(error) if left > 0 && is_want_of_resources(&error) => std::thread::sleep(PAUSE),
                spawned => return spawned.map(|process| (process, leads)),
            }
        }
    }
}

/// Ends a command line with a text that is not quoted.
#[cfg(windows)]
fn add_as_it_is(command: &mut Command, text: &OsStr) {
    std::os::windows::process::CommandExt::raw_arg(command, text);
}

/// Elsewhere a program gets its arguments one by one.
#[cfg(not(windows))]
fn add_as_it_is(command: &mut Command, text: &OsStr) {
    command.arg(text);
}

/// Names the processes that left the group of an interrupted command, and so were not ended with it.
fn report_left(mark: &str, group: u32, report: &dyn Fn(Level, String)) {
    let left = process_group::left(mark, group);
    if !left.is_empty() {
        let names = left.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more =
            if left.len() > NAMED { format!(" and {} more", left.len() - NAMED) } else { String::new() };
        report(
            Level::Warning,
            format!("still running, since they left the process group of the command: {names}{more}"),
        );
    }
}

/// Waits for a process, and lets signals be forwarded meanwhile.
fn wait(process: &mut Process, executor: Option<&Executor>) -> io::Result<ExitStatus> {
    let Some(executor) = executor.filter(|executor| !executor.has_threads()) else {
        return process.wait();
    };
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        executor.pause(LOOK_EVERY);
    }
}

/// Whether a process was not started because tasks, memory or descriptors are used up.
#[cfg(unix)]
fn is_want_of_resources(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let wants = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE];
    error.raw_os_error().is_some_and(|code| wants.iter().any(|wanted| wanted.raw_os_error() == code))
}

/// Windows counts no tasks of a user.
#[cfg(not(unix))]
fn is_want_of_resources(_: &io::Error) -> bool {
    false
}

/// Returns only if the program cannot be executed.
#[cfg(unix)]
fn replace_this_process(command: &mut Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn replace_this_process(_: &mut Command) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

#[cfg(unix)]
fn ended(status: ExitStatus) -> Child {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Child::Returned(code),
        (None, Some(signal)) => Child::Signaled(signal),
        (None, None) => Child::Returned(1),
    }
}

#[cfg(not(unix))]
fn ended(status: ExitStatus) -> Child {
    end_on_windows(status.code().unwrap_or(1))
}

/// A program that Ctrl-C, Ctrl-Break or the close of its console ended has not run to its end, whether this program has heard
/// of it yet or not.
#[cfg(any(not(unix), test))]
fn end_on_windows(code: i32) -> Child {
    /// `STATUS_CONTROL_C_EXIT`.
    const CONTROL_C_EXIT: i32 = -1_073_741_510;
    /// `SIGINT`'s number on every Unix.
    const INTERRUPT: i32 = 2;

    if code == CONTROL_C_EXIT { Child::Signaled(INTERRUPT) } else { Child::Returned(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_console_of_windows_ended_was_interrupted() {
        for (code, expect) in [
            (0xC000_013A_u32.cast_signed(), Child::Signaled(2)),
            (0xC000_0005_u32.cast_signed(), Child::Returned(-1_073_741_819)),
            (58, Child::Returned(58)),
            (256, Child::Returned(256)),
        ] {
            assert_eq!(end_on_windows(code), expect, "{code}");
        }
    }
}
