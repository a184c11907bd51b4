//! GitHub's cache service as a store, spoken to by the job itself.
//!
//! The service decides what a lookup finds: it searches the scopes of the job's token, in its order, and
//! does not tell in which one it found. It has no list and no deletion for a job; those are GitHub's REST
//! API. An archive is an Azure block blob behind signed URLs; the version of the blob (`ETag`) is the
//! entry's id here, because upload and lookup both tell it and a reader can insist on it.
//!
//! A name is reserved by asking for an upload URL, and a reservation that is never finalized keeps the name
//! from everyone. So an upload asks as late as it can: when the first block is full, or at the commit.

mod failure;
mod writer;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use reqwest::Url;

use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::event::{Details, Event, Level, Observer};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;
use crate::github::{CacheService, Credentials, Right, ServiceError, ServiceErrorKind, SignedUrl};
use crate::transport::blocks::{BlobClient, BlockOptions};
use crate::transport::download::FetchOptions;
use crate::transport::http::client::{Client, ClientError, Timeouts};
use crate::transport::http::error::{Cause, FetchError};
use crate::transport::ranges::{self, BlobFacts, RangeOptions, Resolve};

use super::contract::{Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store};
use super::error::{Access, StoreError, StoreErrorKind};
use failure::{of_blob, of_service};
use writer::GitHubWriter;

/// How the service is spoken to.
#[derive(Clone)]
pub struct GitHubOptions {
    /// How long each step of a request may take.
    pub timeouts: Timeouts,
    /// Retries, clock and cancellation; its deadline bounds everything that the store ever does.
    pub fetch: FetchOptions,
    /// How long one lookup, one download or one upload may take in all, packing included.
    pub time_limit: Option<Duration>,
    /// How archives are cut for uploads.
    pub blocks: BlockOptions,
    /// How archives are cut for downloads.
    pub ranges: RangeOptions,
    /// Who is told what has no other way to be told, such as a reservation that was left behind.
    pub observer: Option<Arc<dyn Observer>>,
}

impl GitHubOptions {
    /// The usual times and sizes: an hour for one transfer, as long as the URL of an upload lives.
    pub fn new(fetch: FetchOptions) -> Self {
        GitHubOptions {
            timeouts: Timeouts::default(),
            fetch,
            time_limit: Some(Duration::from_hours(1)),
            blocks: BlockOptions::default(),
            ranges: RangeOptions::default(),
            observer: None,
        }
    }
}

/// What tells found entries apart.
type FoundName = (Key, Version, EntryId);

fn name_of(entry: &Entry) -> FoundName {
    (entry.key.clone(), entry.version.clone(), entry.id.clone())
}

/// GitHub's cache service. Clones share their connections.
#[derive(Clone)]
pub struct GitHubStore {
    shared: Arc<Shared>,
}

struct Shared {
    service: CacheService,
    credentials: Credentials,
    client: Client,
    blobs: BlobClient,
    options: GitHubOptions,
    /// URLs of entries that were found and not read yet.
    found: Mutex<HashMap<FoundName, Url>>,
}

impl GitHubStore {
    /// The service that these credentials open. Nothing is asked yet.
    pub fn new(credentials: Credentials, options: GitHubOptions) -> Result<Self, ClientError> {
        let details = options.observer.clone().map_or_else(Details::none, Details::to);
        let client = Client::new(options.timeouts)?.with_details(details.clone());
        let blobs = BlobClient::new(options.timeouts, details)?;
        let service = CacheService::new(
            client.clone(),
            credentials.service.clone(),
            credentials.token.clone(),
            options.fetch.clone(),
        );
        let found = Mutex::default();
        Ok(GitHubStore { shared: Arc::new(Shared { service, credentials, client, blobs, options, found }) })
    }

    /// What opens the service.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.credentials
    }
}

impl Shared {
    fn location(&self) -> String {
        self.service.address()
    }

