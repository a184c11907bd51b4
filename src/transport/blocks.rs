//! Azure block blobs: uploads of unknown length in parallel blocks.
//!
//! A blob appears only with its block list, last and whole. Every block carries its MD5, which the service
//! checks; a block that fails is sent again. Memory is bounded by the blocks in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::download::refuse_status;
use super::http::attempts::Attempts;
use super::http::client::{Client, ClientError, Timeouts};
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;
use super::ranges::{BlobFacts, last_modified};
use crate::domain::event::Details;

/// The version of the blob service's interface that is spoken (its first with blocks of 4 000 MiB).
const SERVICE_VERSION: &str = "2019-12-12";

/// The most blocks that a blob may have (Azure, "Scalability targets for Blob storage").
const MAX_BLOCKS: usize = 50_000;

/// After this many blocks of one size the next are twice as large, up to [`LARGEST_GROWTH`] times the first.
const BLOCKS_OF_ONE_SIZE: usize = 10_000;
const LARGEST_GROWTH: usize = 8;

/// Bytes that are handed to the connection at once; each hand-over counts as progress.
const PIECE: usize = 64 << 10;

/// The client's own limit for an answer, long enough for a slow line: what is idle is watched here.
const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// How a blob is cut.
#[derive(Debug, Clone, Copy)]
pub struct BlockOptions {
    /// Bytes of the first blocks.
    pub block_size: usize,
    /// Blocks of that size that are sent at once.
    pub in_flight: usize,
}

impl Default for BlockOptions {
    /// Four blocks of 8 MiB: with the one that is being filled, 40 MiB in memory.
    fn default() -> Self {
        BlockOptions { block_size: 8 << 20, in_flight: 4 }
    }
}

impl BlockOptions {
    /// Bytes of the block of this number. They grow, so that 50 000 blocks hold more than a terabyte.
    fn size_of(&self, number: usize) -> usize {
        let growth = 1 << (number / BLOCKS_OF_ONE_SIZE).min(LARGEST_GROWTH.ilog2() as usize);
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

/// Uploads blobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BlobClient {
    client: Client,
    idle: Duration,
}

impl BlobClient {
    /// A client with these timeouts; idle is here a connection that takes no bytes and gives no answer.
    pub(crate) fn new(timeouts: Timeouts, details: Details) -> Result<Self, ClientError> {
        // The HTTP client counts the time of sending as waiting for an answer.
        let client = Client::new(Timeouts { idle: LONGEST_REQUEST, ..timeouts })?.with_details(details);
        Ok(BlobClient { client, idle: timeouts.idle })
    }
}

/// An upload in progress. Dropped, it ends its requests; blocks without a list are dropped by the service.
#[derive(Debug)]
pub(crate) struct BlockUpload {
    target: Arc<Target>,
    budget: usize,
    in_flight: usize,
    sending: JoinSet<Result<usize, FetchError>>,
    blocks: usize,
    size: u64,
}

struct Target {
    blobs: BlobClient,
    url: Url,
    options: FetchOptions,
}

impl std::fmt::Debug for Target {
    /// The URL is signed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("url", &super::http::address::shown(&self.url)).finish_non_exhaustive()
    }
}

impl BlockUpload {
    /// Begins an upload to a signed URL; nothing is sent yet.
    pub(crate) fn new(blobs: &BlobClient, url: Url, blocks: BlockOptions, options: FetchOptions) -> Self {
        BlockUpload {
            target: Arc::new(Target { blobs: blobs.clone(), url, options }),
            budget: blocks.block_size.saturating_mul(blocks.in_flight.max(1)),
            in_flight: 0,
            sending: JoinSet::new(),
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
        while self.in_flight > 0 && self.in_flight + block.len() > self.budget {
            self.join_one().await?;
        }
        let number = self.blocks;
        self.blocks += 1;
        self.size += block.len() as u64;
        self.in_flight += block.len();
        let target = Arc::clone(&self.target);
        self.sending.spawn(async move { target.put_block(number, block).await });
        Ok(())
    }

    /// Waits for all blocks and makes the blob of them.
    pub(crate) async fn finish(mut self) -> Result<BlobFacts, FetchError> {
        while !self.sending.is_empty() {
            self.join_one().await?;
        }
        self.target.put_block_list(self.blocks, self.size).await
    }

    async fn join_one(&mut self) -> Result<(), FetchError> {
        let sent = match self.sending.join_next().await {
            None => return Ok(()),
            Some(Ok(sent)) => sent?,
            // A runtime that shuts down ends its tasks.
            Some(Err(_)) => return Err(Cause::Cancelled.at(&self.target.url)),
        };
        self.in_flight -= sent;
        Ok(())
    }
}

impl Target {
    async fn put_block(&self, number: usize, block: Bytes) -> Result<usize, FetchError> {
        let query = format!("comp=block&blockid={}", query_value(&block_id(number)));
        self.put(&query, "application/octet-stream", &block).await?;
        Ok(block.len())
    }

