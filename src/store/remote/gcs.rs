//! Uploads to Google Cloud Storage: a multipart upload to an object of its own below `uploads`, and one copy of it to
//! the final name, made only if the object does not exist.
//!
//! The service ignores conditions of multipart uploads. A copy is made by the service at once, whatever its size.

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use http::StatusCode;
use md5::{Digest as _, Md5};
use object_store::path::Path;
use reqwest::Method;

use crate::store::backend::layout;
use crate::store::error::StoreError;
use crate::transport::blocks::BlockOptions;

use super::multipart::{Multipart, PARTS};
use super::signed::{Signed, unexpected};
use super::upload::{BegunUpload, CommitAnswer, PartService};

/// Multipart uploads of Google Cloud Storage.
pub(super) struct GcsParts {
    multipart: Multipart,
    bucket: String,
}

impl GcsParts {
    pub(super) fn new(signed: Signed, bucket: &str) -> Self {
        GcsParts {
            multipart: Multipart::new(signed, "x-goog-meta-cachekeepupload"),
            bucket: bucket.to_owned(),
        }
    }
}

/// The object that an upload makes before it is copied.
fn staged(mark: &str) -> Path {
    Path::from(format!("{}/{mark}", layout::UPLOADS))
}

#[async_trait]
impl PartService for GcsParts {
    fn options(&self) -> BlockOptions {
        PARTS
    }

    async fn begin(&self, _target: &Path, mark: &str) -> Result<String, StoreError> {
        self.multipart.begin(&staged(mark), mark).await
    }

    async fn send(&self, upload: &BegunUpload, number: usize, part: Bytes) -> Result<String, StoreError> {
        let digest = BASE64.encode(&Md5::digest(&part));
        let headers = [("content-md5", digest.as_str())];
        self.multipart.send(&staged(&upload.mark), &upload.id, number, &headers, part).await
    }

    async fn commit(&self, upload: &BegunUpload, parts: &[String]) -> Result<CommitAnswer, StoreError> {
        let (signed, staged) = (&self.multipart.signed, staged(&upload.mark));
        let headers = [("content-type", "application/xml")];
        let completed = self.multipart.complete(&staged, &upload.id, &headers, parts).await?;
        // 404: a request whose answer was lost has completed it; else the copy finds nothing.
        if !matches!(completed.status(), StatusCode::OK | StatusCode::NOT_FOUND) {
            return Err(unexpected("create", &signed.place(&staged), &completed));
        }
        let source = format!("{}/{}", self.bucket, signed.key(&staged));
        let headers = [("x-goog-copy-source", source.as_str()), ("x-goog-if-generation-match", "0")];
        let target = (Method::PUT, signed.url(Some(&upload.target)));
        let copied = signed.send("create", &upload.target, target, &headers, Bytes::new()).await?;
        match copied.status() {
            StatusCode::OK => {
                self.remove(&staged).await;
                Ok(CommitAnswer::Created)
            }
            StatusCode::PRECONDITION_FAILED => Ok(CommitAnswer::Taken),
            _ => Err(unexpected("create", &signed.place(&upload.target), &copied)),
        }
    }

    async fn abort(&self, upload: &BegunUpload) {
        let staged = staged(&upload.mark);
        self.multipart.abort(&staged, &upload.id).await;
        self.remove(&staged).await;
    }

    fn multipart(&self) -> Option<&Multipart> {
        Some(&self.multipart)
    }
}

impl GcsParts {
    /// Removes the object of an upload; if this fails, recovery removes it.
    async fn remove(&self, staged: &Path) {
        let target = (Method::DELETE, self.multipart.signed.url(Some(staged)));
        let _ = self.multipart.signed.send("delete", staged, target, &[], Bytes::new()).await;
    }
}
