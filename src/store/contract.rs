//! The contract that every store keeps.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use futures::stream::BoxStream;

use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

use super::error::StoreError;

/// What tells a store the time, where the store has no clock of its own.
pub type Clock = fn() -> DateTime<Utc>;

/// The bytes of an entry in order, in chunks of any size; they add up to [`Entry::size`].
pub type EntryStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// What an entry to be created will be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The ref it will belong to.
    pub scope: Scope,
    /// Its key.
    pub key: Key,
    /// Its layout and compression.
    pub version: Version,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// The entry is there for everyone.
    Created(Entry),
    /// Another entry has this scope, key and version; it is as it was and nothing was added.
    Exists,
}

/// Which entries to list; everything that is not set matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListFilter {
    /// Only those of this scope.
    pub scope: Option<Scope>,
    /// Only those whose key starts with this.
    pub key_prefix: Option<String>,
    /// Only those of this version.
    pub version: Option<Version>,
}

impl ListFilter {
    /// Whether an entry passes.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.scope.as_ref().is_none_or(|scope| *scope == entry.scope)
            && self.version.as_ref().is_none_or(|version| *version == entry.version)
            && self.key_prefix.as_ref().is_none_or(|prefix| entry.key.as_str().starts_with(prefix))
    }
}

/// What came of deleting an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It was there and is no more.
    Deleted,
    /// It was not there: another has deleted it, or the store evicted it.
    AlreadyGone,
    /// A live process is reading it: it stays.
    InUse,
}

/// What a recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Uploads of dead processes that were removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: ByteSize,
    /// Uploads that were left alone, because their process lives or may live.
    pub kept: u64,
}

/// Where entries live.
///
/// Entries are immutable. Several processes, on several machines where the store is shared, may use one
/// store at the same time. No method changes what it was not asked to change, and an error means that
/// nothing became visible.
#[async_trait]
pub trait Store: Send + Sync {
    /// Where it is, for people: a path or a URL, without secrets.
    fn location(&self) -> String;

    /// The entry that answers a request as [`LookupRequest::choose`] would of a full listing, or none.
    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError>;

    /// Opens an entry for reading.
    ///
    /// [`StoreErrorKind::NotFound`](super::StoreErrorKind::NotFound) if it has vanished, also when
    /// another of the same name has taken its place. A stream that ends has delivered the whole entry. Where
    /// the store has leases, the entry is leased until the stream is dropped or has ended.
    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError>;

    /// Begins an upload. Nothing is visible before [`EntryWriter::commit`].
    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError>;

    /// All entries that pass the filter, in the order of scope, key and version.
    async fn list(&self, filter: &ListFilter) -> Result<Vec<Entry>, StoreError>;

    /// Deletes this very entry; never another that was created under its name since, nor one that is leased.
    async fn delete(&self, id: &EntryId) -> Result<Deletion, StoreError>;

    /// Those of these entries that live processes are reading, as far as the store can tell.
    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, StoreError>;

    /// Notes that an entry is being restored, for [`Entry::last_used_at`], where the store does not note that by
    /// itself. It never fails: a store that can only be read serves all the same.
    async fn note_use(&self, entry: &Entry);

    /// Removes what uploads of dead processes left behind and spares those of live ones.
    async fn recover(&self) -> Result<Recovered, StoreError>;
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    fn location(&self) -> String {
        (**self).location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        (**self).lookup(request).await
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        (**self).read(entry).await
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        (**self).create(new).await
    }

    async fn list(&self, filter: &ListFilter) -> Result<Vec<Entry>, StoreError> {
        (**self).list(filter).await
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, StoreError> {
        (**self).delete(id).await
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, StoreError> {
        (**self).leased(ids).await
    }

    async fn note_use(&self, entry: &Entry) {
        (**self).note_use(entry).await;
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        (**self).recover().await
    }
}

/// An upload in progress. Dropped without a commit, it leaves nothing visible and removes what it can.
#[async_trait]
pub trait EntryWriter: Send {
    /// Adds bytes at the end. After an error only aborting makes sense, also where the kind is
    /// [`StoreErrorKind::Exists`](super::StoreErrorKind::Exists): there is no use in sending the rest.
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// Makes the entry visible, whole and at once, unless its name is taken. After an error it is not
    /// visible, as far as the store can tell.
    async fn commit(self: Box<Self>) -> Result<Commit, StoreError>;

    /// Gives the upload up and removes its bytes.
    async fn abort(self: Box<Self>);
}

/// What can be said in terms of [`Store`], for tests and short entries.
#[async_trait]
pub trait StoreExt: Store {
    /// Creates an entry of bytes in memory.
    async fn put(&self, new: NewEntry, bytes: Bytes) -> Result<Commit, StoreError> {
        let mut writer = self.create(new).await?;
        if let Err(error) = writer.write(bytes).await {
            writer.abort().await;
            return Err(error);
        }
        writer.commit().await
    }

    /// The whole of an entry, in memory.
    async fn get(&self, entry: &Entry) -> Result<Bytes, StoreError> {
        let mut stream = self.read(entry).await?;
        let mut whole = BytesMut::new();
        while let Some(chunk) = stream.try_next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The entry of exactly this scope, key and version.
    async fn find(&self, scope: &Scope, key: &Key, version: &Version) -> Result<Option<Entry>, StoreError> {
        let request = LookupRequest {
            exact: false,
            key: key.clone(),
            restore_keys: Vec::new(),
            version: version.clone(),
            scopes: vec![scope.clone()],
        };
        Ok(self.lookup(&request).await?.filter(|entry| entry.key == *key))
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
