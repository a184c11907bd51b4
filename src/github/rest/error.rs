//! Errors of the API.
//!
//! An [`ApiError`] names the URL; callers match on its [`ApiErrorKind`]. Messages of GitHub are kept, on one line and
//! without secrets.

use std::time::Duration;

use http::StatusCode;
use reqwest::Url;

use crate::domain::hint::Hint;
use crate::domain::secret::Secret;
use crate::github::redaction::redacted;
use crate::transport::http::address;
use crate::transport::http::error::Cause;

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {kind}")]
pub struct ApiError {
    /// The URL, without its query.
    pub address: String,
    /// The kind of the error.
    pub kind: ApiErrorKind,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiErrorKind {
    /// The token lacks a permission (403).
    #[error("not permitted{}: GitHub says \"{said}\"", wanted.as_deref().map(|w| format!(", it takes `{w}`")).unwrap_or_default())]
    Denied {
        /// The required permissions, as GitHub names them: `actions=write`.
        wanted: Option<String>,
        /// The message of GitHub.
        said: String,
    },
    /// The token is not accepted (401).
    #[error("the token is not accepted: GitHub says \"{0}\"")]
    Unauthorized(String),
    /// It does not exist, or the token may not read it (404).
    #[error("not found, or the token may not read it")]
    NotFound,
    /// The rate limit is not lifted before the deadline.
    #[error("{} and the next is allowed in {} s, after the deadline", if *is_primary { "all requests of this hour are used up" } else { "requests come too fast" }, wait.as_secs())]
    RateLimited {
        /// Time until it is lifted.
        wait: Duration,
        /// Whether it is the primary limit of requests per hour.
        is_primary: bool,
    },
    /// Any other refusal.
    #[error("GitHub answered HTTP {status}: \"{said}\"")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The message of GitHub.
        said: String,
    },
    /// The response does not match GitHub's documentation.
    #[error("invalid response: {0}")]
    Malformed(String),
    /// GitHub could not be reached, or the deadline passed.
    #[error(transparent)]
    Transport(Cause),
}

impl ApiError {
    /// Converts an error of octocrab.
    pub(super) fn of(url: &Url, error: octocrab::Error) -> Self {
        let kind = match error {
            octocrab::Error::GitHub { source, .. } => of_answer(&source),
            octocrab::Error::Service { source, .. } => match source.downcast::<ApiErrorKind>() {
                Ok(kind) => *kind,
                Err(other) => ApiErrorKind::Malformed(line(&other.to_string())),
            },
            octocrab::Error::Json { source, .. } => ApiErrorKind::Malformed(line(&source.to_string())),
            octocrab::Error::Serde { source, .. } => ApiErrorKind::Malformed(line(&source.to_string())),
            other => ApiErrorKind::Malformed(line(&other.to_string())),
        };
        ApiError { address: address::shown(url), kind }
    }

    /// Whether a permission is missing, so that every request of this kind will fail.
    pub fn is_denied(&self) -> bool {
        matches!(
            self.kind,
            ApiErrorKind::Denied { .. } | ApiErrorKind::Unauthorized(_) | ApiErrorKind::NotFound
        )
    }

    /// Whether further requests are pointless before the deadline.
    pub fn ends_the_run(&self) -> bool {
        self.is_denied()
            || matches!(
                self.kind,
                ApiErrorKind::RateLimited { .. }
                    | ApiErrorKind::Transport(Cause::Deadline | Cause::Cancelled | Cause::Address(_))
            )
    }
}

fn of_answer(answer: &octocrab::GitHubError) -> ApiErrorKind {
    let said = line(&answer.message);
    match answer.status_code {
        StatusCode::UNAUTHORIZED => ApiErrorKind::Unauthorized(said),
        StatusCode::FORBIDDEN => {
            let header = |name: &str| answer.headers.as_ref()?.get(name)?.to_str().ok();
            let wanted = header("x-accepted-github-permissions").filter(|wanted| !wanted.is_empty());
            ApiErrorKind::Denied { wanted: wanted.map(line), said }
        }
        StatusCode::NOT_FOUND => ApiErrorKind::NotFound,
        status => ApiErrorKind::Refused { status: status.as_u16(), said },
    }
}

/// Untrusted text on one line. There is no token to redact, since responses never repeat it.
pub(super) fn line(text: &str) -> String {
    redacted(text, &Secret::new(""))
}

impl Hint for ApiError {
    fn hint(&self) -> Option<String> {
        let text = match &self.kind {
            ApiErrorKind::Denied { wanted: Some(wanted), .. } => {
                return Some(format!(
                    "give the job `permissions: {{ {} }}`; jobs of pull requests from forks and of Dependabot never \
                    get them: use `pull_request_target` without a checkout, or a schedule",
                    as_workflow(wanted)
                ));
            }
            ApiErrorKind::Denied { wanted: None, .. } => {
                "give the job `permissions: { actions: write, contents: read, pull-requests: read }`"
            }
            ApiErrorKind::Unauthorized(_) => "set GITHUB_TOKEN to `${{ github.token }}` in the step's `env`",
            ApiErrorKind::NotFound => "check the repository's name, and that the token may read its actions",
            ApiErrorKind::RateLimited { .. } => {
                "run it again later, or with a longer `--timeout`; deletions so far are kept"
            }
            ApiErrorKind::Transport(_) => "check https://www.githubstatus.com and the runner's network",
            ApiErrorKind::Refused { .. } | ApiErrorKind::Malformed(_) => return None,
        };
        Some(text.to_owned())
    }
}

/// `actions=write,contents=read` in workflow syntax. Of several alternatives, separated by `;`, the first.
fn as_workflow(wanted: &str) -> String {
    let first = wanted.split(';').next().unwrap_or(wanted);
    let each: Vec<String> =
        first.split(',').map(|one| one.trim().replace('_', "-").replacen('=', ": ", 1)).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_permission_is_shown_in_workflow_syntax() {
        let check = |wanted: &str, expect: &str| assert_eq!(as_workflow(wanted), expect);
        check("actions=write", "actions: write");
        check("pull_requests=read,contents=read", "pull-requests: read, contents: read");
        check("actions=write; administration=write", "actions: write");
    }
}
