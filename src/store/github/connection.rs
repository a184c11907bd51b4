//! The clients of one job: for the cache service, and for the blobs behind its signed URLs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use reqwest::Url;

use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::event::{Details, Event, Level};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;
use crate::github::{CacheService, Credentials, Right, ServiceError, SignedUrl};
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::blocks::BlobClient;
use crate::transport::http::client::{Client, ClientError};
use crate::transport::http::error::{Cause, FetchError};
use crate::transport::http::options::FetchOptions;
use crate::transport::ranges::{self, BlobFacts};

use super::options::GitHubOptions;

/// The identity of an entry that a lookup found.
type FoundName = (Key, Version, EntryId);

fn name_of(entry: &Entry) -> FoundName {
    (entry.key.clone(), entry.version.clone(), entry.id.clone())
}

/// The clients of one job, and the URLs that its lookups found.
pub(super) struct Connection {
    pub(super) service: CacheService,
    pub(super) credentials: Credentials,
    pub(super) client: Client,
    pub(super) blobs: BlobClient,
    pub(super) options: GitHubOptions,
    /// URLs of entries that were found and not read yet.
    found: Mutex<HashMap<FoundName, Url>>,
}

impl Connection {
    /// Clients with these credentials. Sends nothing.
    pub(super) fn new(credentials: Credentials, options: GitHubOptions) -> Result<Self, ClientError> {
        let details = options.observer.clone().map_or_else(Details::none, Details::to);
        let client = Client::new(options.timeouts)?.with_details(details.clone());
        let blobs = BlobClient::new(options.timeouts, details)?;
        let service = CacheService::new(
            client.clone(),
            credentials.service.clone(),
            credentials.token.clone(),
            options.fetch.clone(),
        );
        Ok(Connection { service, credentials, client, blobs, options, found: Mutex::default() })
    }

    pub(super) fn location(&self) -> String {
        self.service.address()
    }

    /// The bounds of one operation that begins now.
    pub(super) fn bounds(&self) -> FetchOptions {
        let limit = self.options.time_limit.map(|limit| Instant::now() + limit);
        let deadline = [self.options.fetch.deadline, limit].into_iter().flatten().min();
        FetchOptions { deadline, ..self.options.fetch.clone() }
    }

    pub(super) fn warn(&self, text: String, hint: Option<&str>) {
        if let Some(observer) = &self.options.observer {
            let hint = hint.map(str::to_owned);
            observer.observe(Event::Message { level: Level::Warning, cache: None, text, hint });
        }
    }

    /// Fails if the job's token or its platform denies this right.
    pub(super) fn permit(&self, right: Right, action: &str) -> Result<(), StoreError> {
        let Some(why) = self.credentials.refusal(right) else { return Ok(()) };
        let access = match right {
            Right::Read => Access::Read,
            Right::Write => Access::Write,
        };
        Err(StoreError::new(StoreErrorKind::Denied(access), format!("cannot {action}: {why}")))
    }

    /// The scope of an entry that a lookup found: one of those that the token reads, or of the request.
    pub(super) fn scope_of_found(&self, request: &LookupRequest) -> Option<Scope> {
        match self.credentials.scopes_with(Right::Read) {
            Some(scopes) => Scope::one_of(&scopes),
            None => Scope::one_of(&request.scopes),
        }
    }

    /// The URL of the entry with exactly this key and version.
    pub(super) async fn find_exact(
        &self,
        key: &Key,
        version: &Version,
        bounds: &FetchOptions,
    ) -> Result<Option<SignedUrl>, ServiceError> {
        let found = self.service.until(bounds.deadline).look_up(key, &[], version).await?;
        // The service also matches the key as a prefix.
        Ok(found.filter(|found| found.key == *key).map(|found| found.url))
    }

    pub(super) async fn facts(&self, url: &Url, bounds: &FetchOptions) -> Result<BlobFacts, FetchError> {
        ranges::facts(&self.client, url, bounds).await
    }

    /// The URL that a lookup found, with what it serves now; `None` if there is no such URL or it has expired.
    pub(super) async fn reopen(
        &self,
        entry: &Entry,
        bounds: &FetchOptions,
    ) -> Result<Option<(Url, BlobFacts)>, FetchError> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&name_of(entry));
        let Some(url) = found else { return Ok(None) };
        match self.facts(&url, bounds).await {
            Ok(facts) => Ok(Some((url, facts))),
            Err(error) if matches!(error.cause, Cause::Denied(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn entry(&self, scope: Scope, key: Key, version: Version, facts: &BlobFacts) -> Entry {
        Entry {
            id: EntryId(facts.etag.clone()),
            scope,
            key,
            version,
            created_at: facts.last_modified.unwrap_or_else(|| self.options.fetch.clock.now()),
            last_used_at: None,
            size: ByteSize(facts.size),
        }
    }

    /// Keeps the URL of an entry that a lookup found until the entry is read.
    pub(super) fn remember(&self, entry: &Entry, url: Url) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name_of(entry), url);
    }
}
