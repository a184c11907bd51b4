//! What can go wrong with the cache service.
//!
//! A [`ServiceError`] names the service without secrets; its [`ServiceErrorKind`] is what callers decide by.
//! What the service itself said is kept, redacted.

use std::time::Duration;

use crate::domain::hint::Hint;
use crate::transport::http::error::Cause;

/// What a job wants to do.
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
    /// The method's URL.
    pub address: String,
    /// What went wrong.
    pub kind: ServiceErrorKind,
}

/// Why a request to the cache service failed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceErrorKind {
    /// The token has no right to do this.
    #[error("the service denies it: {said}")]
    Denied {
        /// What was wanted.
        right: Right,
        /// What the service said.
        said: String,
    },
    /// The token is not, or no longer, accepted (401).
    #[error("the service does not accept the job's token: {said}")]
    Unauthorized {
        /// What was wanted.
        right: Right,
        /// What the service said.
        said: String,
    },
    /// The repository's cache has no room or no money left.
    #[error("the service takes no new caches: {0}")]
    BudgetExceeded(String),
    /// Too many requests, for longer than it makes sense to wait.
    #[error("too many requests{}", .0.map(|wait| format!(", the next is allowed in {} s", wait.as_secs())).unwrap_or_default())]
    RateLimited(Option<Duration>),
    /// The service said no and gave another reason.
    #[error("the service refuses it: {0}")]
    Refused(String),
    /// The answer is not what the service documents.
    #[error("the service's answer is not understood: {0}")]
    Malformed(String),
    /// The service cannot be reached or is out of order.
    #[error(transparent)]
    Transport(Cause),
}

impl Hint for ServiceError {
    fn hint(&self) -> Option<String> {
        Some(
            match &self.kind {
                ServiceErrorKind::Denied { right: Right::Write, .. } => {
                    "this event's token cannot write caches; save in a job of the branch itself"
                }
                ServiceErrorKind::Denied { right: Right::Read, .. } => "check the workflow's `cache-mode`",
                ServiceErrorKind::Unauthorized { .. } => "a token lives as long as its job; check the clock",
                ServiceErrorKind::BudgetExceeded(_) => {
                    "delete caches that nobody needs (`cachekeep clean`), or raise the limit in the repository's \
                     settings"
                }
                ServiceErrorKind::RateLimited(_) => "wait, and let fewer jobs save at once",
                ServiceErrorKind::Transport(_) => "check https://www.githubstatus.com and the runner's network",
                ServiceErrorKind::Refused(_) | ServiceErrorKind::Malformed(_) => return None,
            }
            .to_owned(),
        )
    }
}
