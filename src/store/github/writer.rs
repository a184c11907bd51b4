//! An upload to GitHub's cache service: the first block reserves the name, and the commit finalizes the entry.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::entry::Entry;
use crate::github::{Reservation, Right, ServiceError};
use crate::store::contract::{Commit, EntryWriter, NewEntry};
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::blocks::{BlockCutter, BlockUpload, WrittenBlob};
use crate::transport::http::options::FetchOptions;
use crate::transport::ranges::BlobFacts;

use super::connection::Connection;
use super::failure::{of_blob, of_service};

const LEFT_BEHIND: &str =
    "the name stays reserved: no job can save this key and version until the service drops the reservation";

pub(super) struct GitHubWriter {
    connection: Arc<Connection>,
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
    connection: Arc<Connection>,
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
            let hint = "change the key, for instance its prefix, or wait some hours";
            self.connection
                .warn(format!("{}: the upload was not finished and {LEFT_BEHIND}", self.name), Some(hint));
        }
    }
}

impl GitHubWriter {
    pub(super) fn new(connection: Arc<Connection>, new: NewEntry, action: String) -> Self {
        let (bounds, cutter) = (connection.bounds(), BlockCutter::new(connection.options.blocks));
        GitHubWriter { connection, new, action, bounds, cutter, state: UploadState::Unreserved }
    }

    fn exists(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Exists, format!("cannot {}", self.action))
    }

    /// Reserves the name, unless that was done already.
    async fn reserve(&mut self) -> Result<(), StoreError> {
        if !matches!(self.state, UploadState::Unreserved) {
            return Ok(());
        }
        let service = self.connection.service.until(self.bounds.deadline);
        let reserved = service.reserve(&self.new.key, &self.new.version).await;
        match reserved.map_err(|error| of_service(&self.action, Access::Write, error))? {
            Reservation::Reserved(signed) => {
                let name = ReservedName {
                    connection: Arc::clone(&self.connection),
                    name: format!("`{}`", self.new.key),
                    is_open: true,
                };
                let address = self.connection.location();
                let url = signed.expose().map_err(|kind| {
                    of_service(&self.action, Access::Write, ServiceError { address, kind })
                })?;
                let blocks = self.connection.options.blocks;
                let upload = BlockUpload::new(&self.connection.blobs, url, blocks, self.bounds.clone());
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
        self.connection.client.details().tell(|| format!("{}: the name is taken: {said}", self.action));
        if self.connection.credentials.refusal(Right::Read).is_some() {
            return Ok(());
        }
        let found = self.connection.find_exact(&self.new.key, &self.new.version, &self.bounds).await;
        if !matches!(found, Ok(None)) {
            return Ok(());
        }
        if perhaps_our_own {
            let why = format!("the answer to the reservation was lost, and {LEFT_BEHIND}");
            return Err(StoreError::new(StoreErrorKind::Other, format!("cannot {}: {why}", self.action)));
        }
        self.connection.warn(
            format!(
                "`{}` is reserved and no entry of it is served: another job is saving it now, or has left an \
                 upload unfinished",
                self.new.key
            ),
            Some("if this stays so, change the key, for instance its prefix"),
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
    async fn finalize(&self, written: &WrittenBlob) -> Result<Entry, StoreError> {
        let (key, version) = (&self.new.key, &self.new.version);
        let facts = BlobFacts {
            size: written.size,
            etag: written.etag.clone(),
            last_modified: written.last_modified,
        };
        let entry = self.connection.entry(self.new.scope.clone(), key.clone(), version.clone(), &facts);
        let service = self.connection.service.until(self.bounds.deadline);
        match service.finalize(key, version, written.size).await {
            Ok(number) => {
                self.connection
                    .client
                    .details()
                    .tell(|| format!("{}: finalized as entry {number}", self.action));
                Ok(entry)
            }
            Err(_) if self.is_served(&facts).await => Ok(entry),
            Err(error) => Err(of_service(&self.action, Access::Write, error)),
        }
    }

    /// Whether the service serves this blob under the name.
    async fn is_served(&self, facts: &BlobFacts) -> bool {
        let found = self.connection.find_exact(&self.new.key, &self.new.version, &self.bounds).await;
        let Ok(Some(Ok(url))) = found.map(|found| found.map(|signed| signed.expose())) else { return false };
        self.connection.facts(&url, &self.bounds).await.is_ok_and(|served| served.etag == facts.etag)
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
        let cutter = std::mem::replace(&mut self.cutter, BlockCutter::new(self.connection.options.blocks));
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
