//! What differs between stores of objects once an entry is there: how it is found, read and deleted, and who knows
//! that it is being read and when it was used.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::domain::entry::EntryId;
use crate::store::contract::Deletion;
use crate::store::error::{Access, StoreError};

use super::failure::store_error;
use super::layout;
use super::reading::{Opened, Payload};

/// An object among the entries.
pub(super) struct Listed {
    /// What it is; whether it is an entry is told by its path.
    pub(super) object: ObjectMeta,
    /// When it was used last, where that was noted.
    pub(super) used: Option<DateTime<Utc>>,
}

/// The entries of a store.
#[async_trait]
pub(super) trait Entries: Send + Sync {
    /// The marker of the store's layout; none where nothing was ever saved.
    async fn marker(&self) -> Result<Option<Bytes>, StoreError>;

    /// The objects below a folder, in any order, all of them.
    async fn list(&self, folder: &Path) -> Result<Vec<Listed>, StoreError>;

    /// What is at a path now.
    async fn look(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError>;

    /// Opens what is at a path. It is leased, where there are leases, until its payload is dropped.
    async fn open(&self, path: &Path) -> Result<Option<Opened>, StoreError>;

    /// Deletes what is at a path if it is this very entry and nobody reads it.
    async fn delete(&self, path: &Path, id: &EntryId) -> Result<Deletion, StoreError>;

    /// Those of these entries that live processes read.
    async fn leased(&self, entries: Vec<(Path, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError>;

    /// Notes that this very entry is used now, if that can be noted.
    async fn note_use(&self, path: &Path, id: &EntryId);

    /// Removes what notes of entries that are gone were left behind.
    async fn sweep(&self);
}

/// Entries in a service: it has neither leases nor notes of uses. A service serves a request that has begun.
pub(super) struct Remote {
    objects: Arc<dyn ObjectStore>,
    location: String,
}

impl Remote {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, location: String) -> Self {
        Remote { objects, location }
    }

    fn error(&self, action: &str, path: &Path, access: Access, error: object_store::Error) -> StoreError {
        store_error(action, &format!("{}/{path}", self.location), access, error)
    }
}

#[async_trait]
impl Entries for Remote {
    async fn marker(&self) -> Result<Option<Bytes>, StoreError> {
        let path = Path::from(layout::MARKER);
        let failed = |error| self.error("read", &path, Access::Read, error);
        match self.objects.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            found => found.map_err(failed)?.bytes().await.map(Some).map_err(failed),
        }
    }

    async fn list(&self, folder: &Path) -> Result<Vec<Listed>, StoreError> {
        // A stream may end at its first error: going on would take a part for the whole.
        let objects: Vec<ObjectMeta> = self
            .objects
            .list(Some(folder))
            .try_collect()
            .await
            .map_err(|error| self.error("list", folder, Access::Read, error))?;
        Ok(objects.into_iter().map(|object| Listed { object, used: None }).collect())
    }

    async fn look(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        match self.objects.head(path).await {
            Ok(object) => Ok(Some(object)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("look at", path, Access::Read, error)),
        }
    }

    async fn open(&self, path: &Path) -> Result<Option<Opened>, StoreError> {
        match self.objects.get(path).await {
            Ok(found) => {
                let meta = found.meta.clone();
                Ok(Some(Opened { meta, payload: Payload::Stream(found.into_stream()) }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read", path, Access::Read, error)),
        }
    }

    async fn delete(&self, path: &Path, id: &EntryId) -> Result<Deletion, StoreError> {
        match self.look(path).await? {
            Some(object) if layout::id_of(&object) == *id => {}
            _ => return Ok(Deletion::AlreadyGone),
        }
        match self.objects.delete(path).await {
            Ok(()) => Ok(Deletion::Deleted),
            Err(object_store::Error::NotFound { .. }) => Ok(Deletion::AlreadyGone),
            Err(error) => Err(self.error("delete", path, Access::Write, error)),
        }
    }

    async fn leased(&self, _entries: Vec<(Path, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError> {
        Ok(BTreeSet::new())
    }

    async fn note_use(&self, _path: &Path, _id: &EntryId) {}

    async fn sweep(&self) {}
}
