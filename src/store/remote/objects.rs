//! Entries that are objects of a service.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::domain::entry::EntryId;
use crate::store::backend::layout;
use crate::store::backend::operations::{Backend, Listed, Opened, Upload};
use crate::store::catalog::{Deletion, Recovered};
use crate::store::contract::{Clock, NewEntry};
use crate::store::error::{Access, StoreError};

use super::failure::store_error;
use super::multipart::Multipart;
use super::reading::checked;

/// The objects of a service.
pub struct Remote {
    service: Arc<dyn ObjectStore>,
    location: String,
    uploads: Multipart,
}

impl Remote {
    pub(super) fn new(service: Arc<dyn ObjectStore>, location: String, clock: Clock) -> Self {
        let uploads = Multipart::new(Arc::clone(&service), location.clone(), clock);
        Remote { service, location, uploads }
    }

    fn place(&self, path: &Path) -> String {
        format!("{}/{path}", self.location)
    }

    fn error(&self, action: &str, path: &Path, access: Access, error: object_store::Error) -> StoreError {
        store_error(action, &self.place(path), access, error)
    }
}

#[async_trait]
impl Backend for Remote {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn layout_file(&self) -> Result<Option<Bytes>, StoreError> {
        let path = Path::from(layout::LAYOUT_FILE);
        let failed = |error| self.error("read", &path, Access::Read, error);
        match self.service.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            found => found.map_err(failed)?.bytes().await.map(Some).map_err(failed),
        }
    }

    async fn list(&self, directory: &Path) -> Result<Vec<Listed>, StoreError> {
        // A stream may end at its first error: the objects before it are not the whole list.
        let objects: Vec<ObjectMeta> = self
            .service
            .list(Some(directory))
            .try_collect()
            .await
            .map_err(|error| self.error("list", directory, Access::Read, error))?;
        Ok(objects.into_iter().map(|object| Listed { object, used: None }).collect())
    }

    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        match self.service.head(path).await {
            Ok(object) => Ok(Some(object)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("look at", path, Access::Read, error)),
        }
    }

    async fn open(&self, path: &Path) -> Result<Option<Opened>, StoreError> {
        match self.service.get(path).await {
            Ok(found) => {
                let object = found.meta.clone();
                let place = self.place(path);
                let context = place.clone();
                let chunks = found
                    .into_stream()
                    .map_err(move |error| store_error("read", &context, Access::Read, error));
                let bytes = checked(chunks.boxed(), object.size, place);
                Ok(Some(Opened { object, bytes }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read", path, Access::Read, error)),
        }
    }

    async fn delete(&self, path: &Path, id: &EntryId) -> Result<Deletion, StoreError> {
        match self.head(path).await? {
            Some(object) if layout::id_of(&object) == *id => {}
            _ => return Ok(Deletion::AlreadyGone),
        }
        match self.service.delete(path).await {
            Ok(()) => Ok(Deletion::Deleted),
            Err(object_store::Error::NotFound { .. }) => Ok(Deletion::AlreadyGone),
            Err(error) => Err(self.error("delete", path, Access::Write, error)),
        }
    }

    async fn leased(&self, _entries: Vec<(Path, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError> {
        Ok(BTreeSet::new())
    }

    async fn note_use(&self, _path: &Path, _id: &EntryId) {}

    async fn begin_upload(&self, _new: &NewEntry) -> Result<Box<dyn Upload>, StoreError> {
        self.uploads.begin().await
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.uploads.recover().await
    }
}