    /// What a single operation is bounded by, from now on.
    fn bounds(&self) -> FetchOptions {
        let limit = self.options.time_limit.map(|limit| Instant::now() + limit);
        let deadline = [self.options.fetch.deadline, limit].into_iter().flatten().min();
        FetchOptions { deadline, ..self.options.fetch.clone() }
    }

    fn warn(&self, text: String, hint: Option<&str>) {
        if let Some(observer) = &self.options.observer {
            let hint = hint.map(str::to_owned);
            observer.observe(Event::Message { level: Level::Warning, cache: None, text, hint });
        }
    }

    /// Refuses what the job should not or cannot do.
    fn permit(&self, right: Right, action: &str) -> Result<(), StoreError> {
        let Some(why) = self.credentials.refusal(right) else { return Ok(()) };
        let access = match right {
            Right::Read => Access::Read,
            Right::Write => Access::Write,
        };
        Err(StoreError::new(StoreErrorKind::Denied(access), format!("cannot {action}: {why}")))
    }

    /// The scope of an entry that a lookup found: one of those that the token reads, or that were asked for.
    fn scope_of_found(&self, request: &LookupRequest) -> Option<Scope> {
        match self.credentials.scopes_with(Right::Read) {
            Some(scopes) => Scope::one_of(&scopes),
            None => Scope::one_of(&request.scopes),
        }
    }

    /// The entry of exactly this name, as the service finds it.
    async fn find_exact(
        &self,
        key: &Key,
        version: &Version,
        bounds: &FetchOptions,
    ) -> Result<Option<SignedUrl>, ServiceError> {
        let found = self.service.until(bounds.deadline).look_up(key, &[], version).await?;
        // The service takes the key for a prefix as well.
        Ok(found.filter(|found| found.key == *key).map(|found| found.url))
    }

    async fn facts(&self, url: &Url, bounds: &FetchOptions) -> Result<BlobFacts, FetchError> {
        ranges::facts(&self.client, url, bounds).await
    }

