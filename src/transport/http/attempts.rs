//! The attempts at one step of a transfer: how many there were, and how long to wait before the next.

use std::time::{Duration, Instant};

use reqwest::Url;

use super::address;
use super::error::Cause;
use crate::domain::event::Details;
use crate::transport::download::FetchOptions;

/// Counts the failures of one step and waits between its attempts.
#[derive(Debug)]
pub struct Attempts<'a> {
    options: &'a FetchOptions,
    details: &'a Details,
    failures: u32,
}

impl<'a> Attempts<'a> {
    /// No attempt was made yet. Each failure is reported to `details`, with its cause and the wait that follows.
    pub fn new(options: &'a FetchOptions, details: &'a Details) -> Self {
        Attempts { options, details, failures: 0 }
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
        self.details.tell(|| retry_in(wait, &cause, url));
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.options.cancel.cancelled() => Err(Cause::Cancelled),
        }
    }
}

/// The report of a failure after which the request is repeated.
pub(crate) fn retry_in(wait: Duration, cause: &Cause, url: &Url) -> String {
    format!("retry in {:.1} s: {}: {cause}", wait.as_secs_f64(), address::shown(url))
}
