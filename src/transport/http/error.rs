//! What goes wrong when bytes are fetched.
//!
//! An error names its URL without query and user ([`super::address::shown`]); its [`Cause`] says whether
//! trying again can help.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use super::address::{self, AddressError};
use super::retry::{Clock, Verdict, parse_retry_after};
use crate::domain::hint::Hint;

/// A fetch that failed.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {cause}")]
pub struct FetchError {
    /// What was fetched: a URL without its secrets, or a path.
    pub address: String,
    /// What went wrong.
    pub cause: Cause,
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The URL may not be fetched.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is nothing under this name (404, 410, or no such file).
    #[error("not found")]
    NotFound,
    /// The server wants credentials or refuses them (401, 403, 407).
    #[error("the server refuses access (HTTP {0})")]
    Denied(u16),
    /// Too many requests (429, or 503 with `Retry-After`).
    #[error("the server asks to wait{}", .0.map(|wait| format!(" {} s", wait.as_secs())).unwrap_or_default())]
    RateLimited(Option<Duration>),
    /// Any other status than success.
    #[error("the server answered HTTP {0}")]
    Status(u16),
    /// No connection: name, route, proxy, refusal or TLS.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server cannot prove who it is.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    /// No byte for longer than the idle timeout.
    #[error("no byte for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// Slower than the minimum speed.
    #[error("slower than {floor} bytes a second")]
    TooSlow {
        /// Bytes a second that are the least.
        floor: u64,
    },
    /// The total deadline passed.
    #[error("not done before its deadline")]
    Deadline,
    /// The connection broke.
    #[error("connection lost after {received} bytes: {reason}")]
    Interrupted {
        /// Bytes of the body that had come.
        received: u64,
        /// What broke.
        reason: String,
    },
    /// The body ended before the length that the server had promised.
    #[error("ended after {received} of {expected} bytes")]
    Truncated {
        /// Bytes that came.
        received: u64,
        /// Bytes that were promised.
        expected: u64,
    },
    /// The connection broke, and what the server now offers is not, or not surely, the same file.
    #[error("cannot resume after {received} bytes: {reason}")]
    CannotResume {
        /// Bytes that had come.
        received: u64,
        /// What stands in the way.
        reason: &'static str,
    },
    /// The answer is not usable HTTP.
    #[error("not a usable answer: {0}")]
    Protocol(String),
    /// A local file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user interrupted it.
    #[error("interrupted")]
    Cancelled,
}

impl Cause {
    /// This cause at a URL.
    pub fn at(self, url: &Url) -> FetchError {
        FetchError { address: address::shown(url), cause: self }
    }

    /// Whether trying again can help, and when: after a lost, slow or cut connection, a status that passes, or a limit of requests.
    /// Everything else is final.
    pub fn verdict(&self) -> Verdict {
        match self {
            Cause::RateLimited(Some(wait)) => Verdict::RetryAfter(*wait),
            Cause::RateLimited(None)
            | Cause::Connect(_)
            | Cause::Stalled(_)
            | Cause::TooSlow { .. }
            | Cause::Interrupted { .. }
            | Cause::Truncated { .. } => Verdict::Retry,
            Cause::Status(status) if super::retry::is_transient(*status) => Verdict::Retry,
            Cause::Address(_)
            | Cause::NotFound
            | Cause::Denied(_)
            | Cause::Certificate(_)
            | Cause::Status(_)
            | Cause::Deadline
            | Cause::CannotResume { .. }
            | Cause::Protocol(_)
            | Cause::Io(_)
            | Cause::Cancelled => Verdict::Final,
        }
    }

    /// What the status of an answer without the wanted content means.
    pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap, clock: Clock) -> Self {
        let wait =
            headers.get(RETRY_AFTER).and_then(|value| parse_retry_after(value.to_str().ok()?, clock.now()));
        match status.as_u16() {
            404 | 410 => Cause::NotFound,
            code @ (401 | 403 | 407) => Cause::Denied(code),
            429 => Cause::RateLimited(wait),
            503 if wait.is_some() => Cause::RateLimited(wait),
            code => Cause::Status(code),
        }
    }

    /// What a failed request means. The URL is left out: it may carry a signature.
    pub(crate) fn of_request(error: reqwest::Error, received: u64, idle: Duration) -> Self {
        if let Some(refusal) = find::<AddressError>(&error) {
            return Cause::Address(*refusal);
        }
        if let Some(rustls::Error::InvalidCertificate(reason)) = find(&error) {
            return Cause::Certificate(reason.to_string());
        }
        let (connect, timeout) = (error.is_connect(), error.is_timeout());
        let body = error.is_body() || error.is_decode() || error.is_request();
        let reason = innermost(&error.without_url());
        if connect {
            Cause::Connect(reason)
        } else if timeout {
            Cause::Stalled(idle)
        } else if body {
            Cause::Interrupted { received, reason }
        } else {
            Cause::Protocol(reason)
        }
    }
}

impl Hint for FetchError {
    fn hint(&self) -> Option<String> {
        Some(match &self.cause {
            Cause::Address(AddressError::Insecure) => "use https, or a mirror on this machine".to_owned(),
            Cause::Denied(_) => "check that the URL is public, or give it credentials".to_owned(),
            Cause::NotFound => "check the name, and whether the release still exists".to_owned(),
            Cause::Connect(_) => "check the host's name, HTTPS_PROXY and NO_PROXY".to_owned(),
            Cause::Certificate(_) => {
                "behind a proxy of your own, add its certificate to the system's or name it in SSL_CERT_FILE"
                    .to_owned()
            }
            Cause::CannotResume { .. } => "run it again, or name another source".to_owned(),
            _ => return None,
        })
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// The outer errors name only the layer.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The error and what it comes from. An error wrapped in an I/O error is not its `source()` and is reached by `get_ref()`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inside.map(|inside| inside as &(dyn Error + 'static)).or_else(|| Error::source(*error))
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn causes_are_found_inside_io_errors() {
        let refusal = io::Error::other(io::Error::other(AddressError::Downgrade));
        assert_eq!(find(&refusal), Some(&AddressError::Downgrade));
        assert_eq!(innermost(&refusal), "refused to be redirected from https to http");
        assert_eq!(find::<AddressError>(&io::Error::from(io::ErrorKind::TimedOut)), None);
    }
}
