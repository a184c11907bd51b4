//! What bounds a request: retries, the deadline, cancellation.

use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::retry::{Clock, RetryPolicy};

/// What a fetch needs besides its URL.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// How often to try again. A connection that drops after [`PROGRESS`](crate::transport::download::PROGRESS) more bytes restarts the count.
    pub retry: RetryPolicy,
    /// After this time no attempt is started, and a running one is ended.
    pub deadline: Option<Instant>,
    /// What time it is, for `Retry-After` dates.
    pub clock: Clock,
    /// What `Accept` asks for; `None` sends no such header.
    pub accept: Option<&'static str>,
    /// Whether the caller checks the whole against a digest. Then a broken transfer is resumed also where the
    /// server has neither `ETag` nor `Last-Modified` to prove that it is still the same file.
    pub digest_is_checked: bool,
    /// Cancels the fetch.
    pub cancel: CancellationToken,
}

impl FetchOptions {
    /// What bounds the transfers of entries. Unpacking verifies an archive, and objects in stores have versions anyway.
    pub(crate) fn of_entries(cancel: CancellationToken, now: DateTime<Utc>) -> Self {
        FetchOptions {
            retry: RetryPolicy::default(),
            deadline: None,
            clock: Clock::starting_at(now),
            accept: None,
            digest_is_checked: false,
            cancel,
        }
    }
}
