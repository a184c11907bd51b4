//! The attempts at one step of a transfer: how many there were, and how long to wait before the next.

use std::time::Instant;

use reqwest::Url;

use super::address;
use super::error::Cause;
use crate::transport::download::FetchOptions;

/// Counts the failures of one step and waits between its attempts.
#[derive(Debug)]
pub struct Attempts<'a> {
    options: &'a FetchOptions,
    failures: u32,
}

impl<'a> Attempts<'a> {
    /// No attempt was made yet.
    pub fn new(options: &'a FetchOptions) -> Self {
        Attempts { options, failures: 0 }
    }

    /// The step has come further: what failed before does not count against what comes.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, or returns the cause where there is none: it would not help, the
    /// attempts are used up, or the wait would pass the deadline.
    pub async fn pause(&mut self, cause: Cause, url: &Url) -> Result<(), Cause> {
        self.failures += 1;
        let remaining = self.options.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let wait = self.options.retry.wait(self.failures, cause.verdict(), rand::random(), remaining);
        let Some(wait) = wait else { return Err(cause) };
        tracing::debug!("{}: {cause}; again in {wait:?}", address::shown(url));
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.options.cancel.cancelled() => Err(Cause::Cancelled),
        }
    }
}
