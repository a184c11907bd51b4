//! GitHub's cache service as a store, used by the job itself.
//!
//! The service decides what a lookup finds: it searches the scopes of the job's token in its own order, and does
//! not report in which one it found the entry. A job cannot list or delete entries; GitHub's REST API can, see
//! [`catalog`](super::catalog). An archive is an Azure block blob behind signed URLs. The version of the blob
//! (`ETag`) is the entry's id here, because upload and lookup both report it and a reader can insist on it.
//!
//! Asking for an upload URL reserves the name, and a reservation that is never finalized blocks the name for all
//! jobs. Therefore an upload asks as late as it can: when the first block is full, or at the commit.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{FutureExt as _, StreamExt as _};
use reqwest::Url;

use super::options::GitHubOptions;
use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::event::{Details, Event, Level, Observer};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;
use crate::github::{CacheService, Credentials, Reservation, Right, ServiceError, ServiceErrorKind};
use crate::store::contract::{Commit, EntryStream, EntryWriter, NewEntry, Store};
use crate::store::error::{Access, StoreError, StoreErrorKind, kind_of_cause};
use crate::transport::blocks::{BlockChecks, BlockCutter, BlockUpload};
use crate::transport::http::client::{Client, ClientError};
use crate::transport::http::error::{Cause, FetchError};
use crate::transport::http::options::FetchOptions;
use crate::transport::http::sending::BodySender;
use crate::transport::ranges::{self, BlobFacts, OpenedBlob, Resolve};

const LEFT_BEHIND: &str =
    "the name stays reserved: no job can save this key and version until the service drops the reservation";

/// The identity of an entry that a lookup found.
type FoundName = (Key, Version, EntryId);

fn name_of(entry: &Entry) -> FoundName {
    (entry.key.clone(), entry.version.clone(), entry.id.clone())
}

/// GitHub's cache service. Clones share their connections.
#[derive(Clone)]
pub struct GitHubStore {
    service: CacheService,
    credentials: Credentials,
    client: Client,
    /// Sends blocks.
    blobs: BodySender,
    /// What the answers to blocks have shown so far.
    checks: Arc<BlockChecks>,
    options: GitHubOptions,
    /// URLs of entries that were found and not read yet.
    found: Arc<Mutex<HashMap<FoundName, Url>>>,
}

impl GitHubStore {
    /// The service that these credentials open. Sends nothing.
    pub fn new(credentials: Credentials, options: GitHubOptions) -> Result<Self, ClientError> {
        let details = options.observer.clone().map_or_else(Details::none, Details::to);
        let client = Client::new(options.timeouts)?.with_details(details.clone());
        let blobs = BodySender::new(options.timeouts, details)?;
        let service = CacheService::new(
            client.clone(),
            credentials.service.clone(),
            credentials.token.clone(),
            options.fetch.clone(),
        );
        let (checks, found) = (Arc::default(), Arc::default());
        Ok(GitHubStore { service, credentials, client, blobs, checks, options, found })
    }

    /// Begins an operation: the service within the bounds of the operation, and these bounds. Fails if the job's token
    /// or its platform denies the right.
    fn begin(&self, right: Right, action: &str) -> Result<(CacheService, FetchOptions), StoreError> {
        if let Some(why) = self.credentials.refusal(right) {
            let access = match right {
                Right::Read => Access::Read,
                Right::Write => Access::Write,
            };
            return Err(StoreError::new(StoreErrorKind::Denied(access), format!("cannot {action}: {why}")));
        }
        let limit = self.options.time_limit.map(|limit| Instant::now() + limit);
        let deadline = [self.options.fetch.deadline, limit].into_iter().flatten().min();
        Ok((self.service.until(deadline), FetchOptions { deadline, ..self.options.fetch.clone() }))
    }

