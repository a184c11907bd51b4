//! One body, streamed: through dropped connections, at a least speed, before a deadline.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::http::attempts::{self, Failures};
use super::http::client::Client;
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;
use super::http::retry::{Clock, RetryPolicy};

/// Bytes after which a connection has proven useful.
pub(crate) const PROGRESS: u64 = 1 << 20;

/// A body on its way. Where the connection is lost or slow, the rest of the same version of the body is asked for, as often as the policy says.
#[derive(Debug)]
pub(crate) struct Download {
    client: Client,
    url: Url,
    options: FetchOptions,
    response: Option<Response>,
    length: Option<u64>,
    validator: Option<HeaderValue>,
    position: u64,
    /// Bytes of the current response that were delivered from an earlier one.
    repeated: u64,
    failures: Failures,
    failed_at: u64,
    speed: SpeedGuard,
}

impl Download {
    /// Sends the request, and again as the policy says; returns when the body begins. An answer without it is an error.
    pub(crate) async fn start(client: &Client, url: &Url, options: FetchOptions) -> Result<Self, FetchError> {
        let timeouts = client.timeouts();
        let mut download = Download {
            client: client.clone(),
            url: url.clone(),
            options,
            response: None,
            length: None,
            validator: None,
            position: 0,
            repeated: 0,
            failures: Failures::default(),
            failed_at: 0,
            speed: SpeedGuard::new(timeouts.least_speed, timeouts.speed_window),
        };
        while download.response.is_none() {
            if let Err(cause) = download.request().await {
                download.pause(cause).await.map_err(|cause| cause.at(url))?;
            }
        }
        Ok(download)
    }

    /// The length of the whole body; `None` if the server does not report it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Replaces the retry policy for the rest of the body.
    #[must_use]
    pub(crate) fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.options.retry = retry;
        self
    }

    /// The next piece, or `None` at the end of a complete body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            match self.next_piece().await {
                Ok(piece) => return Ok(piece),
                Err(cause) => {
                    self.response = None;
                    self.pause(cause).await.map_err(|cause| cause.at(&self.url))?;
                }
            }
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, Cause> {
        loop {
            if self.response.is_none() {
                if self.length == Some(self.position) {
                    return Ok(None);
                }
                self.request().await?;
            }
            let Some(mut piece) = self.receive().await? else {
                return match self.length {
                    Some(expected) if self.position < expected => {
                        Err(Cause::Truncated { received: self.position, expected })
                    }
                    _ => Ok(None),
                };
            };
            let skipped = self.repeated.min(piece.len() as u64);
            self.repeated -= skipped;
            // Never more than the piece's length, which is a `usize`.
            let piece = piece.split_off(usize::try_from(skipped).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                self.position += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
    }

    /// One piece of the current response, within the idle timeout, the deadline and the least speed.
    async fn receive(&mut self) -> Result<Option<Bytes>, Cause> {
        let Some(response) = self.response.as_mut() else {
            return Ok(None);
        };
        let begun = Instant::now();
        let idle = self.client.timeouts().idle;
        let piece = bounded(&self.options, idle, response.chunk()).await?;
        let piece = piece.map_err(|error| Cause::of_request(error, self.position, idle))?;
        if let Some(piece) = &piece
            && self.length != Some(self.position + piece.len() as u64)
            && self.speed.is_too_slow(begun.elapsed(), piece.len() as u64)
        {
            return Err(Cause::TooSlow { floor: self.client.timeouts().least_speed });
        }
        Ok(piece)
    }

    async fn request(&mut self) -> Result<(), Cause> {
        let mut request = self.client.request(Method::GET, &self.url)?;
        if let Some(accept) = self.options.accept {
            request = request.header(ACCEPT, accept);
        }
        let resuming = self.position > 0;
        if resuming {
            request = request.header(RANGE, format!("bytes={}-", self.position));
            match &self.validator {
                Some(validator) => request = request.header(IF_RANGE, validator.clone()),
                None if self.options.digest_is_checked => {}
                None => return Err(self.cannot_resume("the server names no version of the file")),
            }
        }
        let timeouts = self.client.timeouts();
        let answered = bounded(&self.options, timeouts.connect + timeouts.idle, request.send()).await?;
        let response = answered.map_err(|error| Cause::of_request(error, self.position, timeouts.idle))?;
        refuse_status(&response, self.options.clock)?;
        if resuming {
            self.repeated = self.check_resumed(&response)?;
        } else if response.status() == StatusCode::PARTIAL_CONTENT {
            return Err(Cause::Protocol("a part was sent where the whole was asked for".to_owned()));
        } else {
            self.length = response.content_length();
            self.validator = strong_validator(response.headers());
        }
        self.speed.restart();
        self.response = Some(response);
        Ok(())
    }

    /// Checks that the answer continues the same file; returns how many bytes it repeats.
    fn check_resumed(&self, response: &Response) -> Result<u64, Cause> {
        let version = strong_validator(response.headers());
        let same_version = self.validator.is_some() && version == self.validator;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let (first, total) = response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| parse_content_range(value.to_str().ok()?))
                .ok_or_else(|| self.cannot_resume("the server does not say which part it sends"))?;
            if version.is_some() && self.validator.is_some() && !same_version {
                return Err(self.cannot_resume("the file has changed on the server"));
            }
            if first != self.position || (total.is_some() && self.length.is_some() && total != self.length) {
                return Err(self.cannot_resume("the server sends another part than was asked for"));
            }
            return Ok(0);
        }
        // The whole file once more: fine where it is provably the same.
        let same_length = self.length.is_some() && response.content_length() == self.length;
        if same_version || (self.options.digest_is_checked && version == self.validator && same_length) {
            Ok(self.position)
        } else {
            Err(self.cannot_resume("the server starts over with a file that may be another one"))
        }
    }

    fn cannot_resume(&self, reason: &'static str) -> Cause {
        Cause::CannotResume { received: self.position, reason }
    }

    /// Waits before the next attempt, or gives up with this cause.
    async fn pause(&mut self, cause: Cause) -> Result<(), Cause> {
        if self.position >= self.failed_at + PROGRESS {
            self.failures.reset();
        }
        self.failed_at = self.position;
        attempts::pause(&mut self.failures, &self.options, self.client.details(), cause, &self.url).await
    }
}

