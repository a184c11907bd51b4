//! What a backend provides: objects at paths, and uploads that become objects in one step.

use std::collections::BTreeSet;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::domain::entry::EntryId;
use crate::store::catalog::{Deletion, Recovered};
use crate::store::contract::{EntryStream, NewEntry, picked, within};
use crate::store::error::StoreError;

/// An object of the store; its path shows whether it is an entry.
pub struct Listed {
    /// The object.
    pub object: ObjectMeta,
    /// When it was last used; `None` if no use was recorded.
    pub used: Option<DateTime<Utc>>,
}

/// An object that was opened for reading.
pub struct OpenedObject {
    /// The object.
    pub object: ObjectMeta,
    /// Its bytes; fails unless they add up to the object's size. Where the backend has leases, the object is
    /// leased until the stream is dropped or has ended.
    pub bytes: EntryStream,
}

/// Where objects lie: a [directory](crate::store::directory::Directory), or an [object service](crate::store::remote).
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// A path or a URL for messages, without secrets.
    fn location(&self) -> String;

    /// The contents of the layout file; `None` if nothing was ever saved.
    async fn layout_file(&self) -> Result<Option<Bytes>, StoreError>;

    /// All objects below a directory, in any order.
    async fn list(&self, directory: &Path) -> Result<Vec<Listed>, StoreError>;

    /// The object at a path.
    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError>;

    /// Opens the object at a path.
    async fn open(&self, path: &Path) -> Result<Option<OpenedObject>, StoreError>;

    /// Parts of the object at a path, each within its size.
    async fn parts(
        &self,
        path: &Path,
        parts: &[Range<u64>],
    ) -> Result<Option<(ObjectMeta, Vec<Bytes>)>, StoreError> {
        let Some(OpenedObject { object, bytes }) = self.open(path).await? else { return Ok(None) };
        Ok(Some((object, picked(bytes, parts).await?)))
    }

    /// Opens ranges of the object at a path, in ascending order and each within its size.
    async fn ranges(&self, path: &Path, ranges: Vec<Range<u64>>) -> Result<Option<OpenedObject>, StoreError> {
        let opened = self.open(path).await?;
        Ok(opened.map(|OpenedObject { object, bytes }| OpenedObject { object, bytes: within(bytes, ranges) }))
    }

    /// Whether all that arrives is compared with a checksum of what was sent. What the service answers to an upload may show that it is not:
    /// to be asked after one.
    fn checks_uploads(&self) -> bool {
        false
    }

    /// Deletes the object at a path if it is the entry with this id and no process reads it.
    async fn delete(&self, path: &Path, id: &EntryId) -> Result<Deletion, StoreError>;

    /// The entries among these that live processes read; empty where the backend has no leases.
    async fn leased(&self, entries: Vec<(Path, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError>;

    /// Records that the entry with this id at a path is used now, if the backend can.
    async fn note_use(&self, path: &Path, id: &EntryId);

    /// How long after a recorded use an entry may still be read, where no lease shows it.
    fn read_for(&self) -> TimeDelta {
        TimeDelta::zero()
    }

    /// Begins an upload of an entry that will lie at `target`; it is not visible there before it is published.
    /// Writes the layout file first if the store has none.
    async fn begin_upload(&self, new: &NewEntry, target: &Path) -> Result<Box<dyn Upload>, StoreError>;

    /// Removes what dead processes left behind.
    async fn recover(&self) -> Result<Recovered, StoreError>;
}

/// An upload in progress. Dropping it removes its bytes, as far as that can be done at once.
#[async_trait]
pub trait Upload: Send {
    /// Adds bytes at the end.
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// Makes the bytes the object at its target, in one step; returns `false` if there is an object already.
    async fn publish(self: Box<Self>) -> Result<bool, StoreError>;

    /// Removes the bytes.
    async fn abort(self: Box<Self>);
}
