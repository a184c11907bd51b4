//! Cancellation of blocking work: one error for it, which survives the way through [`io::Error`].

use std::io;

use tokio_util::sync::CancellationToken;

use crate::domain::hint::{Class, Hint};

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

/// Fails once the work is cancelled.
pub(crate) fn check(cancel: &CancellationToken) -> Result<(), Cancelled> {
    if cancel.is_cancelled() { Err(Cancelled) } else { Ok(()) }
}
