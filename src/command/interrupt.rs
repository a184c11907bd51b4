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

    /// Notes the process that signals are to be forwarded to; 0 is none.
    pub fn set_child(&self, pid: u32) {
        self.child.store(pid, Ordering::Release);
    }

    /// The process that signals are to be forwarded to.
    pub fn child(&self) -> Option<u32> {
        Some(self.child.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }
}
