//! Azure block blobs: uploads of unknown length in parallel blocks.
//!
//! A blob appears only with its block list, last and whole. Every block carries a checksum, which the service
//! compares; a block that fails is sent again. Memory is bounded by the blocks in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::task::JoinSet;

use super::download::refuse_status;
use super::http::attempts::Attempts;
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;
use super::http::sending::BodySender;
use super::ranges::{BlobFacts, last_modified};
use crate::domain::event::Details;

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

    /// Takes bytes from the front of `chunk`; returns a block once it has the size that the store wants. To be called until the chunk
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

    /// Waits for all blocks and makes the blob of them (Put Block List), which is there from then on; returns its size and version.
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

// The checksum that goes with a block, and whether the service shows that it compares it. Azure takes CRC-64/NVME or MD5, computes it of
// what arrives, and repeats it in its answer (learn.microsoft.com, `rest/api/storageservices/put-block`). CRC-64 takes a tenth of the
// time. A service that does not know it refuses the header, as Azurite does in its strict mode, or ignores it: then blocks are sent with
// MD5.

/// Codes for a header that the service does not take; the second is Azurite's.
pub(crate) const UNSUPPORTED: [&str; 2] = ["UnsupportedHeader", "FeatureNotSupported"];

const CRC64: &str = "x-ms-content-crc64";
const MD5: &str = "content-md5";

/// What is known of a service: that nothing speaks against CRC-64, that it takes only MD5, and that its answers do not even
/// show that. It only grows.
const TAKES_CRC64: u8 = 0;
const TAKES_MD5: u8 = 1;
const SHOWS_NOTHING: u8 = 2;

/// The checksums of the blocks of one service; shared by its uploads.
#[derive(Debug, Default)]
pub(crate) struct BlockChecks(AtomicU8);

/// The checksum of one block.
#[derive(Debug)]
pub(crate) struct BlockCheck {
    name: &'static str,
    value: String,
    /// Whether an answer without it shows that it was ignored.
    is_repeated: bool,
}

impl BlockCheck {
    /// The header to send with it.
    pub(crate) fn header(&self) -> (&'static str, &str) {
        (self.name, &self.value)
    }
}

/// The checksum of a list of blocks, of which an answer need not speak.
fn check_of_list(list: &[u8]) -> BlockCheck {
    BlockCheck { is_repeated: false, ..md5_of(list) }
}

fn md5_of(body: &[u8]) -> BlockCheck {
    BlockCheck { name: MD5, value: BASE64.encode(&Md5::digest(body)), is_repeated: true }
}

/// The outcome of sending a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was stored.
    Taken,
    /// The service does not know the checksum: the block is to be sent again with another.
    OtherCheck,
    /// Other bytes arrived: the block is to be sent again.
    Damaged,
    /// The answer is about something else.
    Other,
}

impl BlockChecks {
    /// The checksum of a block.
    pub(crate) fn of(&self, block: &[u8]) -> BlockCheck {
        if self.0.load(Ordering::Relaxed) > TAKES_CRC64 {
            return md5_of(block);
        }
        let crc = checksum(CrcAlgorithm::Crc64Nvme, block);
        // The least significant byte first, as the service's own SDKs have it.
        BlockCheck { name: CRC64, value: BASE64.encode(&crc.to_le_bytes()), is_repeated: true }
    }

    /// What the answer to a block says.
    pub(crate) fn judge(
        &self,
        sent: &BlockCheck,
        status: StatusCode,
        headers: &HeaderMap,
        details: &Details,
    ) -> Verdict {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if status != StatusCode::CREATED {
            return match text("x-ms-error-code") {
                Some("Md5Mismatch" | "Crc64Mismatch") => Verdict::Damaged,
                Some(code) if sent.name == CRC64 && UNSUPPORTED.contains(&code) => {
                    self.without_crc64(details)
                }
                _ => Verdict::Other,
            };
        }
        match text(sent.name) {
            Some(arrived) if arrived == sent.value => Verdict::Taken,
            Some(_) => Verdict::Damaged,
            None if !sent.is_repeated => Verdict::Taken,
            None if sent.name == CRC64 => self.without_crc64(details),
            None => {
                if self.0.fetch_max(SHOWS_NOTHING, Ordering::Relaxed) < SHOWS_NOTHING {
                    details.tell(format_args!(
                        "the answers of the storage do not show that it checks what arrives"
                    ));
                }
                Verdict::Taken
            }
        }
    }

    fn without_crc64(&self, details: &Details) -> Verdict {
        if self.0.fetch_max(TAKES_MD5, Ordering::Relaxed) < TAKES_MD5 {
            details.tell(format_args!("the storage does not check CRC-64: blocks are sent with MD5"));
        }
        Verdict::OtherCheck
    }

    /// Whether every block so far was compared with its checksum, as the answers show.
    pub(crate) fn are_confirmed(&self) -> bool {
        self.0.load(Ordering::Relaxed) < SHOWS_NOTHING
    }
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

    fn judged(
        checks: &BlockChecks,
        sent: &BlockCheck,
        status: u16,
        headers: &[(&'static str, &str)],
    ) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        checks.judge(sent, status, &map, &Details::none())
    }

    /// The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms is `ae8b14860a799888`.
    #[test]
    fn the_checksum_has_its_least_significant_byte_first() {
        let check = BlockChecks::default().of(b"123456789");
        assert_eq!(check.header(), ("x-ms-content-crc64", "iJh5CoYUi64="));
        assert_eq!(BASE64.encode(&0xAE8B_1486_0A79_9888_u64.to_le_bytes()), check.value);
    }

    #[test]
    fn what_is_not_repeated_was_not_checked() {
        let checks = BlockChecks::default();
        let crc = checks.of(b"block");
        assert_eq!(judged(&checks, &crc, 201, &[(CRC64, &crc.value)]), Verdict::Taken);
        assert_eq!(judged(&checks, &crc, 201, &[(CRC64, "AAAAAAAAAAA=")]), Verdict::Damaged);
        assert_eq!(checks.of(b"block").name, CRC64);
        // Ignored.
        assert_eq!(judged(&checks, &crc, 201, &[]), Verdict::OtherCheck);
        let md5 = checks.of(b"block");
        assert_eq!(md5.name, MD5);
        assert_eq!(judged(&checks, &md5, 201, &[(MD5, &md5.value)]), Verdict::Taken);
        assert!(checks.are_confirmed());
        // A block that was on its way.
        assert_eq!(
            judged(&checks, &crc, 500, &[("x-ms-error-code", "FeatureNotSupported")]),
            Verdict::OtherCheck
        );
        assert!(checks.are_confirmed());
        assert_eq!(judged(&checks, &md5, 201, &[]), Verdict::Taken);
        assert!(!checks.are_confirmed());
    }

    #[test]
    fn refusals_of_what_arrived_and_of_the_header_differ() {
        for code in ["Crc64Mismatch", "Md5Mismatch"] {
            let checks = BlockChecks::default();
            let crc = checks.of(b"block");
            assert_eq!(judged(&checks, &crc, 400, &[("x-ms-error-code", code)]), Verdict::Damaged);
            assert_eq!(judged(&checks, &crc, 403, &[]), Verdict::Other);
            assert_eq!(checks.of(b"block").name, CRC64);
        }
        let checks = BlockChecks::default();
        let crc = checks.of(b"block");
        assert_eq!(
            judged(&checks, &crc, 400, &[("x-ms-error-code", "UnsupportedHeader")]),
            Verdict::OtherCheck
        );
        assert_eq!(checks.of(b"block").name, MD5);
    }
}