/// Runs one step: cancelled, past the deadline, or idle for too long, it ends.
pub(crate) async fn bounded<T>(
    options: &FetchOptions,
    idle: Duration,
    step: impl Future<Output = T>,
) -> Result<T, Cause> {
    let stall = Instant::now() + idle;
    let (until, late) = match options.deadline {
        Some(deadline) if deadline < stall => (deadline, Cause::Deadline),
        _ => (stall, Cause::Stalled(idle)),
    };
    tokio::select! {
        biased;
        () = options.cancel.cancelled() => Err(Cause::Cancelled),
        done = tokio::time::timeout_at(until.into(), step) => done.map_err(|_| late),
    }
}

/// Turns an answer without a file into its cause.
pub(crate) fn refuse_status(response: &Response, clock: Clock) -> Result<(), Cause> {
    // Other successes have no body, or one that is not the file.
    if matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Ok(());
    }
    Err(Cause::of_status(response.status(), response.headers(), clock))
}

/// What `If-Range` may carry: a strong `ETag`, else the date (RFC 9110, 13.1.5).
fn strong_validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    tag.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// First byte and total length of `bytes FIRST-LAST/TOTAL`.
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.trim().parse().ok()?, total))
}

/// Measures the speed of what is waited for; time in which no reader waits does not count.
#[derive(Debug)]
pub(super) struct SpeedGuard {
    floor: u64,
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl SpeedGuard {
    pub(super) fn new(floor: u64, window: Duration) -> Self {
        SpeedGuard { floor, window, waited: Duration::ZERO, bytes: 0 }
    }

    fn restart(&mut self) {
        (self.waited, self.bytes) = (Duration::ZERO, 0);
    }

    /// Counts bytes and how long they were waited for; judges once a window is full.
    pub(super) fn is_too_slow(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.window {
            return false;
        }
        let least = u128::from(self.floor) * self.waited.as_millis() / 1000;
        let slow = u128::from(self.bytes) < least;
        self.restart();
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let check = |text: &str, expect| assert_eq!(parse_content_range(text), expect, "{text}");
        check("bytes 5-9/10", Some((5, Some(10))));
        check("bytes 5-9/*", Some((5, None)));
        check("bytes */10", None);
        check("5-9/10", None);
        check("bytes 5-9/x", None);
    }

    #[test]
    fn weak_tags_prove_nothing() {
        let check = |pairs: &[(&'static str, &'static str)], expect: Option<&'static str>| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(strong_validator(&headers), expect.map(HeaderValue::from_static), "{pairs:?}");
        };
        check(&[("etag", "\"a\"")], Some("\"a\""));
        check(&[("etag", "W/\"a\"")], None);
        check(&[("etag", "W/\"a\""), ("last-modified", "then")], Some("then"));
        check(&[], None);
    }

    #[test]
    fn speed_is_judged_over_whole_windows_of_waiting() {
        let mut guard = SpeedGuard::new(1_000, Duration::from_secs(10));
        let second = Duration::from_secs(1);
        assert!((0..9).all(|_| !guard.is_too_slow(second, 1)), "the window is not full");
        assert!(guard.is_too_slow(second, 1));
        assert!((0..100).all(|_| !guard.is_too_slow(second, 1_000)));
        assert!((0..100).all(|_| !guard.is_too_slow(Duration::ZERO, 0)), "no reader waited");
        let mut guard = SpeedGuard::new(0, second);
        assert!((0..100).all(|_| !guard.is_too_slow(second, 0)), "no floor");
    }
}
