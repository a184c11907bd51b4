//! Azure block blobs: uploads of unknown length in parallel blocks.
//!
//! A blob appears only with its block list, last and whole. Every block carries a checksum, which the service
//! compares; a block that fails is sent again. Memory is bounded by the blocks in flight.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderValue};
use reqwest::{Method, Response, Url};
use tokio::task::JoinSet;

use super::block_checks::{BlockCheck, BlockChecks, Verdict, check_of_list};
use super::download::refuse_status;
use super::http::attempts::Attempts;
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;
use super::http::sending::BodySender;
use super::ranges::{BlobFacts, last_modified};

/// The version of the blob service's interface that is spoken (its first with blocks of 4 000 MiB).
const SERVICE_VERSION: &str = "2019-12-12";

/// The most blocks that a blob may have (Azure, "Scalability targets for Blob storage").
const MAX_BLOCKS: usize = 50_000;

/// How much larger than the first blocks the last ones may be.
const LARGEST_GROWTH: usize = 8;

/// How a blob is cut.
#[derive(Debug, Clone, Copy)]
pub struct BlockOptions {
    /// Bytes of the first blocks.
    pub block_size: usize,
    /// Blocks of that size that are sent at once.
    pub in_flight: usize,
    /// After this many blocks of one size the next are twice as large, up to eight times the first.
    pub of_one_size: usize,
}

impl Default for BlockOptions {
    /// Four blocks of 8 MiB: with the one that is being filled, 40 MiB in memory.
    fn default() -> Self {
        BlockOptions { block_size: 8 << 20, in_flight: 4, of_one_size: 10_000 }
    }
}

impl BlockOptions {
    /// Bytes of the block of this number. They grow, so that 50 000 blocks hold more than a terabyte.
    fn size_of(&self, number: usize) -> usize {
        let growth = 1 << (number / self.of_one_size.max(1)).min(LARGEST_GROWTH.ilog2() as usize);
        self.block_size.max(1).saturating_mul(growth)
    }
}

/// Collects chunks of any size into blocks.
#[derive(Debug)]
pub(crate) struct BlockCutter {
    options: BlockOptions,
    number: usize,
    block: BytesMut,
}

impl BlockCutter {
    /// Nothing was cut yet.
    pub(crate) fn new(options: BlockOptions) -> Self {
        BlockCutter { options, number: 0, block: BytesMut::new() }
    }

    /// Takes bytes from the front of `chunk`; returns a block once it is full. To be called until the chunk
    /// is empty.
    pub(crate) fn take(&mut self, chunk: &mut Bytes) -> Option<Bytes> {
        let size = self.options.size_of(self.number);
        if self.block.capacity() == 0 {
            // Not more than the chunk for the first: of a small entry it is the only one.
            self.block.reserve(if self.number == 0 { chunk.len().min(size) } else { size });
        }
        let part = chunk.split_to(chunk.len().min(size - self.block.len()));
        self.block.extend_from_slice(&part);
        (self.block.len() == size).then(|| {
            self.number += 1;
            self.block.split().freeze()
        })
    }

    /// What is left for the last block; `None` if nothing is left.
    pub(crate) fn rest(self) -> Option<Bytes> {
        Some(self.block.freeze()).filter(|block| !block.is_empty())
    }
}

/// The parts of an upload that are on their way, bounded by their bytes. Dropped, it ends their requests.
#[derive(Debug)]
pub(crate) struct InFlight<T, E> {
    budget: usize,
    bytes: usize,
    sending: JoinSet<(usize, usize, Result<T, E>)>,
    sent: Vec<Option<T>>,
}

impl<T: Send + 'static, E: Send + 'static> InFlight<T, E> {
    /// No part yet.
    pub(crate) fn new(options: &BlockOptions) -> Self {
        let budget = options.block_size.saturating_mul(options.in_flight.max(1));
        InFlight { budget, bytes: 0, sending: JoinSet::new(), sent: Vec::new() }
    }

