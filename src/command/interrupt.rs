//! Interruptions: signals that ask the process to stop.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;

use crate::domain::outcome::Child;

/// Shared by the signal handlers and the work that must stop.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    /// Cancelled by the first signal.
    pub cancel: CancellationToken,
    signal: AtomicI32,
    child: AtomicU32,
    /// The signal that is still to be sent to the child; 0 if there is none.
    pending: AtomicI32,
    /// How the command of `run` ended.
    end: OnceLock<Child>,
}

impl Interrupt {
    /// Records how the command of `run` ended.
    pub(crate) fn note_end(&self, child: Child) {
        let _ = self.end.set(child);
    }

    /// How the command of `run` ended; `None` if it did not.
    pub(crate) fn end(&self) -> Option<Child> {
        self.end.get().copied()
    }

    /// Records a signal and cancels the work.
    pub(crate) fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::Release);
        self.cancel.cancel();
    }

    /// The signal that was received, if any.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    /// Records the process that signals are forwarded to; 0 if there is none. A signal that came while it was started is
    /// forwarded now.
    pub(crate) fn set_child(&self, pid: u32) {
        self.child.store(pid, Ordering::SeqCst);
        self.send_pending();
    }

    /// Forwards a signal to the child, or to one that is about to be recorded.
    pub(crate) fn forward(&self, signal: i32) {
        self.pending.store(signal, Ordering::SeqCst);
        self.send_pending();
    }

    /// Called by both methods above: the later call finds both the child and the signal, and only one takes the signal.
    fn send_pending(&self) {
        if let Some(pid) = self.child() {
            match self.pending.swap(0, Ordering::SeqCst) {
                0 => {}
                signal => send(pid, signal),
            }
        }
    }

    /// The process that signals are to be forwarded to.
    pub(crate) fn child(&self) -> Option<u32> {
        Some(self.child.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
    }
}

#[cfg(unix)]
fn send(pid: u32, signal: i32) {
    use rustix::process::{Pid, Signal, kill_process};

    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        // A child that is gone needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// Windows delivers Ctrl-C to every process of the console: nothing is forwarded.
#[cfg(not(unix))]
fn send(_pid: u32, _signal: i32) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    const TERMINATE: i32 = 15;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a child")]
    fn a_signal_reaches_the_child_whether_it_comes_before_or_after_it_is_noted() {
        for before in [true, false] {
            let interrupt = Interrupt::default();
            let mut child = Command::new("sleep").arg("600").spawn().expect("it starts");
            if before {
                interrupt.forward(TERMINATE);
                interrupt.set_child(child.id());
            } else {
                interrupt.set_child(child.id());
                interrupt.forward(TERMINATE);
            }
            assert_eq!(child.wait().expect("it ends").signal(), Some(TERMINATE));
            assert_eq!(interrupt.pending.load(Ordering::SeqCst), 0, "it is sent once");
        }
    }
}
