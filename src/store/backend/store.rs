//! A store over a backend.

use crate::domain::entry_filter::EntryFilter;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use tokio::sync::OnceCell;

use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::scope::Section;
use crate::store::catalog::{Catalog, CatalogError, Deletion, Recovered, Survey, SurveyRequest, surveyed};
use crate::store::contract::{Commit, EntryStream, EntryWriter, NewEntry, Store};
use crate::store::error::{StoreError, StoreErrorKind};

use super::layout::{self, Viewpoint};
use super::operations::{Backend, Upload};

/// A store whose entries are the objects of a backend.
pub struct BackendStore<B> {
    backend: Arc<B>,
    view: Viewpoint,
    /// Set once the layout file was found to be absent or of the layout that this version writes.
    layout_is_known: OnceCell<()>,
}

impl<B: Backend> BackendStore<B> {
    /// A store over this backend, as it is seen from here. Does no I/O.
    pub fn over(backend: B, view: Viewpoint) -> Self {
        BackendStore { backend: Arc::new(backend), view, layout_is_known: OnceCell::new() }
    }

    /// Fails if the store has another layout; a store without a layout file is new.
    async fn check_layout(&self) -> Result<(), StoreError> {
        let check = async || match self.backend.layout_file().await? {
            None => Ok(()),
            Some(text) => layout::check(&self.backend.location(), &text),
        };
        self.layout_is_known.get_or_try_init(check).await.copied()
    }

    /// The entries below a directory; other objects are ignored.
    async fn entries_below(&self, directory: &Path) -> Result<Vec<Entry>, StoreError> {
        let listed = self.backend.list(directory).await?;
        Ok(listed.iter().filter_map(|listed| self.view.entry_of(&listed.object, listed.used)).collect())
    }

    fn vanished(&self, path: &Path) -> StoreError {
        let message = format!("cannot read {}/{path}", self.backend.location());
        StoreError::new(StoreErrorKind::NotFound, message)
    }

    /// The path in the id of an entry of this store.
    fn path_of(&self, id: &EntryId) -> Result<(Path, Section), StoreError> {
        self.view.path_of_id(id).ok_or_else(|| {
            let message =
                format!("`{id}` is not the id of an entry of the store at {}", self.backend.location());
            StoreError::new(StoreErrorKind::Other, message)
        })
    }
}

#[async_trait]
impl<B: Backend> Store for BackendStore<B> {
    fn location(&self) -> String {
        self.backend.location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        self.check_layout().await?;
        for scope in &request.scopes {
            let entries = self.entries_below(&self.view.directory(scope, Some(&request.version))).await?;
            // Scopes are in order of precedence: after a match the later ones need not be listed.
            if let Some(entry) = request.choose(&entries) {
                return Ok(Some(entry.clone()));
            }
        }
        Ok(None)
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        self.check_layout().await?;
        let (path, _) = self.path_of(&entry.id)?;
        let opened = self.backend.open(&path).await?;
        let opened = opened.filter(|opened| layout::id_of(&opened.object) == entry.id);
        Ok(opened.ok_or_else(|| self.vanished(&path))?.bytes)
    }

    async fn read_parts(&self, entry: &Entry, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        self.check_layout().await?;
        let (path, _) = self.path_of(&entry.id)?;
        let found = self.backend.parts(&path, parts).await?;
        let found = found.filter(|(object, _)| layout::id_of(object) == entry.id);
        let (object, parts) = found.ok_or_else(|| self.vanished(&path))?;
        if object.size == entry.size.0 {
            return Ok(parts);
        }
        let message = format!("{}/{path} has {} bytes", self.backend.location(), object.size);
        Err(StoreError::new(StoreErrorKind::Corrupt, message))
    }

    async fn read_ranges(&self, entry: &Entry, ranges: Vec<Range<u64>>) -> Result<EntryStream, StoreError> {
        self.check_layout().await?;
        let (path, _) = self.path_of(&entry.id)?;
        let opened = self.backend.ranges(&path, ranges).await?;
        let opened = opened.filter(|opened| layout::id_of(&opened.object) == entry.id);
        Ok(opened.ok_or_else(|| self.vanished(&path))?.bytes)
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        self.check_layout().await?;
        let path = self.view.entry_path(&new);
        let upload = self.backend.begin_upload(&new, &path).await?;
        let backend = Arc::clone(&self.backend);
        Ok(Box::new(BackendWriter { backend, view: self.view.clone(), path, upload }))
    }

    async fn note_use(&self, entry: &Entry) {
        if let (Ok(()), Ok((path, _))) = (self.check_layout().await, self.path_of(&entry.id)) {
            self.backend.note_use(&path, &entry.id).await;
        }
    }
}

#[async_trait]
impl<B: Backend> Catalog for BackendStore<B> {
    fn location(&self) -> String {
        self.backend.location()
    }

    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        self.check_layout().await?;
        let directories = match &filter.scope {
            Some(scope) => vec![self.view.directory(scope, filter.version.as_ref())],
            None => self.view.directories(),
        };
        let mut entries = Vec::new();
        for directory in directories {
            entries.extend(self.entries_below(&directory).await?);
        }
        entries.retain(|entry| self.view.sees(entry.scope.section()) && filter.matches(entry));
        entries.sort_by(|one, other| {
            (&one.scope, &one.key, &one.version).cmp(&(&other.scope, &other.key, &other.version))
        });
        Ok(entries)
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError> {
        self.check_layout().await?;
        let (path, section) = self.path_of(id)?;
        if !self.view.sees(&section) {
            let message = format!("`{path}` is not an entry of {}", self.view.own);
            return Err(StoreError::new(StoreErrorKind::Other, message).into());
        }
        Ok(self.backend.delete(&path, id).await?)
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        self.check_layout().await?;
        let with_path = |id: &EntryId| Some((self.view.path_of_id(id)?.0, id.clone()));
        Ok(self.backend.leased(ids.iter().filter_map(with_path).collect()).await?)
    }

    async fn recover(&self) -> Result<Recovered, CatalogError> {
        self.check_layout().await?;
        Ok(self.backend.recover().await?)
    }

    /// Where no lease shows who reads, an entry that was used a moment ago counts as being read.
    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, CatalogError> {
        let mut survey = surveyed(self, request).await?;
        let since = request.now - self.backend.read_for();
        let entries = &survey.facts.entries;
        let read: Vec<EntryId> = entries
            .iter()
            .filter(|entry| entry.last_used_at.is_some_and(|used| used > since))
            .map(|entry| entry.id.clone())
            .collect();
        survey.facts.leases.extend(read);
        Ok(survey)
    }
}

struct BackendWriter<B> {
    backend: Arc<B>,
    view: Viewpoint,
    path: Path,
    upload: Box<dyn Upload>,
}

#[async_trait]
impl<B: Backend> EntryWriter for BackendWriter<B> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.upload.write(chunk).await
    }

    async fn commit(self: Box<Self>) -> Result<Commit, StoreError> {
        let BackendWriter { backend, view, path, upload } = *self;
        if !upload.publish().await? {
            return Ok(Commit::Exists);
        }
        let place = format!("{}/{path}", backend.location());
        let Some(object) = backend.head(&path).await? else {
            let message = format!("cannot look at {place}, which was just created");
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        };
        let entry = view.entry_of(&object, None).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Corrupt, format!("{place} is not the entry that was created"))
        })?;
        Ok(Commit::Created { entry, is_checked: backend.checks_uploads() })
    }

    async fn abort(self: Box<Self>) {
        self.upload.abort().await;
    }
}
