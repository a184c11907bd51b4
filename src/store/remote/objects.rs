//! Entries that are objects of a service.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::sync::OnceCell;

use crate::domain::entry::EntryId;
use crate::domain::unit::ByteSize;
use crate::store::backend::layout;
use crate::store::backend::operations::{Backend, Listed, OpenedObject, Upload};
use crate::store::catalog::{Deletion, Recovered};
use crate::store::contract::{Clock, NewEntry};
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::failure::store_error;
use super::http::Requests;
use super::reading::{self, Source};
use super::upload::{PartService, PartUpload};

/// The age in hours at which an upload counts as dead: jobs of the known platforms do not run for longer.
const ABANDONED_AFTER_HOURS: i64 = 24;

/// How long after its use was recorded an entry counts as being read: a restore may last that long.
const READ_FOR: TimeDelta = TimeDelta::hours(1);

/// The objects of a service.
pub struct Remote {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) uploads: Arc<dyn PartService>,
    pub(super) requests: Requests,
    pub(super) location: String,
    pub(super) clock: Clock,
    /// Set once the service has refused to create an object that exists.
    pub(super) obeys_conditions: OnceCell<()>,
}

impl Remote {
    fn place(&self, path: &Path) -> String {
        format!("{}/{path}", self.location)
    }

    fn error(&self, action: &str, path: &Path, access: Access, error: &object_store::Error) -> StoreError {
        store_error(action, &self.place(path), access, error)
    }

    fn source(&self, path: &Path) -> Source {
        let (objects, requests) = (Arc::clone(&self.objects), self.requests.clone());
        Source { objects, requests, place: self.place(path) }
    }

    fn upload(&self, target: &Path) -> Box<PartUpload> {
        let (service, objects) = (Arc::clone(&self.uploads), Arc::clone(&self.objects));
        Box::new(PartUpload::new(service, objects, self.requests.clone(), self.place(target), target.clone()))
    }

    /// Creates the layout file in the way in which entries are created; `false` if there is one.
    async fn create_layout_file(&self) -> Result<bool, StoreError> {
        let mut upload = self.upload(&Path::from(layout::LAYOUT_FILE));
        upload.write(layout::layout_text().into()).await?;
        upload.publish().await
    }