    /// Begins to send the next part, of this many bytes; waits while too many bytes are on their way. Fails also for a
    /// part before it, and with `None` where the runtime shuts down, which ends its tasks.
    pub(crate) async fn send(
        &mut self,
        bytes: usize,
        part: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<(), Option<E>> {
        while self.bytes > 0 && self.bytes + bytes > self.budget {
            self.join_one().await?;
        }
        let number = self.sent.len();
        self.sent.push(None);
        self.bytes += bytes;
        self.sending.spawn(async move { (number, bytes, part.await) });
        Ok(())
    }

    /// Waits for all parts; what was sent, in order.
    pub(crate) async fn finish(mut self) -> Result<Vec<T>, Option<E>> {
        while !self.sending.is_empty() {
            self.join_one().await?;
        }
        Ok(std::mem::take(&mut self.sent).into_iter().flatten().collect())
    }

    async fn join_one(&mut self) -> Result<(), Option<E>> {
        let Some(joined) = self.sending.join_next().await else { return Ok(()) };
        let (number, bytes, sent) = joined.map_err(|_| None)?;
        self.bytes -= bytes;
        self.sent[number] = Some(sent.map_err(Some)?);
        Ok(())
    }
}

/// An upload in progress. Dropped, it ends its requests; blocks without a list are dropped by the service.
#[derive(Debug)]
pub(crate) struct BlockUpload {
    target: Arc<Target>,
    sending: InFlight<(), FetchError>,
    blocks: usize,
    size: u64,
}

struct Target {
    sender: BodySender,
    url: Url,
    options: FetchOptions,
    checks: Arc<BlockChecks>,
}

impl std::fmt::Debug for Target {
    /// The URL is signed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("url", &super::http::address::shown(&self.url)).finish_non_exhaustive()
    }
}

impl BlockUpload {
    /// Begins an upload to a signed URL; nothing is sent yet.
    pub(crate) fn new(
        sender: &BodySender,
        url: Url,
        blocks: BlockOptions,
        options: FetchOptions,
        checks: Arc<BlockChecks>,
    ) -> Self {
        BlockUpload {
            target: Arc::new(Target { sender: sender.clone(), url, options, checks }),
            sending: InFlight::new(&blocks),
            blocks: 0,
            size: 0,
        }
    }

    /// Sends a block, which follows the ones before it; waits while too many bytes are on their way. Fails
    /// also for a block that was taken earlier.
    pub(crate) async fn put(&mut self, block: Bytes) -> Result<(), FetchError> {
        if self.blocks == MAX_BLOCKS {
            let cause = Cause::Protocol(format!("a blob has {MAX_BLOCKS} blocks at the most"));
            return Err(cause.at(&self.target.url));
        }
        let number = self.blocks;
        self.blocks += 1;
        self.size += block.len() as u64;
        let target = Arc::clone(&self.target);
        let length = block.len();
        let sending = self.sending.send(length, async move { target.put_block(number, block).await });
        sending.await.map_err(|error| self.target.failed(error))
    }

    /// Waits for all blocks and makes the blob of them.
    pub(crate) async fn finish(self) -> Result<BlobFacts, FetchError> {
        self.sending.finish().await.map_err(|error| self.target.failed(error))?;
        self.target.put_block_list(self.blocks, self.size).await
    }
}

impl Target {
    /// The error of a block; without one the runtime is shutting down.
    fn failed(&self, error: Option<FetchError>) -> FetchError {
        error.unwrap_or_else(|| Cause::Cancelled.at(&self.url))
    }

    async fn put_block(&self, number: usize, block: Bytes) -> Result<(), FetchError> {
        let query = format!("comp=block&blockid={}", query_value(&block_id(number)));
        let check = || self.checks.of(&block);
        self.put(&query, "application/octet-stream", &block, &check).await.map(drop)
    }

