//! A repository's caches as a catalog, through GitHub's REST API.
//!
//! The API reports what the cache service does not: all entries of the repository, and the states of the pull
//! requests and refs that they belong to.

use crate::domain::entry_filter::EntryFilter;
use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::domain::clean::ApiCalls;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::retention::Facts;
use crate::domain::retention::facts::pull_request_of;
use crate::domain::scope::Scope;
use crate::github::rest::Rest;
use crate::store::catalog::{Catalog, CatalogError, Deletion, Recovered, Survey, SurveyRequest};

/// The caches of a repository.
pub struct GitHubCatalog {
    rest: Rest,
}

impl GitHubCatalog {
    /// The caches that this client reaches.
    pub fn new(rest: Rest) -> Self {
        GitHubCatalog { rest }
    }
}

#[async_trait]
impl Catalog for GitHubCatalog {
    fn location(&self) -> String {
        self.rest.location()
    }

    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        let scopes: Vec<Scope> = filter.scope.iter().cloned().collect();
        let mut entries = self.rest.list(&scopes).await?.entries;
        entries.retain(|entry| filter.matches(entry));
        entries.sort_by(|one, other| {
            (&one.scope, &one.key, &one.version).cmp(&(&other.scope, &other.key, &other.version))
        });
        Ok(entries)
    }

    /// The API does not report readers.
    async fn leased(&self, _ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        Ok(BTreeSet::new())
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, CatalogError> {
        let refs_of = |number: u64| {
            let names = ["merge", "head"].map(|kind| format!("refs/pull/{number}/{kind}"));
            names.iter().filter_map(|name| Scope::new(name)).collect::<Vec<_>>()
        };
        let default_branch = self.rest.default_branch().await?;
        let limit = self.rest.storage_limit().await?;
        let listing = self.rest.list(&request.only_pull_request.map(refs_of).unwrap_or_default()).await?;
        // One clock for everything: the server's, by which pull requests were closed.
        let mut facts = Facts::new(default_branch, listing.at.unwrap_or(request.now));
        facts.limit = Some(limit);
        facts.listing_complete = listing.incomplete.is_none();
        let mut notes: Vec<String> = listing.incomplete.into_iter().collect();
        notes.extend(
            listing.odd.iter().map(|(id, why)| format!("cache {id} is kept, it cannot be understood: {why}")),
        );
        let mut numbers: BTreeSet<u64> = request.only_pull_request.into_iter().collect();
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

    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError> {
        let was_there = self.rest.delete(id).await?;
        Ok(if was_there { Deletion::Deleted } else { Deletion::AlreadyGone })
    }

    async fn recover(&self) -> Result<Recovered, CatalogError> {
        // Unfinished uploads are not listed; GitHub removes them.
        Ok(Recovered::default())
    }

    fn calls(&self) -> Option<ApiCalls> {
        Some(self.rest.calls())
    }
}
