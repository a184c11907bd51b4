//! Uploads to a service: in parts to an object of their own, which becomes the entry by a conditional copy.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};

use crate::domain::unit::ByteSize;
use crate::store::catalog::Recovered;
use crate::store::contract::Clock;
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::failure::store_error;
use crate::store::backend::layout;
use crate::store::backend::operations::Upload;

/// The size of a part in bytes. Services accept 10 000 parts, so that an upload may have 78 GiB.
const PART: usize = 8 << 20;

/// Upper bound for the parts in flight at once.
const PARTS_AT_ONCE: usize = 4;

/// The age in hours at which an upload counts as dead: jobs of the known platforms do not run for longer.
const ABANDONED_AFTER_HOURS: i64 = 24;

/// The uploads to a service.
pub(super) struct Multipart {
    objects: Arc<dyn ObjectStore>,
    location: String,
    clock: Clock,
}

impl Multipart {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, location: String, clock: Clock) -> Self {
        Multipart { objects, location, clock }
    }

    fn place(&self, path: &Path) -> String {
        format!("{}/{path}", self.location)
    }

    /// Writes the layout file if the store has none.
    async fn write_layout_file(&self) -> Result<(), StoreError> {
        let path = Path::from(layout::LAYOUT_FILE);
        let text = PutPayload::from(layout::layout_text().into_bytes());
        match self.objects.put_opts(&path, text, PutMode::Create.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(store_error("create", &self.place(&path), Access::Write, error)),
        }
    }

    /// Begins an upload to an object of its own.
    pub(super) async fn begin(&self) -> Result<Box<dyn Upload>, StoreError> {
        self.write_layout_file().await?;
        let path = Path::from(format!("{}/{:032x}", layout::UPLOADS, rand::random::<u128>()));
        let place = self.place(&path);
        let parts = self
            .objects
            .put_multipart(&path)
            .await
            .map_err(|error| store_error("create", &place, Access::Write, error))?;
        Ok(Box::new(MultipartUpload {
            objects: Arc::clone(&self.objects),
            location: self.location.clone(),
            place,
            path,
            parts: Some(WriteMultipart::new_with_chunk_size(parts, PART)),
        }))
    }

    /// Removes old uploads: a service does not know which processes live. Parts that never became an object are
    /// not listed; the lifecycle rules of the service remove them.
    pub(super) async fn recover(&self) -> Result<Recovered, StoreError> {
        let directory = Path::from(layout::UPLOADS);
        let failed = |error| store_error("list", &self.place(&directory), Access::Read, error);
        let uploads: Vec<_> = self.objects.list(Some(&directory)).try_collect().await.map_err(failed)?;
        let mut recovered = Recovered::default();
        for upload in uploads {
            if (self.clock)() - upload.last_modified < TimeDelta::hours(ABANDONED_AFTER_HOURS) {
                recovered.kept += 1;
                continue;
            }
            match self.objects.delete(&upload.location).await {
                Ok(()) => {
                    recovered.removed += 1;
                    recovered.removed_bytes = ByteSize(recovered.removed_bytes.0 + upload.size);
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    return Err(store_error("delete", &self.place(&upload.location), Access::Write, error));
                }
            }
        }
        Ok(recovered)
    }
}

struct MultipartUpload {
    objects: Arc<dyn ObjectStore>,
    location: String,
    place: String,
    path: Path,
    /// `None` after it was finished, aborted or has failed.
    parts: Option<WriteMultipart>,
}

#[async_trait]
impl Upload for MultipartUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        let Some(parts) = &mut self.parts else {
            return Err(StoreError::new(
                StoreErrorKind::Other,
                format!("the upload to {} has failed", self.place),
            ));
        };
        let written = parts.wait_for_capacity(PARTS_AT_ONCE).await;
        written.map_err(|error| store_error("write", &self.place, Access::Write, error))?;
        parts.put(chunk);
        Ok(())
    }

    async fn publish(mut self: Box<Self>, target: &Path) -> Result<bool, StoreError> {
        let Some(parts) = self.parts.take() else {
            return Err(StoreError::new(
                StoreErrorKind::Other,
                format!("the upload to {} has failed", self.place),
            ));
        };
        parts.finish().await.map_err(|error| store_error("write", &self.place, Access::Write, error))?;
        let copied = self.objects.copy_if_not_exists(&self.path, target).await;
        // If this fails, recovery removes the object; the entry exists or not regardless.
        let _ = self.objects.delete(&self.path).await;
        match copied {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => {
                let place = format!("{}/{target}", self.location);
                Err(store_error("create", &place, Access::Write, error))
            }
        }
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(parts) = self.parts.take() {
            // If this fails, the lifecycle rules of the service remove the parts.
            let _ = parts.abort().await;
        }
    }
}

impl Drop for MultipartUpload {
    fn drop(&mut self) {
        if let (Some(parts), Ok(runtime)) = (self.parts.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                let _ = parts.abort().await;
            });
        }
    }
}