    /// The URL that a lookup found, with what it serves now; `None` if there is no such URL or it has expired.
    async fn reopen(
        &self,
        entry: &Entry,
        bounds: &FetchOptions,
    ) -> Result<Option<(Url, BlobFacts)>, FetchError> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(&name_of(entry));
        let Some(url) = found else { return Ok(None) };
        match ranges::facts(&self.client, &url, bounds).await {
            Ok(facts) => Ok(Some((url, facts))),
            Err(error) if matches!(error.cause, Cause::Denied(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The blob of an entry, which is looked up unless this store has just done so.
    async fn open(&self, entry: &Entry, action: &str) -> Result<OpenedBlob, StoreError> {
        let (service, bounds) = self.begin(Right::Read, action)?;
        let vanished = || StoreError::new(StoreErrorKind::NotFound, format!("cannot {action}"));
        let (url, facts) = match self.reopen(entry, &bounds).await {
            Ok(Some(open)) => open,
            // This store did not look it up, or its URL has expired.
            Ok(None) => {
                let answered = service.find_exact(&entry.key, &entry.version).await;
                let signed = answered.map_err(|error| of_service(action, Access::Read, error))?;
                let url = signed.ok_or_else(vanished)?.expose();
                let facts = ranges::facts(&self.client, &url, &bounds).await;
                let facts = facts.map_err(|error| of_blob(action, Access::Read, error))?;
                (url, facts)
            }
            Err(error) => return Err(of_blob(action, Access::Read, error)),
        };
        if facts.etag != entry.id.0 {
            return Err(vanished());
        }
        Ok(OpenedBlob { url, facts, resolve: resolver(service, entry.clone()), options: bounds })
    }
}

#[async_trait]
impl Store for GitHubStore {
    fn location(&self) -> String {
        self.service.address()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        let action = format!("look up `{}` at {}", request.key, self.location());
        let (service, bounds) = self.begin(Right::Read, &action)?;
        let answered = service.look_up(&request.key, &request.restore_keys, &request.version).await;
        let Some(found) = answered.map_err(|error| of_service(&action, Access::Read, error))? else {
            return Ok(None);
        };
        // The service always matches prefixes as well.
        if request.exact && found.key != request.key {
            return Ok(None);
        }
        request.key.check_answer(&request.restore_keys, &found.key).map_err(|answer| {
            StoreError::new(StoreErrorKind::Unasked, format!("cannot {action}")).caused_by(answer)
        })?;
        let url = found.url.expose();
        let facts = match ranges::facts(&self.client, &url, &bounds).await {
            Ok(facts) => facts,
            // Evicted since the lookup.
            Err(error) if matches!(error.cause, Cause::NotFound) => return Ok(None),
            Err(error) => return Err(of_blob(&action, Access::Read, error)),
        };
        // One of the scopes that the token reads, or of the request.
        let readable = self.credentials.scopes_with(Right::Read);
        let scope = Scope::one_of(readable.as_ref().unwrap_or(&request.scopes)).ok_or_else(|| {
            let message = format!("cannot {action}: neither the token nor the request names a scope");
            StoreError::new(StoreErrorKind::Other, message)
        })?;
        let name = NewEntry { scope, key: found.key, version: request.version.clone() };
        let entry = entry_of(name, &facts, || self.options.fetch.clock.now());
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name_of(&entry), url);
        Ok(Some(entry))
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        let whole = 0..entry.size.0;
        self.read_ranges(entry, vec![whole]).await
    }

    async fn read_parts(&self, entry: &Entry, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let action = format!("read entry `{}` at {}", entry.key, self.location());
        let opened = self.open(entry, &action).await?;
        if opened.facts.size != entry.size.0 {
            let message = format!("cannot {action}: it has {} bytes", opened.facts.size);
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
        let read = ranges::parts(&self.client, opened, parts).await;
        read.map_err(|error| of_blob(&action, Access::Read, error))
    }

    async fn read_ranges(&self, entry: &Entry, ranges: Vec<Range<u64>>) -> Result<EntryStream, StoreError> {
        let action = format!("read entry `{}` at {}", entry.key, self.location());
        let opened = self.open(entry, &action).await?;
        let stream = ranges::stream(&self.client, opened, ranges, &self.options.ranges);
        let stream = stream.map_err(|error| of_blob(&action, Access::Read, error))?;
        Ok(stream.map(move |part| part.map_err(|error| of_blob(&action, Access::Read, error))).boxed())
    }

    fn evicts(&self) -> bool {
        true
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        let action = format!("save `{}` at {}", new.key, self.location());
        let (service, bounds) = self.begin(Right::Write, &action)?;
        if let Some(writable) = self.credentials.scopes_with(Right::Write)
            && !writable.contains(&new.scope)
        {
            let names: Vec<&str> = writable.iter().map(Scope::as_str).collect();
            let why = format!("the job's token writes to {}, not to {}", names.join(", "), new.scope);
            let kind = StoreErrorKind::Denied(Access::Write);
            return Err(StoreError::new(kind, format!("cannot {action}: {why}")));
        }
        Ok(Box::new(GitHubWriter {
            service,
            client: self.client.clone(),
            blobs: self.blobs.clone(),
            checks: Arc::clone(&self.checks),
            options: self.options.clone(),
            may_read: self.credentials.refusal(Right::Read).is_none(),
            new,
            action,
            bounds,
            cutter: BlockCutter::new(self.options.blocks),
            state: UploadState::Unreserved,
        }))
    }

    /// The service records the uses of entries itself.
    async fn note_use(&self, _entry: &Entry) {}
}

/// Asks for a new URL of an entry; the reader checks by the version of the blob that it is still the same.
fn resolver(service: CacheService, entry: Entry) -> Resolve {
    Arc::new(move || {
        let (service, entry) = (service.clone(), entry.clone());
        async move {
            match service.find_exact(&entry.key, &entry.version).await {
                Ok(Some(signed)) => Ok(signed.expose()),
                Ok(None) => Err(Cause::NotFound),
                Err(ServiceError { kind: ServiceErrorKind::Transport(cause), .. }) => Err(cause),
                Err(ServiceError { kind: ServiceErrorKind::RateLimited(wait), .. }) => {
                    Err(Cause::RateLimited(wait))
                }
                Err(error) => Err(Cause::Protocol(error.to_string())),
            }
        }
        .boxed()
    })
}

/// An upload of one entry.
struct GitHubWriter {
    /// The service, within the bounds of this upload.
    service: CacheService,
    /// For requests about what was written.
    client: Client,
    blobs: BodySender,
    /// Whether the storage has compared every block, which the answers show: where it has not, the save reads the entry back.
    checks: Arc<BlockChecks>,
    options: GitHubOptions,
    /// Whether the job may look up entries.
    may_read: bool,
    new: NewEntry,
    /// What is being done, for error messages.
    action: String,
    bounds: FetchOptions,
    cutter: BlockCutter,
    state: UploadState,
}

enum UploadState {
    /// The name was not asked for yet.
    Unreserved,
    /// This job has reserved the name.
    Reserved(BlockUpload, ReservedName),
    /// Another job has the name.
    Taken,
}

/// A name that this job has reserved; warns if it is dropped before the entry was finalized.
struct ReservedName {
    observer: Option<Arc<dyn Observer>>,
    name: String,
    is_open: bool,
}

impl ReservedName {
    fn close(mut self) {
        self.is_open = false;
    }
}

impl Drop for ReservedName {
    fn drop(&mut self) {
        if self.is_open {
            let text = format!("{}: the upload was not finished and {LEFT_BEHIND}", self.name);
            warn(self.observer.as_ref(), text, "change the key, for instance its prefix, or wait some hours");
        }
    }
}

fn warn(observer: Option<&Arc<dyn Observer>>, text: String, hint: &str) {
    if let Some(observer) = observer {
        let hint = Some(hint.to_owned());
        observer.observe(Event::Message { level: Level::Warning, cache: None, text, hint });
    }
}

/// The entry of a name whose blob the storage describes; `now` is its time where the storage says none.
fn entry_of(new: NewEntry, facts: &BlobFacts, now: impl FnOnce() -> DateTime<Utc>) -> Entry {
    Entry {
        id: EntryId(facts.etag.clone()),
        scope: new.scope,
        key: new.key,
        version: new.version,
        created_at: facts.last_modified.unwrap_or_else(now),
        last_used_at: None,
        size: ByteSize(facts.size),
    }
}

#[async_trait]
impl EntryWriter for GitHubWriter {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), StoreError> {
        if matches!(self.state, UploadState::Taken) {
            return Err(self.exists());
        }
        while !chunk.is_empty() {
            if let Some(block) = self.cutter.take(&mut chunk) {
                self.put(block).await?;
            }
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Commit, StoreError> {
        self.reserve().await?;
        let state = std::mem::replace(&mut self.state, UploadState::Taken);
        let UploadState::Reserved(mut upload, name) = state else { return Ok(Commit::Exists) };
        let cutter = std::mem::replace(&mut self.cutter, BlockCutter::new(self.options.blocks));
        let failed = |error| of_blob(&self.action, Access::Write, error);
        if let Some(rest) = cutter.rest() {
            upload.put(rest).await.map_err(failed)?;
        }
        let written = upload.finish().await.map_err(failed)?;
        let entry = self.finalize(&written).await?;
        name.close();
        Ok(Commit::Created { entry, is_checked: self.checks.are_confirmed() })
    }

    /// The storage drops the blocks. A reservation stays; dropping it warns.
    async fn abort(self: Box<Self>) {}
}

impl GitHubWriter {
    /// Sends a block, the first one once the name is reserved.
    async fn put(&mut self, block: Bytes) -> Result<(), StoreError> {
        self.reserve().await?;
        match &mut self.state {
            UploadState::Reserved(upload, _) => {
                upload.put(block).await.map_err(|error| of_blob(&self.action, Access::Write, error))
            }
            _ => Err(self.exists()),
        }
    }

    /// Reserves the name, unless that was done already.
    async fn reserve(&mut self) -> Result<(), StoreError> {
        if !matches!(self.state, UploadState::Unreserved) {
            return Ok(());
        }
        let reserved = self.service.reserve(&self.new.key, &self.new.version).await;
        match reserved.map_err(|error| of_service(&self.action, Access::Write, error))? {
            Reservation::Reserved(signed) => {
                let name = ReservedName {
                    observer: self.options.observer.clone(),
                    name: format!("`{}`", self.new.key),
                    is_open: true,
                };
                let signed = signed.map_err(|error| of_service(&self.action, Access::Write, error))?;
                let (url, blocks) = (signed.expose(), self.options.blocks);
                let upload =
                    BlockUpload::new(&self.blobs, url, blocks, self.bounds.clone(), Arc::clone(&self.checks));
                self.state = UploadState::Reserved(upload, name);
            }
            Reservation::Exists { said, perhaps_our_own } => {
                self.explain_conflict(&said, perhaps_our_own).await?;
                self.state = UploadState::Taken;
            }
        }
        Ok(())
    }

    /// Warns or fails if the name is taken although no entry can be restored: then the cache was not saved by
    /// another job.
    async fn explain_conflict(&self, said: &str, perhaps_our_own: bool) -> Result<(), StoreError> {
        self.client.details().tell(format_args!("{}: the name is taken: {said}", self.action));
        if !self.may_read {
            return Ok(());
        }
        let found = self.service.find_exact(&self.new.key, &self.new.version).await;
        if !matches!(found, Ok(None)) {
            return Ok(());
        }
        if perhaps_our_own {
            let why = format!("the answer to the reservation was lost, and {LEFT_BEHIND}");
            return Err(StoreError::new(StoreErrorKind::Other, format!("cannot {}: {why}", self.action)));
        }
        warn(
            self.options.observer.as_ref(),
            format!(
                "`{}` is reserved and no entry of it is served: another job is saving it now, or has left an \
                 upload unfinished",
                self.new.key
            ),
            "if this stays so, change the key, for instance its prefix",
        );
        Ok(())
    }

    /// Finalizes the entry. If the service refuses or the response is lost, a lookup shows whether the entry exists.
    async fn finalize(&self, written: &BlobFacts) -> Result<Entry, StoreError> {
        let (key, version) = (&self.new.key, &self.new.version);
        match self.service.finalize(key, version, written.size).await {
            Ok(number) => {
                self.client.details().tell(format_args!("{}: finalized as entry {number}", self.action));
            }
            Err(_) if self.is_served(written).await => {}
            Err(error) => return Err(of_service(&self.action, Access::Write, error)),
        }
        Ok(entry_of(self.new.clone(), written, || self.options.fetch.clock.now()))
    }

    /// Whether the service serves this blob under the name.
    async fn is_served(&self, written: &BlobFacts) -> bool {
        let found = self.service.find_exact(&self.new.key, &self.new.version).await;
        let Ok(Some(signed)) = found else { return false };
        let served = ranges::facts(&self.client, &signed.expose(), &self.bounds).await;
        served.is_ok_and(|served| served.etag == written.etag)
    }

    fn exists(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Exists, format!("cannot {}", self.action))
    }
}

/// An error of the service during `action`.
fn of_service(action: &str, access: Access, error: ServiceError) -> StoreError {
    let kind = match &error.kind {
        ServiceErrorKind::Denied { right, .. } | ServiceErrorKind::Unauthorized { right, .. } => {
            StoreErrorKind::Denied(match right {
                Right::Read => Access::Read,
                Right::Write => Access::Write,
            })
        }
        ServiceErrorKind::BudgetExceeded(_) => StoreErrorKind::BudgetExceeded,
        ServiceErrorKind::RateLimited(retry_after) => {
            StoreErrorKind::RateLimited { retry_after: *retry_after }
        }
        ServiceErrorKind::Transport(cause) => kind_of_cause(cause, access),
        ServiceErrorKind::Refused(_) | ServiceErrorKind::Malformed(_) => StoreErrorKind::Other,
    };
    StoreError::new(kind, format!("cannot {action}")).caused_by(error)
}

/// An error of the storage behind a signed URL during `action`.
fn of_blob(action: &str, access: Access, error: FetchError) -> StoreError {
    let kind = match &error.cause {
        // The service has granted the access before: the storage refuses this signature.
        Cause::Denied(_) => StoreErrorKind::Other,
        cause => kind_of_cause(cause, access),
    };
    let why = match (&error.cause, access) {
        (Cause::Denied(_), Access::Write) => {
            ": the storage no longer accepts the signed URL, which lives for about an hour, and the service \
             gives no second one for an upload"
        }
        (Cause::Denied(_), Access::Read) => ": the storage accepts no signed URL, not even a new one",
        _ => "",
    };
    StoreError::new(kind, format!("cannot {action}{why}")).caused_by(error)
}
