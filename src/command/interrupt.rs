//! Interruptions: signals that ask the process to stop.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::process_group::{self, Ending, Step};
use crate::domain::outcome::Child;

/// How often a group that is to end is looked after.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Shared by the signal handlers and the work that must stop.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    /// Cancelled by the first signal.
    pub cancel: CancellationToken,
    signal: AtomicI32,
    /// How many signals there were.
    count: AtomicU32,
    /// Whether signals reach this program at all; elsewhere they end it, and its child would be left.
    listens: AtomicBool,
    child: AtomicU32,
    /// The group that the child leads; 0 if it leads none.
    group: AtomicU32,
    /// The end of the group, once there was a signal.
    ending: Mutex<Option<Ending>>,
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

    /// Counts a signal, and returns how many there were with it.
    pub(crate) fn count_signal(&self) -> u32 {
        self.count.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Records a signal and cancels the work.
    pub(crate) fn raise(&self, signal: i32) {
        self.ending().get_or_insert_with(|| Ending::new(Instant::now()));
        self.signal.store(signal, Ordering::Release);
        self.cancel.cancel();
    }

    fn ending(&self) -> MutexGuard<'_, Option<Ending>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that signals are noticed from now on.
    pub(crate) fn note_listening(&self) {
        self.listens.store(true, Ordering::Release);
    }

    /// Whether signals are noticed.
    pub(crate) fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// The group that the child leads, if it does.
    pub(crate) fn group(&self) -> Option<u32> {
        Some(self.group.load(Ordering::SeqCst)).filter(|group| *group != 0)
    }

    /// Shortens what the group still has, since the sender of signals has asked again. Returns whether there is a group to
    /// end.
    pub(crate) fn hurry(&self, signal: i32) -> bool {
        let Some(group) = self.group() else { return false };
        if let Some(ending) = self.ending().as_mut() {
            ending.hurry(Instant::now());
        }
        process_group::send_to_group(group, signal);
        true
    }

    /// Sends the group what is due, if there was a signal.
    pub(crate) fn tick(&self) {
        let due = self.ending().as_mut().and_then(|ending| ending.due(Instant::now()));
        if let (Some(step), Some(group)) = (due, self.group()) {
            process_group::send_to_group(group, process_group::signal_of(step));
        }
    }

    /// Ends what a command that has ended left in its group, if there was a signal. `pause` waits for one [`TICK`].
    pub(super) fn end_group(&self, pause: &dyn Fn()) {
        let Some(group) = self.group() else { return };
        let is_left = || self.signal().is_some() && process_group::exists(group);
        if is_left() {
            let step = self.ending().as_mut().map(|ending| ending.leader_has_ended(Instant::now()));
            process_group::send_to_group(group, process_group::signal_of(step.unwrap_or(Step::Terminate)));
        }
        let is_given_up = || self.ending().as_ref().is_none_or(|ending| ending.is_given_up(Instant::now()));
        while is_left() && !is_given_up() {
            pause();
            self.tick();
        }
        self.group.store(0, Ordering::SeqCst);
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

    /// The same for a process that leads a group, which gets the signals as a whole.
    pub(crate) fn set_leader(&self, pid: u32) {
        self.group.store(pid, Ordering::SeqCst);
        self.set_child(pid);
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
                signal => match self.group() {
                    Some(group) => process_group::send_to_group(group, signal),
                    None => process_group::send(pid, signal),
                },
            }
        }
    }

    /// The process that signals are to be forwarded to.
    pub(crate) fn child(&self) -> Option<u32> {
        Some(self.child.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
    }
}

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
