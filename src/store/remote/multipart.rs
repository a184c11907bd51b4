//! Multipart uploads, as S3 and Google Cloud Storage have them in common.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use http::header::ETAG;
use object_store::path::Path;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::store::error::{StoreError, StoreErrorKind};
use crate::transport::blocks::BlockOptions;

use super::signed::{Signed, SignedResponse, encoded, unexpected};

/// The size of parts: a service takes 10 000 of them and 5 TiB. These grow to 64 MiB and hold 490 GiB.
pub(super) const PARTS: BlockOptions = BlockOptions { block_size: 8 << 20, in_flight: 4, of_one_size: 1_000 };

/// The requests of multipart uploads.
pub(super) struct Multipart {
    pub(super) signed: Signed,
    /// The header of the metadata [`MARK`](super::signed::MARK).
    mark_header: &'static str,
}

/// An upload that was begun and neither completed nor aborted.
pub(super) struct Unfinished {
    pub(super) path: Path,
    pub(super) id: String,
    pub(super) begun_at: DateTime<Utc>,
}

impl Multipart {
    pub(super) fn new(signed: Signed, mark_header: &'static str) -> Self {
        Multipart { signed, mark_header }
    }

    /// Begins an upload to a name; returns its id.
    pub(super) async fn begin(&self, path: &Path, mark: &str) -> Result<String, StoreError> {
        #[derive(Deserialize)]
        struct Begun {
            #[serde(rename = "UploadId")]
            id: String,
        }
        let target = (Method::POST, format!("{}?uploads=", self.signed.url(Some(path))));
        let answer =
            self.signed.send("create", path, target, &[(self.mark_header, mark)], Bytes::new()).await?;
        match answer.status() {
            StatusCode::OK => Ok(self.parsed::<Begun>("create", path, &answer)?.id),
            _ => Err(unexpected("create", &self.signed.place(path), &answer)),
        }
    }

    /// Sends the part of this number, counted from 0; returns its entity tag.
    pub(super) async fn send(
        &self,
        path: &Path,
        id: &str,
        number: usize,
        headers: &[(&'static str, &str)],
        part: Bytes,
    ) -> Result<String, StoreError> {
        let query = format!("partNumber={}&uploadId={}", number + 1, encoded(id));
        let target = (Method::PUT, format!("{}?{query}", self.signed.url(Some(path))));
        let answer = self.signed.send("write", path, target, headers, part).await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        match (answer.status(), tag) {
            (StatusCode::OK, Some(tag)) => Ok(tag.to_owned()),
            _ => Err(unexpected("write", &self.signed.place(path), &answer)),
        }
    }

    /// Makes these parts an object. An answer with status 200 is a success: an error that the service noticed after it
    /// had begun to answer is returned as such.
    pub(super) async fn complete(
        &self,
        path: &Path,
        id: &str,
        headers: &[(&'static str, &str)],
        parts: &[String],
    ) -> Result<SignedResponse, StoreError> {
        #[derive(Deserialize)]
        struct Completed {
            #[serde(rename = "ETag")]
            _tag: String,
        }
        let mut list = String::from("<CompleteMultipartUpload>");
        for (number, tag) in (1..).zip(parts) {
            let tag = tag.replace('"', "&quot;");
            let _ = write!(list, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        }
        list.push_str("</CompleteMultipartUpload>");
        let target = (Method::POST, format!("{}?uploadId={}", self.signed.url(Some(path)), encoded(id)));
        let answer = self.signed.send("create", path, target, headers, list.into()).await?;
        if answer.status() == StatusCode::OK {
            self.parsed::<Completed>("create", path, &answer)?;
        }
        Ok(answer)
    }

    /// Removes an upload; if this fails, recovery or the lifecycle rule of the bucket removes it.
    pub(super) async fn abort(&self, path: &Path, id: &str) {
        let target = (Method::DELETE, format!("{}?uploadId={}", self.signed.url(Some(path)), encoded(id)));
        let _ = self.signed.send("delete", path, target, &[], Bytes::new()).await;
    }

    /// The uploads of the store that were begun and neither completed nor aborted.
    pub(super) async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let mut found = Vec::new();
        let mut after = String::new();
        let root = Path::default();
        loop {
            let prefix = self.signed.prefix();
            // With a slash: the prefix of another store may begin with this one.
            let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            let query = format!("uploads=&prefix={}{after}", encoded(&prefix));
            let target = (Method::GET, format!("{}?{query}", self.signed.url(None)));
            let answer = self.signed.send("list the uploads of", &root, target, &[], Bytes::new()).await?;
            if answer.status() != StatusCode::OK {
                return Err(unexpected("list the uploads of", &self.signed.place(&root), &answer));
            }
            let page: Page = self.parsed("list the uploads of", &root, &answer)?;
            for upload in page.uploads {
                let path = upload.key.strip_prefix(&prefix).and_then(|key| Path::parse(key).ok());
                if let Some(path) = path {
                    found.push(Unfinished { path, id: upload.id, begun_at: upload.begun_at });
                }
            }
            let next = (page.next_key, page.next_id);
            match next {
                (Some(key), id) if page.is_truncated => {
                    let id = encoded(&id.unwrap_or_default());
                    after = format!("&key-marker={}&upload-id-marker={id}", encoded(&key));
                }
                _ => return Ok(found),
            }
        }
    }

    fn parsed<T: DeserializeOwned>(
        &self,
        action: &str,
        path: &Path,
        answer: &SignedResponse,
    ) -> Result<T, StoreError> {
        quick_xml::de::from_reader(answer.body().as_ref()).map_err(|error| {
            let message = format!("cannot {action} {}", self.signed.place(path));
            StoreError::new(StoreErrorKind::Other, message).caused_by(error)
        })
    }
}

/// One page of the list of uploads.
#[derive(Deserialize)]
struct Page {
    #[serde(rename = "IsTruncated", default)]
    is_truncated: bool,
    #[serde(rename = "NextKeyMarker")]
    next_key: Option<String>,
    #[serde(rename = "NextUploadIdMarker")]
    next_id: Option<String>,
    #[serde(rename = "Upload", default)]
    uploads: Vec<ListedUpload>,
}

#[derive(Deserialize)]
struct ListedUpload {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
    #[serde(rename = "Initiated")]
    begun_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_uploads_is_read() {
        let text = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>b</NextKeyMarker>\
                    <NextUploadIdMarker>2</NextUploadIdMarker><Upload><Key>p/a</Key><UploadId>1</UploadId>\
                    <Owner><ID>x</ID></Owner><Initiated>2026-11-27T00:00:00.000Z</Initiated></Upload>\
                    <MaxUploads>1</MaxUploads></ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_str(text).expect("a page");
        assert_eq!(
            (page.is_truncated, page.next_key.as_deref(), page.next_id.as_deref()),
            (true, Some("b"), Some("2"))
        );
        assert_eq!((page.uploads[0].key.as_str(), page.uploads[0].id.as_str()), ("p/a", "1"));
        let empty = "<ListMultipartUploadsResult><NextKeyMarker/></ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_str(empty).expect("a page");
        assert!(page.uploads.is_empty() && !page.is_truncated);
    }
}
