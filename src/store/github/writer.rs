//! An upload to GitHub's cache service: the first block reserves the name, and the commit finalizes the entry.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::domain::entry::{Entry, EntryId};
use crate::domain::event::{Event, Level, Observer};
use crate::domain::unit::ByteSize;
use crate::github::{CacheService, Reservation};
use crate::store::contract::{Commit, EntryWriter, NewEntry};
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::block_checks::BlockChecks;
use crate::transport::blocks::{BlockCutter, BlockUpload};
use crate::transport::http::client::Client;
use crate::transport::http::options::FetchOptions;
use crate::transport::http::sending::BodySender;
use crate::transport::ranges::{self, BlobFacts};

use super::failure::{of_blob, of_service};
use super::options::GitHubOptions;

const LEFT_BEHIND: &str =
    "the name stays reserved: no job can save this key and version until the service drops the reservation";

/// An upload of one entry.
pub(super) struct GitHubWriter {
    /// The service, within the bounds of this upload.
    pub(super) service: CacheService,
    /// For requests about what was written.
    pub(super) client: Client,
    pub(super) blobs: BodySender,
    pub(super) checks: Arc<BlockChecks>,
    pub(super) options: GitHubOptions,
    /// Whether the job may look up entries.
    pub(super) may_read: bool,
    pub(super) new: NewEntry,
    /// What is being done, for error messages.
    pub(super) action: String,
    pub(super) bounds: FetchOptions,
    pub(super) cutter: BlockCutter,
    pub(super) state: UploadState,
}

pub(super) enum UploadState {
    /// The name was not asked for yet.
    Unreserved,
    /// This job has reserved the name.
    Reserved(BlockUpload, ReservedName),
    /// Another job has the name.
    Taken,
}

/// A name that this job has reserved; warns if it is dropped before the entry was finalized.
pub(super) struct ReservedName {
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
pub(super) fn entry_of(new: NewEntry, facts: &BlobFacts, now: impl FnOnce() -> DateTime<Utc>) -> Entry {
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

impl GitHubWriter {
    fn exists(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Exists, format!("cannot {}", self.action))
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

    async fn put(&mut self, block: Bytes) -> Result<(), StoreError> {
        self.reserve().await?;
        match &mut self.state {
            UploadState::Reserved(upload, _) => {
                upload.put(block).await.map_err(|error| of_blob(&self.action, Access::Write, error))
            }
            _ => Err(self.exists()),
        }
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
        Ok(Commit::Created(entry))
    }

    /// The storage drops the blocks. A reservation stays; dropping it warns.
    async fn abort(self: Box<Self>) {}
}
