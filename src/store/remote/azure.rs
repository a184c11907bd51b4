//! Uploads to Azure Blob Storage: blocks, and a block list that is written only if the blob does not exist.
//!
//! Blocks without a list are invisible, and the service drops them after a week. The names of blocks contain the mark
//! of their upload: those of two uploads to one name are kept side by side, and a list names its own.

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use http::StatusCode;
use md5::{Digest as _, Md5};
use object_store::path::Path;
use reqwest::Method;

use crate::store::error::StoreError;
use crate::transport::blocks::BlockOptions;

use super::signed::{Signed, encoded, unexpected};
use super::upload::{BegunUpload, CommitAnswer, PartService};

/// Blocks of Azure Blob Storage.
pub(super) struct AzureBlocks {
    signed: Signed,
}

impl AzureBlocks {
    pub(super) fn new(signed: Signed) -> Self {
        AzureBlocks { signed }
    }
}

#[async_trait]
impl PartService for AzureBlocks {
    fn options(&self) -> BlockOptions {
        BlockOptions::default()
    }

    async fn begin(&self, _target: &Path, mark: &str) -> Result<String, StoreError> {
        Ok(mark.to_owned())
    }

    async fn send(&self, upload: &BegunUpload, number: usize, part: Bytes) -> Result<String, StoreError> {
        // Names of the blocks of one blob have one length.
        let name = BASE64.encode(format!("{}-{number:08}", upload.id).as_bytes());
        let url = format!("{}?comp=block&blockid={}", self.signed.url(Some(&upload.target)), encoded(&name));
        let digest = BASE64.encode(&Md5::digest(&part));
        let headers = [("content-md5", digest.as_str())];
        let sent = self.signed.send("write", &upload.target, (Method::PUT, url), &headers, part).await?;
        match sent.status() {
            StatusCode::CREATED => Ok(name),
            _ => Err(unexpected("write", &self.signed.place(&upload.target), &sent)),
        }
    }

    async fn commit(&self, upload: &BegunUpload, parts: &[String]) -> Result<CommitAnswer, StoreError> {
        let mut list = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for name in parts {
            list.push_str("<Uncommitted>");
            list.push_str(name);
            list.push_str("</Uncommitted>");
        }
        list.push_str("</BlockList>");
        let url = format!("{}?comp=blocklist", self.signed.url(Some(&upload.target)));
        let headers = [
            ("if-none-match", "*"),
            ("content-type", "application/xml"),
            ("x-ms-meta-cachekeepupload", &upload.mark),
        ];
        let target = (Method::PUT, url);
        let answer = self.signed.send("create", &upload.target, target, &headers, list.into()).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(CommitAnswer::Created),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Ok(CommitAnswer::Taken),
            _ => Err(unexpected("create", &self.signed.place(&upload.target), &answer)),
        }
    }

    async fn abort(&self, _upload: &BegunUpload) {}
}