    async fn put_block_list(&self, blocks: usize, size: u64) -> Result<BlobFacts, FetchError> {
        let mut list = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for number in 0..blocks {
            list.push_str("<Latest>");
            list.push_str(&block_id(number));
            list.push_str("</Latest>");
        }
        list.push_str("</BlockList>");
        let response = self.put("comp=blocklist", "application/xml", &Bytes::from(list)).await?;
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| {
            Cause::Protocol("the server does not name the version that it wrote".to_owned()).at(&self.url)
        })?;
        Ok(BlobFacts { size, etag: etag.to_owned(), last_modified: last_modified(response.headers()) })
    }

    /// One request with a body, again as the policy says.
    async fn put(&self, query: &str, kind: &'static str, body: &Bytes) -> Result<Response, FetchError> {
        let mut url = self.url.clone();
        url.set_query(Some(&match self.url.query() {
            Some(signature) => format!("{signature}&{query}"),
            None => query.to_owned(),
        }));
        let digest = BASE64.encode(&Md5::digest(body));
        let mut attempts = Attempts::new(&self.options, self.blobs.client.details());
        loop {
            match self.put_once(&url, kind, body, &digest).await {
                Ok(response) => return Ok(response),
                Err(cause) => attempts.pause(cause, &url).await.map_err(|cause| cause.at(&url))?,
            }
        }
    }

    async fn put_once(
        &self,
        url: &Url,
        kind: &'static str,
        body: &Bytes,
        digest: &str,
    ) -> Result<Response, Cause> {
        let (progress, watched) = watch::channel(());
        let request = self
            .blobs
            .client
            .request(Method::PUT, url)?
            .header("x-ms-version", SERVICE_VERSION)
            .header("content-md5", digest)
            .header(CONTENT_TYPE, HeaderValue::from_static(kind))
            // The service takes no body of unknown length.
            .header(CONTENT_LENGTH, body.len())
            .body(in_pieces(body.clone(), progress));
        let answered = self.while_it_moves(request.send(), watched).await?;
        let response = answered.map_err(|error| Cause::of_request(error, 0, self.blobs.idle))?;
        let code = response.headers().get("x-ms-error-code").and_then(|code| code.to_str().ok());
        if response.status() == StatusCode::BAD_REQUEST && code == Some("Md5Mismatch") {
            return Err(Cause::Interrupted { received: 0, reason: "the block arrived damaged".to_owned() });
        }
        if response.status() == StatusCode::CREATED {
            return Ok(response);
        }
        refuse_status(&response, self.options.clock)?;
        // Not an answer of the service: nothing was stored.
        Err(Cause::Protocol(format!("HTTP {} to an upload", response.status().as_u16())))
    }

    /// Runs a request until nothing has moved for the idle timeout, the deadline passes, or it is cancelled.
    async fn while_it_moves<T>(
        &self,
        request: impl Future<Output = T>,
        mut progress: watch::Receiver<()>,
    ) -> Result<T, Cause> {
        tokio::pin!(request);
        // Until it stands, a connection has its own limit; it must not count as idle before that.
        let mut moved = Instant::now() + self.blobs.client.timeouts().connect;
        let mut sends = true;
        loop {
            // What was handed over last may still be in the system's buffers, of all blocks at once.
            let idle = if sends { self.blobs.idle } else { self.blobs.idle * 3 };
            let stall = moved + idle;
            let (until, late) = match self.options.deadline {
                Some(deadline) if deadline < stall => (deadline, Cause::Deadline),
                _ => (stall, Cause::Stalled(idle)),
            };
            tokio::select! {
                biased;
                () = self.options.cancel.cancelled() => return Err(Cause::Cancelled),
                done = &mut request => return Ok(done),
                more = progress.changed(), if sends => {
                    // The sender is dropped with the last piece.
                    sends = more.is_ok();
                    moved = Instant::now();
                }
                () = tokio::time::sleep_until(until.into()) => return Err(late),
            }
        }
    }
}

/// A body that reports each piece that the connection has taken.
fn in_pieces(body: Bytes, progress: watch::Sender<()>) -> Body {
    Body::wrap_stream(futures::stream::unfold((body, progress), |(mut body, progress)| async move {
        if body.is_empty() {
            return None;
        }
        let piece = body.split_to(body.len().min(PIECE));
        progress.send_replace(());
        Some((Ok::<_, std::io::Error>(piece), (body, progress)))
    }))
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
            let mut cutter = BlockCutter::new(BlockOptions { block_size: size, in_flight: 1 });
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
