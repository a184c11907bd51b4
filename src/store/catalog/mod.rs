//! Housekeeping: what a cleaner needs of a store, whoever keeps it.
//!
//! [`own`] adapts every [`Store`](super::Store); [`github`] asks GitHub's API, which tells what the cache service
//! does not: all entries of a repository, and what became of the pull requests and refs they belong to.

pub mod own;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use own::OwnStore;

use super::contract::{Deletion, Recovered};
use super::error::{Access, StoreError, StoreErrorKind};
use crate::domain::clean::ApiCalls;
use crate::domain::entry::EntryId;
use crate::domain::hint::{Class, Hint};
use crate::domain::retention::Facts;
use crate::github::rest::ApiError;

/// Everything that is known at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The facts, by the store's own clock where it has one.
    pub facts: Facts,
    /// What could not be told, one sentence each.
    pub notes: Vec<String>,
}

/// Why a store cannot be surveyed, or an entry not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    /// GitHub's API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A store of our own.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HousekeepingError {
    /// Whether a right is missing.
    pub fn is_denied(&self) -> bool {
        match self {
            HousekeepingError::Api(error) => error.is_denied(),
            HousekeepingError::Store(error) => matches!(error.kind(), StoreErrorKind::Denied(_)),
        }
    }

    /// Whether a right is missing that every other entry needs as well; files have theirs one by one.
    pub fn denies_all(&self) -> bool {
        matches!(self, HousekeepingError::Api(error) if error.is_denied())
    }

    /// Whether it makes no sense to go on with other entries.
    pub fn ends_the_run(&self) -> bool {
        match self {
            HousekeepingError::Api(error) => error.ends_the_run(),
            HousekeepingError::Store(_) => false,
        }
    }
}

impl Hint for HousekeepingError {
    fn hint(&self) -> Option<String> {
        match self {
            HousekeepingError::Api(error) => error.hint(),
            HousekeepingError::Store(error) if error.kind() == StoreErrorKind::Denied(Access::Write) => Some(
                "clean as a user who may delete files of the store, or on the machine that has it".to_owned(),
            ),
            HousekeepingError::Store(error) => error.hint(),
        }
    }

    fn class(&self) -> Class {
        if self.is_denied() { Class::Denied } else { Class::Environment }
    }
}

/// A store that can be cleaned.
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// Where it is, for people.
    fn location(&self) -> String;

    /// Lists everything and finds out the state of every ref; only what belongs to one pull request if `about`
    /// names it. The time of the facts is the store's, or `now` where it has no clock.
    async fn survey(&self, now: DateTime<Utc>, about: Option<u64>) -> Result<Survey, HousekeepingError>;

    /// The time by the store's own clock, as of its last answer; none where it has no clock.
    fn now(&self) -> Option<DateTime<Utc>>;

    /// Deletes this very entry.
    async fn delete(&self, id: &EntryId) -> Result<Deletion, HousekeepingError>;

    /// Removes what uploads of dead processes left behind.
    async fn recover(&self) -> Result<Recovered, HousekeepingError>;

    /// Requests so far, where they are counted.
    fn calls(&self) -> Option<ApiCalls>;
}
