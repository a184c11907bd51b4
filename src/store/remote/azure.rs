//! Uploads to Azure Blob Storage: blocks, and a block list that is written only if the blob does not exist.
//!
//! Blocks without a list are invisible, and the service drops them after a week. The names of blocks contain the mark
//! of their upload: those of two uploads to one name are kept side by side, and a list names its own.

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use http::StatusCode;
use object_store::path::Path;
use reqwest::Method;

use crate::store::error::{StoreError, StoreErrorKind};
use crate::transport::blocks::{BlockChecks, BlockOptions, Verdict};

use super::signed::{Signed, encoded, unexpected};
use super::upload::{BegunUpload, CommitAnswer, PartService};

/// Blocks of Azure Blob Storage.
pub(super) struct AzureBlocks {
    signed: Signed,
    checks: BlockChecks,
}

/// How often a block is sent again that arrives damaged.
const RESENDS: usize = 3;

impl AzureBlocks {
    pub(super) fn new(signed: Signed) -> Self {
        AzureBlocks { signed, checks: BlockChecks::default() }
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
        let mut damaged = 0;
        while damaged <= RESENDS {
            let check = self.checks.of(&part);
            let target = (Method::PUT, url.clone());
            let sent =
                self.signed.send("write", &upload.target, target, &[check.header()], part.clone()).await?;
            match self.checks.judge(&check, sent.status(), sent.headers(), self.signed.details()) {
                Verdict::Taken => return Ok(name),
                Verdict::OtherCheck => {}
                Verdict::Damaged => damaged += 1,
                Verdict::Other => return Err(unexpected("write", &self.signed.place(&upload.target), &sent)),
            }
        }
        let message = format!("cannot write {}: the part arrived damaged", self.signed.place(&upload.target));
        Err(StoreError::new(StoreErrorKind::Unavailable, message))
    }

    fn checks(&self) -> bool {
        self.checks.are_confirmed()
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
