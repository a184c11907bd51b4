//! Errors of the cache service.
//!
//! A [`ServiceError`] names the URL without secrets; callers match on its [`ServiceErrorKind`]. Messages of the
//! service are kept, redacted.

use std::time::Duration;

use crate::domain::hint::Hint;
use crate::transport::http::error::Cause;

/// A permission that a token grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Look up and download.
    Read,
    /// Create entries.
    Write,
}

/// A request to the cache service that failed.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {kind}")]
pub struct ServiceError {
    /// The URL of the method.
    pub address: String,
    /// The kind of the error.
    pub kind: ServiceErrorKind,
}

/// Why a request to the cache service failed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceErrorKind {
    /// The token does not grant the permission.
    #[error("the service denies the request: {said}")]
    Denied {
        /// The missing permission.
        right: Right,
        /// The message of the service.
        said: String,
    },
    /// The token is not, or no longer, accepted (401).
    #[error("the service does not accept the job's token: {said}")]
    Unauthorized {
        /// The missing permission.
        right: Right,
        /// The message of the service.
        said: String,
    },
    /// The repository has used up its cache budget.
    #[error("the service accepts no new caches: {0}")]
    BudgetExceeded(String),
    /// Too many requests; the wait would exceed the deadline.
    #[error("too many requests{}", .0.map(|wait| format!(", the next is allowed in {} s", wait.as_secs())).unwrap_or_default())]
    RateLimited(Option<Duration>),
    /// The service refused the request for another reason.
    #[error("the service refuses the request: {0}")]
    Refused(String),
    /// The response does not match the protocol.
    #[error("the service sent an invalid response: {0}")]
    Malformed(String),
    /// The service could not be reached or failed.
    #[error(transparent)]
    Transport(Cause),
}

impl Hint for ServiceError {
    fn hint(&self) -> Option<String> {
        Some(
            match &self.kind {
                ServiceErrorKind::Denied { right: Right::Write, .. } => {
                    "this event's token cannot write caches; save in a job on the branch itself"
                }
                ServiceErrorKind::Denied { right: Right::Read, .. } => "check the workflow's `cache-mode`",
                ServiceErrorKind::Unauthorized { .. } => {
                    "the token expires with its job; check the machine's clock"
                }
                ServiceErrorKind::BudgetExceeded(_) => {
                    "delete unneeded caches with `cachekeep clean`, or raise the limit in the repository's \
                     settings"
                }
                ServiceErrorKind::RateLimited(_) => "retry later, or let fewer jobs save at the same time",
                ServiceErrorKind::Transport(_) => {
                    "check https://www.githubstatus.com and the runner's network"
                }
                ServiceErrorKind::Refused(_) | ServiceErrorKind::Malformed(_) => return None,
            }
            .to_owned(),
        )
    }
}
