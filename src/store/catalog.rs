//! The contract of a store that can be listed and cleaned.
//!
//! Not every store is a catalog: a job can look up and save in GitHub's cache service, but only the REST API lists
//! and deletes there, see [`github::catalog`](super::github::catalog).

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::error::{Access, StoreError, StoreErrorKind};
use crate::domain::clean::ApiCalls;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::entry_filter::EntryFilter;
use crate::domain::hint::{Class, Hint};
use crate::domain::retention::facts::pull_request_of;
use crate::domain::retention::{Facts, PullRequestState, RefState};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::github::rest::ApiError;

/// The outcome of deleting an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// The entry existed and was deleted.
    Deleted,
    /// The entry did not exist: another process deleted it, or the service evicted it.
    AlreadyGone,
    /// A live process is reading the entry, which is kept.
    InUse,
}

/// The outcome of a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Uploads of dead processes that were removed.
    pub removed: u64,
    /// The bytes of those uploads.
    pub removed_bytes: ByteSize,
    /// Uploads that were kept, because their process lives or may live.
    pub kept: u64,
    /// What else was kept, a message each: it is not an upload of this program, so that a person has to look at it.
    pub refused: Vec<String>,
}

/// What a survey is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyRequest {
    /// The time of the facts, unless the catalog has a clock of its own.
    pub now: DateTime<Utc>,
    /// The branch whose entries every ref reads, unless the catalog can ask for it.
    pub default_branch: Scope,
    /// Only entries of this pull request.
    pub only_pull_request: Option<u64>,
}

/// What is known of a catalog at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The facts, by the catalog's own clock where it has one.
    pub facts: Facts,
    /// What could not be found out, one sentence each.
    pub notes: Vec<String>,
}

/// A store that can be listed and cleaned.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The location for messages: a path or a URL, without secrets.
    fn location(&self) -> String;

    /// All entries that pass the filter, in the order of scope, key and version.
    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError>;

    /// The entries among these that live processes are reading, as far as the store knows.
    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError>;

    /// Deletes the entry with this id, unless it is leased; never one that was created under the same name since.
    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError>;

    /// Removes what uploads of dead processes left behind; uploads of live processes are kept.
    async fn recover(&self) -> Result<Recovered, CatalogError>;

    /// Lists everything and finds out the state of every ref. Without a forge to ask, refs are untracked and a
    /// pull request that the request names counts as closed.
    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, CatalogError> {
        surveyed(self, request).await
    }

    /// The time by the catalog's own clock, as of its last answer; `None` if it does not have one.
    fn now(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Requests so far; `None` if they are not counted.
    fn calls(&self) -> Option<ApiCalls> {
        None
    }
}

/// The survey of a catalog without a forge to ask.
pub(super) async fn surveyed(
    catalog: &(impl Catalog + ?Sized),
    request: &SurveyRequest,
) -> Result<Survey, CatalogError> {
    let entries = catalog.list(&EntryFilter::default()).await?;
    let mut facts = untracked(entries, request);
    let ids: Vec<EntryId> = facts.entries.iter().map(|entry| entry.id.clone()).collect();
    facts.leases = catalog.leased(&ids).await?;
    Ok(Survey { facts, notes: Vec::new() })
}

/// The facts of a catalog that cannot ask a forge for the state of refs.
fn untracked(entries: Vec<Entry>, request: &SurveyRequest) -> Facts {
    let mut facts = Facts::new(request.default_branch.clone(), request.now);
    facts.entries = entries;
    if let Some(number) = request.only_pull_request {
        facts.entries.retain(|entry| pull_request_of(&entry.scope) == Some(number));
        // The user states that it is closed by naming it: here this cannot be asked.
        facts.pull_requests.insert(number, PullRequestState::Closed { at: request.now });
    }
    for entry in &facts.entries {
        match pull_request_of(&entry.scope) {
            Some(number) => {
                facts.pull_requests.entry(number).or_insert(PullRequestState::Untracked);
            }
            None => {
                facts.refs.insert(entry.scope.clone(), RefState::Untracked);
            }
        }
    }
    facts
}

#[async_trait]
impl<C: Catalog + ?Sized> Catalog for Arc<C> {
    fn location(&self) -> String {
        (**self).location()
    }

    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        (**self).list(filter).await
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        (**self).leased(ids).await
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError> {
        (**self).delete(id).await
    }

    async fn recover(&self) -> Result<Recovered, CatalogError> {
        (**self).recover().await
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, CatalogError> {
        (**self).survey(request).await
    }

    fn now(&self) -> Option<DateTime<Utc>> {
        (**self).now()
    }

    fn calls(&self) -> Option<ApiCalls> {
        (**self).calls()
    }
}

/// Why a catalog cannot be surveyed, or an entry cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// An error of GitHub's API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// An error of any other store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CatalogError {
    /// Whether a right is missing.
    pub fn is_denied(&self) -> bool {
        match self {
            CatalogError::Api(error) => error.is_denied(),
            CatalogError::Store(error) => matches!(error.kind(), StoreErrorKind::Denied(_)),
        }
    }

    /// Whether a right is missing that every other entry needs as well; files have rights of their own.
    pub fn denies_all(&self) -> bool {
        matches!(self, CatalogError::Api(error) if error.is_denied())
    }

    /// Whether further requests are pointless.
    pub fn ends_the_run(&self) -> bool {
        match self {
            CatalogError::Api(error) => error.ends_the_run(),
            CatalogError::Store(_) => false,
        }
    }
}

impl Hint for CatalogError {
    fn hint(&self) -> Option<String> {
        match self {
            CatalogError::Api(error) => error.hint(),
            CatalogError::Store(error) if error.kind() == StoreErrorKind::Denied(Access::Write) => Some(
                "clean as a user who may delete files of the store, or on the machine that has it".to_owned(),
            ),
            CatalogError::Store(error) => error.hint(),
        }
    }

    fn class(&self) -> Class {
        if self.is_denied() { Class::Denied } else { Class::Environment }
    }
}
