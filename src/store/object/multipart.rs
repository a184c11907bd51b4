//! Uploads to a service: in parts to an object of their own, which becomes the entry by a conditional copy.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};

use crate::domain::unit::ByteSize;
use crate::store::contract::{Clock, NewEntry, Recovered};
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::failure::store_error;
use super::layout;
use super::upload::{Upload, Uploads};

/// The size of a part: with the most parts that services take (10 000), enough for 78 GiB.
const PART: usize = 8 << 20;

/// The most parts that are under way at once.
const PARTS_AT_ONCE: usize = 4;

/// The age at which an upload is given up: no job of the known platforms runs for longer than this many hours.
const ABANDONED_AFTER_HOURS: i64 = 24;

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

    async fn mark(&self) -> Result<(), StoreError> {
        let path = Path::from(layout::MARKER);
        let marker = PutPayload::from(layout::marker_text().into_bytes());
        match self.objects.put_opts(&path, marker, PutMode::Create.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(store_error("create", &self.place(&path), Access::Write, error)),
        }
    }
}

#[async_trait]
impl Uploads for Multipart {
    async fn begin(&self, _new: &NewEntry) -> Result<Box<dyn Upload>, StoreError> {
        self.mark().await?;
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

    /// A service knows nothing of processes: what is old is dead. Parts that never became an object are
    /// invisible here and fall to the rules of the service.
    async fn recover(&self) -> Result<Recovered, StoreError> {
        let folder = Path::from(layout::UPLOADS);
        let failed = |error| store_error("list", &self.place(&folder), Access::Read, error);
        let uploads: Vec<_> = self.objects.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let mut recovered = Recovered::default();
        for upload in uploads {
            if (self.clock)() - upload.last_modified < TimeDelta::hours(ABANDONED_AFTER_HOURS) {
                recovered.spared += 1;
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
    /// `None` once finished, aborted or failed.
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
        // What stays is found by recovery; the entry is there or not, whatever comes of this.
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
            // What stays falls to the rules of the service.
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
