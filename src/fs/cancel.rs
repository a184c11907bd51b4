//! Cancellation of blocking work: one error for it, which survives the way through [`io::Error`].

use std::io;

use tokio_util::sync::CancellationToken;

use crate::domain::hint::{Class, Hint};
use crate::threads::executor;

/// The work was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl Cancelled {
    /// Whether an I/O error stands for a cancellation.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Cancelled>)
    }
}

impl Hint for Cancelled {
    fn class(&self) -> Class {
        Class::Cancelled
    }
}

impl From<Cancelled> for io::Error {
    // Not `ErrorKind::Interrupted`: the standard library retries those.
    fn from(cancelled: Cancelled) -> Self {
        io::Error::other(cancelled)
    }
}

/// Whether the work is cancelled, or its deadline has passed. Not the token's own method, which does not let deadlines
/// pass while this thread works.
pub(crate) fn is_cancelled(cancel: &CancellationToken) -> bool {
    executor::turn();
    cancel.is_cancelled()
}

/// Fails once the work is cancelled, or its deadline has passed.
pub(crate) fn check(cancel: &CancellationToken) -> Result<(), Cancelled> {
    if is_cancelled(cancel) { Err(Cancelled) } else { Ok(()) }
}
