//! Any store of ours: it lists and deletes, and there is no forge to ask what became of a ref.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Housekeeping, HousekeepingError, Survey};
use crate::domain::clean::ApiCalls;
use crate::domain::entry::EntryId;
use crate::domain::retention::facts::pull_request_of;
use crate::domain::retention::{Facts, PullRequestState, RefState};
use crate::domain::scope::Scope;
use crate::store::{Deletion, ListFilter, Recovered, Store};

/// A store of ours, to be cleaned.
pub struct OwnStore {
    store: Arc<dyn Store>,
    default_branch: Scope,
}

impl OwnStore {
    /// Cleans `store`, in which `default_branch` is everybody's.
    pub fn new(store: Arc<dyn Store>, default_branch: Scope) -> Self {
        OwnStore { store, default_branch }
    }
}

#[async_trait]
impl Housekeeping for OwnStore {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn survey(&self, now: DateTime<Utc>, about: Option<u64>) -> Result<Survey, HousekeepingError> {
        let mut facts = Facts::new(self.default_branch.clone(), now);
        facts.entries = self.store.list(&ListFilter::default()).await?;
        if let Some(number) = about {
            facts.entries.retain(|entry| pull_request_of(&entry.scope) == Some(number));
            // Whoever names a pull request here says that it is closed: there is nobody else who could.
            facts.pull_requests.insert(number, PullRequestState::Closed { at: now });
        }
        let ids: Vec<EntryId> = facts.entries.iter().map(|entry| entry.id.clone()).collect();
        facts.leases = self.store.leased(&ids).await?;
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
        Ok(Survey { facts, notes: Vec::new() })
    }

    fn now(&self) -> Option<DateTime<Utc>> {
        None
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, HousekeepingError> {
        Ok(self.store.delete(id).await?)
    }

    async fn recover(&self) -> Result<Recovered, HousekeepingError> {
        Ok(self.store.recover().await?)
    }

    fn calls(&self) -> Option<ApiCalls> {
        None
    }
}
