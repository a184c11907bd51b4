//! An interruption: someone wants this to end.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;

/// Shared by whoever hears signals and whoever must stop.
#[derive(Debug, Default)]
pub struct Interrupt {
    /// Cancelled by the first signal; all long work looks at it.
    pub cancel: CancellationToken,
    signal: AtomicI32,
    child: AtomicU32,
    /// The signal that the child has to hear yet; 0 is none.
    owed: AtomicI32,
}

impl Interrupt {
    /// Notes a signal and cancels the work.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal, Ordering::Release);
        self.cancel.cancel();
    }

    /// The signal that was heard, if any.
    pub fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    /// Notes the process that signals are to be forwarded to; 0 is none. One that came while it was started reaches
    /// it now.
    pub fn set_child(&self, pid: u32) {
        self.child.store(pid, Ordering::SeqCst);
        self.settle();
    }

    /// Forwards a signal to the child, or to the one that is about to be noted.
    pub fn forward(&self, signal: i32) {
        self.owed.store(signal, Ordering::SeqCst);
        self.settle();
    }

    /// Whoever of the two above comes last finds both the child and the signal, and only one takes the signal.
    fn settle(&self) {
        if let Some(pid) = self.child() {
            match self.owed.swap(0, Ordering::SeqCst) {
                0 => {}
                signal => send(pid, signal),
            }
        }
    }

    /// The process that signals are to be forwarded to.
    pub fn child(&self) -> Option<u32> {
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
            assert_eq!(interrupt.owed.load(Ordering::SeqCst), 0, "it is sent once");
        }
    }
}