    /// Fails if the service ignores the condition that keeps an entry from being overwritten: it must refuse to create
    /// the layout file twice. Where this user may not write the layout file and there is one, its creator has tested
    /// the service.
    async fn check_conditions(&self) -> Result<(), StoreError> {
        for _ in 0..2 {
            match self.create_layout_file().await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.kind() == StoreErrorKind::Denied(Access::Write) => {
                    return if self.layout_file().await?.is_some() { Ok(()) } else { Err(error) };
                }
                Err(error) => return Err(error),
            }
        }
        let message = format!(
            "cannot save to {}: the service overwrites an object although it was asked to create it only if there is none",
            self.location
        );
        Err(StoreError::new(StoreErrorKind::Unsupported, message))
    }

    /// All objects below a directory.
    async fn listed(&self, directory: &Path) -> Result<Vec<ObjectMeta>, StoreError> {
        // A stream may end at its first error: the objects before it are not the whole list.
        let objects: Result<Vec<_>, _> =
            self.objects.list(Some(directory)).map_ok(in_seconds).try_collect().await;
        objects.map_err(|error| self.error("list", directory, Access::Read, &error))
    }

    /// Deletes an object; `false` if it did not exist.
    async fn remove(&self, path: &Path) -> Result<bool, StoreError> {
        match self.objects.delete(path).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.error("delete", path, Access::Write, &error)),
        }
    }

    fn is_abandoned(&self, since: DateTime<Utc>) -> bool {
        (self.clock)() - since >= TimeDelta::hours(ABANDONED_AFTER_HOURS)
    }

    /// Aborts old multipart uploads, whose parts are stored although no list of objects shows them.
    async fn recover_multiparts(&self, recovered: &mut Recovered) {
        let Some(multipart) = self.uploads.multipart() else { return };
        match multipart.unfinished().await {
            Ok(unfinished) => {
                for upload in unfinished {
                    if self.is_abandoned(upload.begun_at) {
                        multipart.abort(&upload.path, &upload.id).await;
                        recovered.removed += 1;
                    } else {
                        recovered.kept += 1;
                    }
                }
            }
            Err(error) => recovered.refused.push(format!(
                "{error}; parts that were never completed cost money until a lifecycle rule of the bucket aborts them"
            )),
        }
    }

    /// Removes old objects below `uploads`.
    async fn recover_objects(&self, recovered: &mut Recovered) -> Result<(), StoreError> {
        for upload in self.listed(&Path::from(layout::UPLOADS)).await? {
            if !self.is_abandoned(upload.last_modified) {
                recovered.kept += 1;
            } else if self.remove(&upload.location).await? {
                recovered.removed += 1;
                recovered.removed_bytes = ByteSize(recovered.removed_bytes.0 + upload.size);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Backend for Remote {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn layout_file(&self) -> Result<Option<Bytes>, StoreError> {
        let path = Path::from(layout::LAYOUT_FILE);
        let failed = |error| self.error("read", &path, Access::Read, &error);
        match self.objects.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            found => found.map_err(failed)?.bytes().await.map(Some).map_err(failed),
        }
    }

    async fn list(&self, directory: &Path) -> Result<Vec<Listed>, StoreError> {
        let objects = self.listed(directory).await?;
        let used: HashMap<&str, DateTime<Utc>> = objects
            .iter()
            .filter(|object| layout::is_use_file(object.location.as_ref()))
            .map(|object| (object.location.as_ref(), object.last_modified))
            .collect();
        let used_at = |object: &ObjectMeta| {
            let used = used.get(layout::use_file_path(&object.location)?.as_str()).copied();
            // An older one is that of an entry that had this name before.
            used.filter(|used| *used >= object.last_modified)
        };
        Ok(objects.iter().map(|object| Listed { object: object.clone(), used: used_at(object) }).collect())
    }

    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, StoreError> {
        match self.objects.head(path).await {
            Ok(object) => Ok(Some(in_seconds(object))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("look at", path, Access::Read, &error)),
        }
    }

    async fn open(&self, path: &Path) -> Result<Option<OpenedObject>, StoreError> {
        let Some(object) = self.head(path).await? else { return Ok(None) };
        let bytes = reading::stream(&self.source(path), &object);
        Ok(Some(OpenedObject { object, bytes }))
    }

    async fn parts(
        &self,
        path: &Path,
        parts: &[Range<u64>],
    ) -> Result<Option<(ObjectMeta, Vec<Bytes>)>, StoreError> {
        let Some(object) = self.head(path).await? else { return Ok(None) };
        let source = self.source(path);
        let mut read = Vec::with_capacity(parts.len());
        for part in parts {
            let bytes = if part.is_empty() {
                Bytes::new()
            } else {
                source.range(&object, part.start, part.end).await?
            };
            read.push(bytes);
        }
        Ok(Some((object, read)))
    }

    async fn ranges(&self, path: &Path, ranges: Vec<Range<u64>>) -> Result<Option<OpenedObject>, StoreError> {
        let Some(object) = self.head(path).await? else { return Ok(None) };
        let bytes = reading::ranges(&self.source(path), &object, ranges);
        Ok(Some(OpenedObject { object, bytes }))
    }

    fn checks_uploads(&self) -> bool {
        self.uploads.checks()
    }

    async fn delete(&self, path: &Path, id: &EntryId) -> Result<Deletion, StoreError> {
        match self.head(path).await? {
            Some(object) if layout::id_of(&object) == *id => {}
            _ => return Ok(Deletion::AlreadyGone),
        }
        if !self.remove(path).await? {
            return Ok(Deletion::AlreadyGone);
        }
        if let Some(use_file) = layout::use_file_path(path) {
            // If this fails, the use file of the next entry of this name is older than the entry.
            let _ = self.remove(&Path::from(use_file)).await;
        }
        Ok(Deletion::Deleted)
    }

    async fn leased(&self, _entries: Vec<(Path, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError> {
        Ok(BTreeSet::new())
    }

    fn read_for(&self) -> TimeDelta {
        READ_FOR
    }

    /// Writes the use file, whose time is set by the service.
    async fn note_use(&self, path: &Path, _id: &EntryId) {
        if let Some(use_file) = layout::use_file_path(path) {
            let _ = self.objects.put(&Path::from(use_file), PutPayload::new()).await;
        }
    }

    async fn begin_upload(&self, _new: &NewEntry, target: &Path) -> Result<Box<dyn Upload>, StoreError> {
        self.obeys_conditions.get_or_try_init(|| self.check_conditions()).await?;
        Ok(self.upload(target))
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        let mut recovered = Recovered::default();
        self.recover_multiparts(&mut recovered).await;
        self.recover_objects(&mut recovered).await?;
        Ok(recovered)
    }
}

/// Some answers give the time of an object in seconds, others in milliseconds.
fn in_seconds(object: ObjectMeta) -> ObjectMeta {
    ObjectMeta { last_modified: object.last_modified.trunc_subsecs(0), ..object }
}
