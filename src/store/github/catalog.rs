//! GitHub's caches of a repository, through its API.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::domain::clean::ApiCalls;
use crate::domain::entry::EntryId;
use crate::domain::retention::Facts;
use crate::domain::retention::facts::pull_request_of;
use crate::domain::scope::Scope;
use crate::github::rest::Rest;
use crate::store::catalog::{Housekeeping, HousekeepingError, Survey};
use crate::store::{Deletion, Recovered};

/// The caches of a repository, to be cleaned.
pub struct GitHubCaches {
    rest: Rest,
}

impl GitHubCaches {
    /// Cleans through this client.
    pub fn new(rest: Rest) -> Self {
        GitHubCaches { rest }
    }
}

#[async_trait]
impl Housekeeping for GitHubCaches {
    fn location(&self) -> String {
        self.rest.location()
    }

    async fn survey(&self, now: DateTime<Utc>, about: Option<u64>) -> Result<Survey, HousekeepingError> {
        let refs_of = |number: u64| {
            let names = ["merge", "head"].map(|kind| format!("refs/pull/{number}/{kind}"));
            names.iter().filter_map(|name| Scope::new(name)).collect::<Vec<_>>()
        };
        let default_branch = self.rest.default_branch().await?;
        let limit = self.rest.storage_limit().await?;
        let listing = self.rest.list(&about.map(refs_of).unwrap_or_default()).await?;
        // One clock for everything: that of the server, which also says when pull requests were closed.
        let mut facts = Facts::new(default_branch, listing.at.unwrap_or(now));
        facts.limit = Some(limit);
        facts.listing_complete = listing.incomplete.is_none();
        let mut notes: Vec<String> = listing.incomplete.into_iter().collect();
        notes.extend(
            listing.odd.iter().map(|(id, why)| format!("cache {id} is kept, it cannot be understood: {why}")),
        );
        let mut numbers: BTreeSet<u64> = about.into_iter().collect();
        let mut refs = BTreeSet::new();
        for entry in &listing.entries {
            match pull_request_of(&entry.scope) {
                Some(number) => drop(numbers.insert(number)),
                None if entry.scope == facts.default_branch => {}
                None => drop(refs.insert(entry.scope.clone())),
            }
        }
        facts.entries = listing.entries;
        (facts.pull_requests, facts.bases) = self.rest.pull_requests(&numbers).await?;
        facts.refs = self.rest.refs(&refs, &facts.default_branch).await?;
        Ok(Survey { facts, notes })
    }

    fn now(&self) -> Option<DateTime<Utc>> {
        self.rest.server_time()
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, HousekeepingError> {
        let was_there = self.rest.delete(id).await?;
        Ok(if was_there { Deletion::Deleted } else { Deletion::AlreadyGone })
    }

    async fn recover(&self) -> Result<Recovered, HousekeepingError> {
        // An upload that was never finished is not listed, and GitHub removes it.
        Ok(Recovered::default())
    }

    fn calls(&self) -> Option<ApiCalls> {
        Some(self.rest.calls())
    }
}
