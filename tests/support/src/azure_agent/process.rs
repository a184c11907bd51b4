//! Programs that a step starts: their lines as they come, and how they are cancelled (`ProcessInvoker`).

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::signals::hear_signals;

/// How long the streams may stay open once a program has ended: a process that it left may hold them (`ProcessInvoker`).
const STREAMS_CLOSE: Duration = Duration::from_secs(5);

/// When a program is asked to end, and when it is killed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the interrupt to the termination (`PROCESS_SIGINT_TIMEOUT`).
    pub interrupt: Duration,
    /// From the termination to the kill (`PROCESS_SIGTERM_TIMEOUT`).
    pub terminate: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { interrupt: Duration::from_millis(7500), terminate: Duration::from_millis(2500) }
    }
}

/// What is to happen after a line, or a moment without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    GoOn,
    Cancel,
    /// No patience is left for the whole job.
    Kill,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this code; a signal's number plus 128 for a signal.
    Exited(i32),
    /// Its step was cancelled, whatever the program made of it.
    Canceled,
    /// Its time was over.
    TimedOut,
}

/// What a program reads from its standard input.
pub(super) type Input = Option<Box<dyn Read + Send>>;

/// Starts a program in a group of its own and reads both streams to its end. `on_line` is asked for each line, and now and then
/// without one.
pub(super) fn run(
    command: &mut Command,
    input: Input,
    deadline: Option<Instant>,
    patience: Patience,
    groups: &mut Vec<Pid>,
    mut on_line: impl FnMut(Option<&str>) -> Wish,
) -> std::io::Result<Ended> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    hear_signals();
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    groups.push(pid);
    if let (Some(mut input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that does not read on says why by its exit code.
        std::thread::spawn(move || std::io::copy(&mut input, &mut pipe));
    }
    let lines = lines_of(&mut child);
    let mut stop = Stop { pid, patience, since: None, sent: 0 };
    let mut timed_out = false;
    let mut exited: Option<(i32, Instant)> = None;
    loop {
        let wish = match lines.recv_timeout(Duration::from_millis(10)) {
            Ok(line) => on_line(Some(&line)),
            Err(RecvTimeoutError::Timeout) => on_line(None),
            Err(RecvTimeoutError::Disconnected) => {
                // Both streams are closed: the program ends, or lives on without them.
                std::thread::sleep(Duration::from_millis(if exited.is_none() { 2 } else { 0 }));
                on_line(None)
            }
        };
        match wish {
            Wish::Kill => stop.kill(),
            Wish::Cancel => stop.begin(),
            Wish::GoOn if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                timed_out |= stop.since.is_none();
                stop.begin();
            }
            Wish::GoOn => {}
        }
        stop.go_on();
        if exited.is_none() {
            let code = child
                .try_wait()?
                .map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
            exited = code.map(|code| (code, Instant::now()));
        }
        if let Some((code, at)) = exited
            && (at.elapsed() >= STREAMS_CLOSE || is_drained(&lines, &mut on_line))
        {
            return Ok(match (stop.since, timed_out) {
                (None, _) => Ended::Exited(code),
                (Some(_), true) => Ended::TimedOut,
                (Some(_), false) => Ended::Canceled,
            });
        }
    }
}

/// Takes the lines that wait; whether both streams are closed.
fn is_drained(lines: &Receiver<String>, on_line: &mut impl FnMut(Option<&str>) -> Wish) -> bool {
    loop {
        match lines.try_recv() {
            Ok(line) => {
                on_line(Some(&line));
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => return false,
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return true,
        }
    }
}

/// `ProcessInvoker.CancelAndKillProcessTree`: the interrupt goes to the program alone, the kill to all that it started.
struct Stop {
    pid: Pid,
    patience: Patience,
    since: Option<Instant>,
    sent: u8,
}

impl Stop {
    fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn kill(&mut self) {
        self.begin();
        self.sent = 3;
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    fn go_on(&mut self) {
        let Some(elapsed) = self.since.map(|since| since.elapsed()) else { return };
        match self.sent {
            0 => {
                let _ = kill_process(self.pid, Signal::INT);
                self.sent = 1;
            }
            1 if elapsed >= self.patience.interrupt => {
                let _ = kill_process(self.pid, Signal::TERM);
                self.sent = 2;
            }
            2 if elapsed >= self.patience.interrupt + self.patience.terminate => self.kill(),
            _ => {}
        }
    }
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || read_lines(stream, &sender));
    }
    receiver
}

/// Lines end at `\n`, `\r\n` and at a `\r` alone, as .NET's `StreamReader.ReadLine` reads them.
fn read_lines(mut stream: Box<dyn Read + Send>, sender: &Sender<String>) {
    let mut line = Vec::new();
    let mut after_return = false;
    let mut buffer = [0; 8192];
    let send = |line: &mut Vec<u8>| {
        let _ = sender.send(String::from_utf8_lossy(line).into_owned());
        line.clear();
    };
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        for &byte in &buffer[..read] {
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => send(&mut line),
                other => line.push(other),
            }
            after_return = byte == b'\r';
        }
    }
    if !line.is_empty() {
        send(&mut line);
    }
}
