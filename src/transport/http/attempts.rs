//! The attempts at one step of a transfer: how many failed, and how long to wait before the next.

use std::time::{Duration, Instant};

use reqwest::Url;

use super::address;
use super::error::Cause;
use super::options::FetchOptions;
use super::retry::{RetryPolicy, Verdict};
use crate::domain::event::Details;

/// The number of failures of one step in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Failures(u32);

impl Failures {
    /// The step has made progress: earlier failures do not count any more.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    /// Counts a failure. Returns the wait before the next attempt, or `None` where there is none: it would not help, the
    /// attempts are used up, or the wait would pass the deadline.
    pub(crate) fn wait(
        &mut self,
        policy: &RetryPolicy,
        verdict: Verdict,
        deadline: Option<Instant>,
    ) -> Option<Duration> {
        self.0 += 1;
        let remaining = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        policy.wait(self.0, verdict, rand::random(), remaining)
    }
}

/// When a failed request is repeated, as the log says it: `retry in 1.5 s`.
pub(crate) fn retry_in(wait: Duration) -> String {
    format!("retry in {:.1} s", wait.as_secs_f64())
}

/// Counts a failure and waits before the next attempt, or returns the cause where there is none. A wait is reported to
/// `details`, with the cause.
pub(crate) async fn pause(
    failures: &mut Failures,
    options: &FetchOptions,
    details: &Details,
    cause: Cause,
    url: &Url,
) -> Result<(), Cause> {
    let Some(wait) = failures.wait(&options.retry, cause.verdict(), options.deadline) else {
        return Err(cause);
    };
    details.tell(format_args!("{}: {}: {cause}", retry_in(wait), address::shown(url)));
    tokio::select! {
        () = tokio::time::sleep(wait) => Ok(()),
        () = options.cancel.cancelled() => Err(Cause::Cancelled),
    }
}

/// Counts the failures of one step and waits between its attempts.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    options: &'a FetchOptions,
    details: &'a Details,
    failures: Failures,
}

impl<'a> Attempts<'a> {
    /// The attempts of a new step. Each failure is reported to `details`, with its cause and the wait that follows.
    pub(crate) fn new(options: &'a FetchOptions, details: &'a Details) -> Self {
        Attempts { options, details, failures: Failures::default() }
    }

    /// The step has made progress: earlier failures do not count any more.
    pub(crate) fn progressed(&mut self) {
        self.failures.reset();
    }

    /// Waits before the next attempt, or returns the cause where there is none.
    pub(crate) async fn pause(&mut self, cause: Cause, url: &Url) -> Result<(), Cause> {
        pause(&mut self.failures, self.options, self.details, cause, url).await
    }
}
