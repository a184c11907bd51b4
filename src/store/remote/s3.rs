//! Uploads to S3: a multipart upload under the final name, which is completed only if the object does not exist.
//!
//! Until then the upload is invisible, and any number of uploads to one name may be in progress. Nothing is copied, so
//! that the limit of 5 GiB for copies does not apply. Each part is sent with the SHA-256 that its request signs, which
//! the service verifies.

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use object_store::path::Path;

use crate::store::error::StoreError;
use crate::transport::blocks::BlockOptions;

use super::multipart::{Multipart, PARTS};
use super::signed::{Signed, unexpected};
use super::upload::{BegunUpload, CommitAnswer, PartService};

/// Multipart uploads of S3.
pub(super) struct S3Parts {
    multipart: Multipart,
}

impl S3Parts {
    pub(super) fn new(signed: Signed) -> Self {
        S3Parts { multipart: Multipart::new(signed, "x-amz-meta-cachekeepupload") }
    }
}

#[async_trait]
impl PartService for S3Parts {
    fn options(&self) -> BlockOptions {
        PARTS
    }

    async fn begin(&self, target: &Path, mark: &str) -> Result<String, StoreError> {
        self.multipart.begin(target, mark).await
    }

    async fn send(&self, upload: &BegunUpload, number: usize, part: Bytes) -> Result<String, StoreError> {
        self.multipart.send(&upload.target, &upload.id, number, &[], part).await
    }

    async fn commit(&self, upload: &BegunUpload, parts: &[String]) -> Result<CommitAnswer, StoreError> {
        let condition = [("if-none-match", "*"), ("content-type", "application/xml")];
        let answer = self.multipart.complete(&upload.target, &upload.id, &condition, parts).await?;
        match answer.status() {
            StatusCode::OK => Ok(CommitAnswer::Created),
            // 412: there is an object. 409: another upload is being completed. 404: this upload was completed by a
            // request whose answer was lost.
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT | StatusCode::NOT_FOUND => {
                Ok(CommitAnswer::Taken)
            }
            _ => Err(unexpected("create", &self.multipart.signed.place(&upload.target), &answer)),
        }
    }

    async fn abort(&self, upload: &BegunUpload) {
        self.multipart.abort(&upload.target, &upload.id).await;
    }

    fn multipart(&self) -> Option<&Multipart> {
        Some(&self.multipart)
    }
}