    /// What the URL that a lookup has found opens now; none where there is no such URL, or it has expired.
    async fn reopen(
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

    fn entry(&self, scope: Scope, key: Key, version: Version, facts: &BlobFacts) -> Entry {
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
}

#[async_trait]
impl Store for GitHubStore {
    fn location(&self) -> String {
        self.shared.location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        let shared = &self.shared;
        let action = format!("look up `{}` at {}", request.key, shared.location());
        shared.permit(Right::Read, &action)?;
        let bounds = shared.bounds();
        let service = shared.service.until(bounds.deadline);
        let answered = service.look_up(&request.key, &request.restore_keys, &request.version).await;
        let Some(found) = answered.map_err(|error| of_service(&action, Access::Read, error))? else {
            return Ok(None);
        };
        // The service always matches prefixes, too.
        if request.exact && found.key != request.key {
            return Ok(None);
        }
        let url = found.url.expose().map_err(|kind| not_a_url(&action, &shared.location(), kind))?;
        let facts = match shared.facts(&url, &bounds).await {
            Ok(facts) => facts,
            // Evicted in this moment.
            Err(error) if matches!(error.cause, Cause::NotFound) => return Ok(None),
            Err(error) => return Err(of_blob(&action, Access::Read, error)),
        };
        let scope = shared.scope_of_found(request).ok_or_else(|| {
            let message = format!("cannot {action}: neither the token nor the request names a scope");
            StoreError::new(StoreErrorKind::Other, message)
        })?;
        let entry = shared.entry(scope, found.key, request.version.clone(), &facts);
        shared.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name_of(&entry), url);
        Ok(Some(entry))
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        let shared = &self.shared;
        let action = format!("read entry `{}` at {}", entry.key, shared.location());
        shared.permit(Right::Read, &action)?;
        let bounds = shared.bounds();
        let vanished = || StoreError::new(StoreErrorKind::NotFound, format!("cannot {action}"));
        let resolve = resolver(Arc::clone(shared), entry.clone(), bounds.clone());
        let (url, facts) = match shared.reopen(entry, &bounds).await {
            Ok(Some(open)) => open,
            // It was not looked up here, or long ago.
            Ok(None) => {
                let answered = shared.find_exact(&entry.key, &entry.version, &bounds).await;
                let signed = answered.map_err(|error| of_service(&action, Access::Read, error))?;
                let signed = signed.ok_or_else(vanished)?;
                let url = signed.expose().map_err(|kind| not_a_url(&action, &shared.location(), kind))?;
                let facts = shared.facts(&url, &bounds).await;
                let facts = facts.map_err(|error| of_blob(&action, Access::Read, error))?;
                (url, facts)
            }
            Err(error) => return Err(of_blob(&action, Access::Read, error)),
        };
        if facts.etag != entry.id.0 {
            return Err(vanished());
        }
        let ranges = &shared.options.ranges;
        let stream = ranges::stream(&shared.client, url, facts, resolve, ranges, bounds);
        let stream = stream.map_err(|error| of_blob(&action, Access::Read, error))?;
        Ok(stream.map(move |part| part.map_err(|error| of_blob(&action, Access::Read, error))).boxed())
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        let shared = &self.shared;
        let action = format!("save `{}` at {}", new.key, shared.location());
        shared.permit(Right::Write, &action)?;
        if let Some(writable) = shared.credentials.scopes_with(Right::Write)
            && !writable.contains(&new.scope)
        {
            let names: Vec<&str> = writable.iter().map(Scope::as_str).collect();
            let why = format!("the job's token writes to {}, not to {}", names.join(", "), new.scope);
            let kind = StoreErrorKind::Denied(Access::Write);
            return Err(StoreError::new(kind, format!("cannot {action}: {why}")));
        }
        Ok(Box::new(GitHubWriter::new(Arc::clone(shared), new, action)))
    }

    /// Not for jobs: the service has no such method.
    async fn list(&self, _filter: &ListFilter) -> Result<Vec<Entry>, StoreError> {
        Err(self.only_by_rest("list the entries", Access::Read))
    }

    /// Not for jobs: the service has no such method.
    async fn delete(&self, id: &EntryId) -> Result<Deletion, StoreError> {
        Err(self.only_by_rest(&format!("delete entry {id}"), Access::Write))
    }

    /// The service tells nobody who reads.
    async fn leased(&self, _ids: &[EntryId]) -> Result<BTreeSet<EntryId>, StoreError> {
        Ok(BTreeSet::new())
    }

    /// The service notes by itself what a lookup finds.
    async fn note_use(&self, _entry: &Entry) {}

    /// The service drops unfinished uploads by itself.
    async fn recover(&self) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }
}

impl GitHubStore {
    fn only_by_rest(&self, action: &str, access: Access) -> StoreError {
        let message = format!(
            "cannot {action} at {}: the cache service of a job has no such method; `cachekeep clean` does it \
             through GitHub's REST API with `permissions: actions: write`",
            self.location()
        );
        StoreError::new(StoreErrorKind::Denied(access), message)
    }
}

fn not_a_url(action: &str, location: &str, kind: ServiceErrorKind) -> StoreError {
    of_service(action, Access::Read, ServiceError { address: location.to_owned(), kind })
}

/// Asks for a new URL of the same entry; that it is still the same is checked by its version.
fn resolver(shared: Arc<Shared>, entry: Entry, bounds: FetchOptions) -> Resolve {
    Arc::new(move || {
        let (shared, entry, bounds) = (Arc::clone(&shared), entry.clone(), bounds.clone());
        async move {
            let protocol = |what: String| Cause::Protocol(what);
            match shared.find_exact(&entry.key, &entry.version, &bounds).await {
                Ok(Some(signed)) => signed.expose().map_err(|kind| protocol(kind.to_string())),
                Ok(None) => Err(Cause::NotFound),
                Err(ServiceError { kind: ServiceErrorKind::Transport(cause), .. }) => Err(cause),
                Err(ServiceError { kind: ServiceErrorKind::RateLimited(wait), .. }) => {
                    Err(Cause::RateLimited(wait))
                }
                Err(error) => Err(protocol(error.to_string())),
            }
        }
        .boxed()
    })
}
