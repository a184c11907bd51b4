//! An upload: parts that are sent at once, and one conditional step that makes them an object under its final name.
//!
//! Every upload has a mark, a random number that its object carries as metadata. If the answer to the last step is
//! lost, the mark of the object under the name shows whose it is.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, GetOptions, ObjectStore};

use crate::store::backend::operations::Upload;
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::blocks::{BlockCutter, BlockOptions, InFlight};
use crate::transport::http::attempts::Failures;
use crate::transport::http::retry::Verdict;

use super::failure::store_error;
use super::http::Requests;
use super::multipart::Multipart;
use super::signed::MARK;

/// What a service answered to the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitAnswer {
    /// The parts are the object.
    Created,
    /// The service refused because of its condition, or it does not know the upload: there is an object already,
    /// which may be that of this upload.
    Taken,
}

/// An upload at a service.
#[derive(Debug, Clone)]
pub(super) struct BegunUpload {
    /// The final name.
    pub(super) target: Path,
    /// The mark of the object.
    pub(super) mark: String,
    /// The service's name for the upload.
    pub(super) id: String,
}

/// How a service takes objects in parts. A part is a value that its service gives it.
#[async_trait]
pub(super) trait PartService: Send + Sync + 'static {
    /// How objects are cut.
    fn options(&self) -> BlockOptions;

    /// Begins an upload; returns the service's name for it.
    async fn begin(&self, target: &Path, mark: &str) -> Result<String, StoreError>;

    /// Sends the part of this number, counted from 0.
    async fn send(&self, upload: &BegunUpload, number: usize, part: Bytes) -> Result<String, StoreError>;

    /// Makes these parts the object if there is none.
    async fn commit(&self, upload: &BegunUpload, parts: &[String]) -> Result<CommitAnswer, StoreError>;

    /// Removes the parts, as far as the service lets it.
    async fn abort(&self, upload: &BegunUpload);

    /// Whether the service compares each part with a checksum that is sent with it.
    fn checks(&self) -> bool {
        true
    }

    /// The multipart uploads, where unfinished ones stay until they are aborted.
    fn multipart(&self) -> Option<&Multipart> {
        None
    }
}

/// An upload in progress. Nothing is asked of the service before the first part is full.
pub(super) struct PartUpload {
    service: Arc<dyn PartService>,
    objects: Arc<dyn ObjectStore>,
    requests: Requests,
    /// The object, for messages.
    place: String,
    target: Path,
    begun: Option<Arc<BegunUpload>>,
    cutter: Option<BlockCutter>,
    sending: Option<InFlight<String, StoreError>>,
    number: usize,
    size: u64,
}

impl PartUpload {
    pub(super) fn new(
        service: Arc<dyn PartService>,
        objects: Arc<dyn ObjectStore>,
        requests: Requests,
        place: String,
        target: Path,
    ) -> Self {
        let options = service.options();
        let (cutter, sending) = (Some(BlockCutter::new(options)), Some(InFlight::new(&options)));
        PartUpload {
            service,
            objects,
            requests,
            place,
            target,
            begun: None,
            cutter,
            sending,
            number: 0,
            size: 0,
        }
    }

    /// The upload at the service, which begins here at the latest.
    async fn begun(&mut self) -> Result<Arc<BegunUpload>, StoreError> {
        if let Some(begun) = &self.begun {
            return Ok(Arc::clone(begun));
        }
        let mark = format!("{:032x}", rand::random::<u128>());
        let id = self.service.begin(&self.target, &mark).await?;
        let begun = Arc::new(BegunUpload { target: self.target.clone(), mark, id });
        self.begun = Some(Arc::clone(&begun));
        Ok(begun)
    }

    fn failed(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Other, format!("the upload to {} has failed", self.place))
    }

    async fn put(&mut self, part: Bytes) -> Result<(), StoreError> {
        let begun = self.begun().await?;
        let mut sending = self.sending.take().ok_or_else(|| self.failed())?;
        let (service, number, length) = (Arc::clone(&self.service), self.number, part.len());
        self.number += 1;
        let sent = sending.send(length, async move { service.send(&begun, number, part).await });
        sent.await.map_err(|error| error.unwrap_or_else(|| self.failed()))?;
        self.sending = Some(sending);
        Ok(())
    }

    /// Sends what is left and commits; `false` if there is another object under the name.
    async fn finish(&mut self) -> Result<bool, StoreError> {
        if let Some(rest) = self.cutter.take().ok_or_else(|| self.failed())?.rest() {
            self.put(rest).await?;
        }
        if self.number == 0 && self.service.multipart().is_some() {
            // A multipart upload has at least one part, which may be empty.
            self.put(Bytes::new()).await?;
        }
        let begun = self.begun().await?;
        let sending = self.sending.take().ok_or_else(|| self.failed())?;
        let parts = sending.finish().await.map_err(|error| error.unwrap_or_else(|| self.failed()))?;
        match self.service.commit(&begun, &parts).await {
            Ok(CommitAnswer::Created) => Ok(true),
            Ok(CommitAnswer::Taken) => self.whose(&begun).await,
            // Whether the last request was obeyed is not known.
            Err(error) => self.is_ours(&begun).await.ok().flatten().ok_or(error),
        }
    }

    /// Whether the object under the name is that of this upload. While another job is about to make one, a service may
    /// refuse and have none yet: then it is looked at again.
    async fn whose(&self, begun: &BegunUpload) -> Result<bool, StoreError> {
        let options = self.requests.options();
        let mut failures = Failures::default();
        loop {
            if let Some(ours) = self.is_ours(begun).await? {
                return Ok(ours);
            }
            let Some(wait) = failures.wait(&options.retry, Verdict::Retry, options.deadline) else {
                let why = "another job was saving it at the same time";
                let message = format!("cannot create {}: {why}", self.place);
                return Err(StoreError::new(StoreErrorKind::Unavailable, message));
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether the object under the name is that of this upload; `None` if there is none.
    async fn is_ours(&self, begun: &BegunUpload) -> Result<Option<bool>, StoreError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.objects.get_opts(&self.target, options).await {
            Ok(found) => {
                let mark = found.attributes.get(&Attribute::Metadata(MARK.into()));
                let is_ours =
                    mark.is_some_and(|mark| mark.as_ref() == begun.mark) && found.meta.size == self.size;
                Ok(Some(is_ours))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(store_error("look at", &self.place, Access::Read, &error)),
        }
    }
}

#[async_trait]
impl Upload for PartUpload {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), StoreError> {
        self.size += chunk.len() as u64;
        while !chunk.is_empty() {
            let Some(cutter) = &mut self.cutter else { return Err(self.failed()) };
            if let Some(part) = cutter.take(&mut chunk)
                && let Err(error) = self.put(part).await
            {
                self.cutter = None;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn publish(mut self: Box<Self>) -> Result<bool, StoreError> {
        let finished = self.finish().await;
        match (&finished, self.begun.take()) {
            // A service that has made the object has no upload any more.
            (Ok(true), _) | (_, None) => {}
            (_, Some(begun)) => self.service.abort(&begun).await,
        }
        finished
    }

    async fn abort(mut self: Box<Self>) {
        // Parts that arrive after it would be kept.
        self.sending = None;
        if let Some(begun) = self.begun.take() {
            self.service.abort(&begun).await;
        }
    }
}

impl Drop for PartUpload {
    fn drop(&mut self) {
        if let (Some(begun), Ok(runtime)) = (self.begun.take(), tokio::runtime::Handle::try_current()) {
            let service = Arc::clone(&self.service);
            runtime.spawn(async move { service.abort(&begun).await });
        }
    }
}
