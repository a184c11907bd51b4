//! A store of objects: a directory, and whatever else the crate `object_store` reaches.
//!
//! How an upload is kept apart until it becomes an entry, and how a dead one is found, is what `upload::Uploads`
//! abstracts; how an entry is listed, leased, marked as used and deleted is what `entries::Entries` does.

#![expect(clippy::disallowed_methods, reason = "entries of a directory store are files")]

mod directory;
mod entries;
mod failure;
mod files;
mod layout;
mod lease;
mod multipart;
mod name;
mod publish;
mod reading;
mod sweep;
mod upload;
mod uses;

#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::ObjectStore as Objects;
use object_store::path::Path as ObjectPath;
use tokio::sync::OnceCell;

use crate::domain::entry::{Entry, EntryId, LookupRequest};

use super::contract::{
    Clock, Commit, Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store,
};
use super::error::{StoreError, StoreErrorKind};
use directory::Directory;
use entries::{Entries, Remote};
use files::Files;
use upload::{Upload, Uploads};

/// A store whose entries are objects; see `layout` for where they lie.
pub struct ObjectStore {
    location: String,
    uploads: Box<dyn Uploads>,
    entries: Arc<dyn Entries>,
    /// Set once the marker was found to be absent or one that we know.
    layout_is_known: OnceCell<()>,
}

impl ObjectStore {
    /// A store in a directory, which is created with its first entry. Several processes may share it, and
    /// several machines if the file system has locks that they share. Nothing is touched yet.
    pub fn in_directory(root: &Path, clock: Clock) -> Self {
        let uploads = Directory::new(root.to_owned(), clock);
        let files = Files::new(root.to_owned(), clock);
        Self::with(root.display().to_string(), Box::new(uploads), Arc::new(files))
    }

    /// A store in a service that has conditional copies; `location` is shown to people.
    pub fn in_service(objects: Arc<dyn Objects>, location: impl Into<String>, clock: Clock) -> Self {
        let location = location.into();
        let uploads = multipart::Multipart::new(Arc::clone(&objects), location.clone(), clock);
        let entries = Remote::new(objects, location.clone());
        Self::with(location, Box::new(uploads), Arc::new(entries))
    }

    fn with(location: String, uploads: Box<dyn Uploads>, entries: Arc<dyn Entries>) -> Self {
        ObjectStore { location, uploads, entries, layout_is_known: OnceCell::new() }
    }

    /// Refuses a store whose layout is another; one without a marker is new.
    async fn check_layout(&self) -> Result<(), StoreError> {
        let check = async || match self.entries.marker().await? {
            None => Ok(()),
            Some(marker) => layout::check_marker(&self.location, &marker),
        };
        self.layout_is_known.get_or_try_init(check).await.copied()
    }

    /// The entries below a folder; what is none is left out.
    async fn entries_below(&self, folder: &ObjectPath) -> Result<Vec<Entry>, StoreError> {
        let listed = self.entries.list(folder).await?;
        Ok(listed.iter().filter_map(|listed| layout::entry_of(&listed.object, listed.used)).collect())
    }

    fn place(&self, path: &ObjectPath) -> String {
        format!("{}/{path}", self.location)
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
        let found = self.entries.open(&path).await?;
        let found = found.filter(|found| layout::id_of(&found.meta) == entry.id);
        let found = found.ok_or_else(|| self.vanished("read", &path))?;
        Ok(reading::stream(found, self.place(&path)))
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        self.check_layout().await?;
        let upload = self.uploads.begin(&new).await?;
        Ok(Box::new(ObjectWriter {
            location: self.location.clone(),
            entries: Arc::clone(&self.entries),
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
        self.entries.delete(&path, id).await
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, StoreError> {
        self.check_layout().await?;
        let with_path = |id: &EntryId| Some((layout::path_of_id(id)?, id.clone()));
        self.entries.leased(ids.iter().filter_map(with_path).collect()).await
    }

    async fn note_use(&self, entry: &Entry) {
        if let (Ok(()), Some(path)) = (self.check_layout().await, layout::path_of_id(&entry.id)) {
            self.entries.note_use(&path, &entry.id).await;
        }
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.check_layout().await?;
        self.entries.sweep().await;
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
    entries: Arc<dyn Entries>,
    path: ObjectPath,
    upload: Box<dyn Upload>,
}

#[async_trait]
impl EntryWriter for ObjectWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.upload.write(chunk).await
    }

    async fn commit(self: Box<Self>) -> Result<Commit, StoreError> {
        let ObjectWriter { location, entries, path, upload } = *self;
        if !upload.publish(&path).await? {
            return Ok(Commit::Exists);
        }
        let place = format!("{location}/{path}");
        let Some(object) = entries.look(&path).await? else {
            let message = format!("cannot look at {place}, which was just created");
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        };
        layout::entry_of(&object, None).map(Commit::Created).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Corrupt, format!("{place} is not the entry that was created"))
        })
    }

    async fn abort(self: Box<Self>) {
        self.upload.abort().await;
    }
}