    async fn put_block_list(&self, blocks: usize, size: u64) -> Result<BlobFacts, FetchError> {
        let mut list = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for number in 0..blocks {
            list.push_str("<Latest>");
            list.push_str(&block_id(number));
            list.push_str("</Latest>");
        }
        list.push_str("</BlockList>");
        let list = Bytes::from(list);
        let response = self.put("comp=blocklist", "application/xml", &list, &|| check_of_list(&list)).await?;
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| {
            Cause::Protocol("the server does not name the version that it wrote".to_owned()).at(&self.url)
        })?;
        Ok(BlobFacts { size, etag: etag.to_owned(), last_modified: last_modified(response.headers()) })
    }

    /// One request with a body, again as the policy says.
    async fn put(
        &self,
        query: &str,
        kind: &'static str,
        body: &Bytes,
        check: &(dyn Fn() -> BlockCheck + Sync),
    ) -> Result<Response, FetchError> {
        let mut url = self.url.clone();
        url.set_query(Some(&match self.url.query() {
            Some(signature) => format!("{signature}&{query}"),
            None => query.to_owned(),
        }));
        let mut attempts = Attempts::new(&self.options, self.sender.client().details());
        loop {
            match self.put_once(&url, kind, body, &check()).await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => {}
                Err(cause) => attempts.pause(cause, &url).await.map_err(|cause| cause.at(&url))?,
            }
        }
    }

    /// `None` if the body is to be sent again with another checksum.
    async fn put_once(
        &self,
        url: &Url,
        kind: &'static str,
        body: &Bytes,
        check: &BlockCheck,
    ) -> Result<Option<Response>, Cause> {
        let (name, value) = check.header();
        let request = self
            .sender
            .client()
            .request(Method::PUT, url)?
            .header("x-ms-version", SERVICE_VERSION)
            .header(name, value)
            .header(CONTENT_TYPE, HeaderValue::from_static(kind));
        let response = self.sender.send(request, body.clone(), &self.options).await?;
        let details = self.sender.client().details();
        match self.checks.judge(check, response.status(), response.headers(), details) {
            Verdict::Taken => return Ok(Some(response)),
            Verdict::OtherCheck => return Ok(None),
            Verdict::Damaged => {
                return Err(Cause::Interrupted {
                    received: 0,
                    reason: "the block arrived damaged".to_owned(),
                });
            }
            Verdict::Other => {}
        }
        refuse_status(&response, self.options.clock)?;
        // Not an answer of the service: nothing was stored.
        Err(Cause::Protocol(format!("HTTP {} to an upload", response.status().as_u16())))
    }
}

/// The names of blocks: Base64 of equal length, as the service wants them.
fn block_id(number: usize) -> String {
    BASE64.encode(format!("cachekeep-{number:08}").as_bytes())
}

/// Base64 in a query: its `+`, `/` and `=` mean something else there.
fn query_value(base64: &str) -> String {
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_grow_so_that_their_number_never_limits_a_cache() {
        let options = BlockOptions::default();
        let mib = |number| options.size_of(number) >> 20;
        assert_eq!(
            [mib(0), mib(9_999), mib(10_000), mib(20_000), mib(30_000), mib(49_999)],
            [8, 8, 16, 32, 64, 64]
        );
        let total: usize = (0..MAX_BLOCKS).map(|number| options.size_of(number)).sum();
        assert!(total > 1 << 40, "{total}");
    }

    #[test]
    fn names_of_blocks_have_one_length_and_are_safe_in_a_query() {
        for number in [0, 1, 9_999, MAX_BLOCKS - 1] {
            let id = block_id(number);
            assert_eq!(id.len(), block_id(0).len());
            let query = query_value(&id);
            assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'), "{query}");
        }
    }

    proptest! {
        #[test]
        fn cut_blocks_are_full_and_add_up(lengths in proptest::collection::vec(0usize..50, 0..20), size in 1usize..40) {
            let mut cutter = BlockCutter::new(BlockOptions { block_size: size, in_flight: 1, ..BlockOptions::default() });
            let (mut whole, mut blocks) = (Vec::new(), Vec::new());
            for (number, length) in lengths.iter().enumerate() {
                let mut chunk = Bytes::from(vec![u8::try_from(number).expect("few"); *length]);
                whole.extend_from_slice(&chunk);
                while !chunk.is_empty() {
                    blocks.extend(cutter.take(&mut chunk));
                }
            }
            prop_assert!(blocks.iter().all(|block| block.len() == size));
            blocks.extend(cutter.rest());
            prop_assert_eq!(blocks.concat(), whole);
        }
    }
}
