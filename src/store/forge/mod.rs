//! Forges: what keeps the repository knows which of its pull requests are open.
//!
//! GitHub's own caches come with their states ([`github::catalog`](super::github)). Every other store asks the forge, if the
//! job has a token for it: [`Tracked`] adds the states to a catalog.

pub(crate) mod azure_repos;
pub(crate) mod gitlab;

mod api;
mod github;
mod tracked;

pub(crate) use api::ForgeApi;
pub(crate) use tracked::Tracked;

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::domain::hint::Hint;
use crate::github::rest::states::PullRequests;

/// Where pull requests are opened and closed.
#[async_trait]
pub(crate) trait Forge: Send + Sync {
    /// Its name for messages.
    fn name(&self) -> String;

    /// States and bases of pull requests by number. A state that the forge does not report is unknown.
    ///
    /// # Errors
    /// No state can be found out.
    async fn pull_requests(&self, numbers: &BTreeSet<u64>) -> Result<PullRequests, ForgeError>;
}

/// Why a forge does not report states.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct ForgeError {
    pub(crate) reason: String,
    pub(crate) cure: Option<String>,
}

impl Hint for ForgeError {
    fn hint(&self) -> Option<String> {
        self.cure.clone()
    }
}
