//! A store of objects: a directory, and whatever else the crate `object_store` reaches.
//!
//! Looking up, reading, listing and deleting are the same everywhere; how an upload is kept apart until it
//! becomes an entry, and how a dead one is found, is what `upload::Uploads` abstracts.

mod directory;
mod failure;
mod layout;
mod multipart;
mod name;
mod publish;
mod reading;
mod sweep;
mod upload;

#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore as Objects, ObjectStoreExt};
use tokio::sync::OnceCell;

use crate::domain::entry::{Entry, EntryId, LookupRequest};

use super::contract::{
    Clock, Commit, Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store,
};
use super::error::{Access, StoreError, StoreErrorKind};
use failure::store_error;
use upload::{Upload, Uploads};

/// A store whose entries are objects; see `layout` for where they lie.
pub struct ObjectStore {
    location: String,
    objects: Arc<dyn Objects>,
    uploads: Box<dyn Uploads>,
    /// Set once the marker was found to be absent or one that we know.
    layout_is_known: OnceCell<()>,
}

impl ObjectStore {
    /// A store in a directory, which is made if it is not there. Several processes may share it, and
    /// several machines if the file system has locks that they share.
    pub async fn in_directory(root: &Path, clock: Clock) -> Result<Self, StoreError> {
        let (objects, uploads) = directory::open(root, clock).await?;
        Ok(Self::with(root.display().to_string(), Arc::new(objects), Box::new(uploads)))
    }

    /// A store in a service that has conditional copies; `location` is shown to people.
    pub fn in_service(objects: Arc<dyn Objects>, location: impl Into<String>, clock: Clock) -> Self {
        let location = location.into();
        let uploads = multipart::Multipart::new(Arc::clone(&objects), location.clone(), clock);
        Self::with(location, objects, Box::new(uploads))
    }

    fn with(location: String, objects: Arc<dyn Objects>, uploads: Box<dyn Uploads>) -> Self {
        ObjectStore { location, objects, uploads, layout_is_known: OnceCell::new() }
    }

    /// Refuses a store whose layout is another; one without a marker is new.
    async fn check_layout(&self) -> Result<(), StoreError> {
        let check = async || {
            let path = ObjectPath::from(layout::MARKER);
            match self.objects.get(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.error("read", &path, Access::Read, error)),
                Ok(found) => {
                    let marker = found
                        .bytes()
                        .await
                        .map_err(|error| self.error("read", &path, Access::Read, error))?;
                    layout::check_marker(&self.location, &marker)
                }
            }
        };
        self.layout_is_known.get_or_try_init(check).await.copied()
    }

    /// The entries below a folder; what is none is left out.
    async fn entries_below(&self, folder: &ObjectPath) -> Result<Vec<Entry>, StoreError> {
        let mut objects = self.objects.list(Some(folder));
        let mut entries = Vec::new();
        loop {
            match objects.try_next().await {
                Ok(Some(object)) => entries.extend(layout::entry_of(&object)),
                Ok(None) => return Ok(entries),
                // Something with a name that we never give, or something that vanished just now.
                Err(object_store::Error::InvalidPath { .. } | object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.error("list", folder, Access::Read, error)),
            }
        }
    }

    /// What is at a path now; `None` if nothing is.
    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectMeta>, StoreError> {
        match self.objects.head(path).await {
            Ok(object) => Ok(Some(object)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("look at", path, Access::Read, error)),
        }
    }

    fn place(&self, path: &ObjectPath) -> String {
        format!("{}/{path}", self.location)
    }

    fn error(
        &self,
        action: &str,
        path: &ObjectPath,
        access: Access,
        error: object_store::Error,
    ) -> StoreError {
        store_error(action, &self.place(path), access, error)
    }

    fn vanished(&self, action: &str, path: &ObjectPath) -> StoreError {
        StoreError::new(StoreErrorKind::NotFound, format!("cannot {action} {}", self.place(path)))
    }
}

#[async_trait]
impl Store for ObjectStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        self.check_layout().await?;
        for scope in &request.scopes {
            let entries = self.entries_below(&layout::folder(scope, Some(&request.version))).await?;
            // An answer in this scope is the answer: later scopes need not be listed.
            if let Some(entry) = request.choose(&entries) {
                return Ok(Some(entry.clone()));
            }
        }
        Ok(None)
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        self.check_layout().await?;
        let path = layout::path_of_id(&entry.id).ok_or_else(|| not_ours(&self.location, &entry.id))?;
        let found =
            self.objects.get(&path).await.map_err(|error| self.error("read", &path, Access::Read, error))?;
        if layout::id_of(&found.meta) != entry.id {
            return Err(self.vanished("read", &path));
        }
        Ok(reading::stream(found, self.place(&path)))
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        self.check_layout().await?;
        let upload = self.uploads.begin(&new).await?;
        Ok(Box::new(ObjectWriter {
            location: self.location.clone(),
            objects: Arc::clone(&self.objects),
            path: layout::entry_path(&new),
            upload,
        }))
    }

    async fn list(&self, filter: &ListFilter) -> Result<Vec<Entry>, StoreError> {
        self.check_layout().await?;
        let folder = match &filter.scope {
            Some(scope) => layout::folder(scope, filter.version.as_ref()),
            None => ObjectPath::from(layout::ENTRIES),
        };
        let mut entries = self.entries_below(&folder).await?;
        entries.retain(|entry| filter.matches(entry));
        entries.sort_by(|one, other| {
            (&one.scope, &one.key, &one.version).cmp(&(&other.scope, &other.key, &other.version))
        });
        Ok(entries)
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, StoreError> {
        self.check_layout().await?;
        let path = layout::path_of_id(id).ok_or_else(|| not_ours(&self.location, id))?;
        match self.head(&path).await? {
            Some(object) if layout::id_of(&object) == *id => {}
            _ => return Ok(Deletion::AlreadyGone),
        }
        match self.objects.delete(&path).await {
            Ok(()) => {
                self.uploads.deleted(&path).await;
                Ok(Deletion::Deleted)
            }
            Err(object_store::Error::NotFound { .. }) => Ok(Deletion::AlreadyGone),
            Err(error) => Err(self.error("delete", &path, Access::Write, error)),
        }
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.check_layout().await?;
        self.uploads.recover().await
    }
}

fn not_ours(location: &str, id: &EntryId) -> StoreError {
    StoreError::new(
        StoreErrorKind::Other,
        format!("`{id}` is not the id of an entry of the store at {location}"),
    )
}

struct ObjectWriter {
    location: String,
    objects: Arc<dyn Objects>,
    path: ObjectPath,
    upload: Box<dyn Upload>,
}

#[async_trait]
impl EntryWriter for ObjectWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.upload.write(chunk).await
    }

    async fn commit(self: Box<Self>) -> Result<Commit, StoreError> {
        let ObjectWriter { location, objects, path, upload } = *self;
        if !upload.publish(&path).await? {
            return Ok(Commit::Exists);
        }
        let place = || format!("{location}/{path}");
        let object = objects
            .head(&path)
            .await
            .map_err(|error| store_error("look at", &place(), Access::Read, error))?;
        layout::entry_of(&object).map(Commit::Created).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Corrupt, format!("{} is not the entry that was created", place()))
        })
    }

    async fn abort(self: Box<Self>) {
        self.upload.abort().await;
    }
}
