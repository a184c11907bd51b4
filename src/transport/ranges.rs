//! One blob, fetched in parallel ranges and delivered in order.
//!
//! Every range is asked for with `If-Match`, so that parts of two versions never mix; a range that breaks,
//! hangs or crawls is asked for again from where it stopped, and a signed URL that has expired is resolved
//! again once for all ranges. Memory is bounded by the ranges ahead of the reader.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_MATCH, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::download::{PROGRESS, SpeedGuard, bounded, refuse_status};
use super::http::attempts::Attempts;
use super::http::client::Client;
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;

/// What the server says of a blob: in the response to a HEAD request, or once it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobFacts {
    /// Its bytes.
    pub size: u64,
    /// The name of this version of it, with quotes.
    pub etag: String,
    /// When this version was written, by the server's clock.
    pub last_modified: Option<DateTime<Utc>>,
}

/// Makes a new signed URL for the same blob, when the old one has expired.
pub(crate) type Resolve = Arc<dyn Fn() -> BoxFuture<'static, Result<Url, Cause>> + Send + Sync>;

/// A blob that can be read.
pub(crate) struct OpenedBlob {
    /// Its signed URL.
    pub url: Url,
    /// What the server says of it.
    pub facts: BlobFacts,
    /// Makes a new URL when that one has expired.
    pub resolve: Resolve,
    /// What bounds its requests.
    pub options: FetchOptions,
}

/// How a blob is cut.
#[derive(Debug, Clone)]
pub struct RangeOptions {
    /// Bytes of one range.
    pub range_size: u64,
    /// Ranges that are fetched, or wait for their turn, at once.
    pub in_flight: usize,
}

impl Default for RangeOptions {
    /// Eight ranges of 5 MiB: 40 MiB in memory at the most.
    fn default() -> Self {
        RangeOptions { range_size: 5 << 20, in_flight: 8 }
    }
}

/// How often one range may meet an expired URL with less than [`PROGRESS`] in between.
const RENEWALS: u32 = 2;

/// Sends a HEAD request for a blob.
pub(crate) async fn facts(
    client: &Client,
    url: &Url,
    options: &FetchOptions,
) -> Result<BlobFacts, FetchError> {
    let mut attempts = Attempts::new(options, client.details());
    loop {
        match facts_once(client, url, options).await {
            Ok(facts) => return Ok(facts),
            Err(cause) => attempts.pause(cause, url).await.map_err(|cause| cause.at(url))?,
        }
    }
}

async fn facts_once(client: &Client, url: &Url, options: &FetchOptions) -> Result<BlobFacts, Cause> {
    let timeouts = client.timeouts();
    let request = client.request(Method::HEAD, url)?;
    let answered = bounded(options, timeouts.connect + timeouts.idle, request.send()).await?;
    let response = answered.map_err(|error| Cause::of_request(error, 0, timeouts.idle))?;
    refuse_status(&response, options.clock)?;
    let headers = response.headers();
    let size = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let (Some(size), Some(etag)) = (size, text(headers, &ETAG)) else {
        return Err(Cause::Protocol("the server says neither length nor version of the blob".to_owned()));
    };
    Ok(BlobFacts { size, etag: etag.to_owned(), last_modified: last_modified(headers) })
}

/// When a blob was written, by the headers of an answer about it.
pub(super) fn last_modified(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text(headers, &LAST_MODIFIED)?).ok().map(|date| date.with_timezone(&Utc))
}

fn text<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A signed URL that all ranges share.
struct Shared {
    client: Client,
    /// How often it was resolved, and what it is.
    url: Mutex<(u32, Url)>,
    resolve: Resolve,
    facts: BlobFacts,
    if_match: HeaderValue,
    options: FetchOptions,
}

/// Streams ranges of a blob in the order given. The stream ends after their last byte or with an error; dropped, it
/// ends its requests. It must be created within a tokio runtime.
pub(crate) fn stream(
    client: &Client,
    blob: OpenedBlob,
    wanted: Vec<Range<u64>>,
    ranges: &RangeOptions,
) -> Result<BoxStream<'static, Result<Bytes, FetchError>>, FetchError> {
    let state = InOrder {
        shared: Shared::new(client, blob)?,
        left: wanted.into(),
        range_size: ranges.range_size.max(1),
        in_flight: ranges.in_flight.max(1),
        ahead: VecDeque::new(),
        failed: false,
    };
    Ok(futures::stream::unfold(
        state,
        |mut state| async move { state.next().await.map(|part| (part, state)) },
    )
    .boxed())
}

/// Fetches parts of a blob, one after the other, each within its size.
pub(crate) async fn parts(
    client: &Client,
    blob: OpenedBlob,
    parts: &[Range<u64>],
) -> Result<Vec<Bytes>, FetchError> {
    let shared = Shared::new(client, blob)?;
    let mut fetched = Vec::with_capacity(parts.len());
    for part in parts {
        if part.is_empty() {
            fetched.push(Bytes::new());
            continue;
        }
        fetched.push(fetch_range(Arc::clone(&shared), part.start, part.end).await?);
    }
    Ok(fetched)
}

/// The ranges ahead of the reader, the next one first. They are tasks of their own, so that they go on
/// while the reader is busy.
struct InOrder {
    shared: Arc<Shared>,
    /// What is still to be asked for.
    left: VecDeque<Range<u64>>,
    range_size: u64,
    in_flight: usize,
    ahead: VecDeque<JoinHandle<Result<Bytes, FetchError>>>,
    failed: bool,
}

impl InOrder {
    async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        if self.failed {
            return None;
        }
        while self.ahead.len() < self.in_flight
            && let Some(range) = self.left.front_mut()
        {
            let end = range.end.min(range.start + self.range_size);
            if range.start < end {
                self.ahead.push_back(tokio::spawn(fetch_range(Arc::clone(&self.shared), range.start, end)));
            }
            range.start = end;
            if range.start >= range.end {
                self.left.pop_front();
            }
        }
        let part = match self.ahead.front_mut()?.await {
            Ok(part) => part,
            // A runtime that shuts down ends its tasks.
            Err(_) => Err(Cause::Cancelled.at(&self.shared.url.lock().await.1)),
        };
        self.ahead.pop_front();
        self.failed = part.is_err();
        Some(part)
    }
}

impl Drop for InOrder {
    fn drop(&mut self) {
        self.ahead.iter().for_each(JoinHandle::abort);
    }
}

/// Fetches `first..end`, from where it stopped after every failure.
async fn fetch_range(shared: Arc<Shared>, first: u64, end: u64) -> Result<Bytes, FetchError> {
    // A range is some megabytes; where that does not fit `usize`, nothing is allocated ahead.
    let mut whole = BytesMut::with_capacity(usize::try_from(end - first).unwrap_or(0));
    let mut attempts = Attempts::new(&shared.options, shared.client.details());
    let (mut renewals, mut counted_from) = (0, 0);
    loop {
        let (generation, url) = shared.url.lock().await.clone();
        let Err(cause) = shared.fetch_part(&url, first, end, &mut whole).await else {
            return Ok(whole.freeze());
        };
        // Less than that may come with every failure, and a range would never end.
        if (whole.len() - counted_from) as u64 >= PROGRESS {
            attempts.progressed();
            (renewals, counted_from) = (0, whole.len());
        }
        let cause = match cause {
            Cause::Denied(_) if renewals < RENEWALS => {
                renewals += 1;
                match shared.renew(generation).await {
                    Ok(()) => continue,
                    Err(cause) => cause,
                }
            }
            cause => cause,
        };
        attempts.pause(cause, &url).await.map_err(|cause| cause.at(&url))?;
    }
}

impl Shared {
    fn new(client: &Client, blob: OpenedBlob) -> Result<Arc<Self>, FetchError> {
        let OpenedBlob { url, facts, resolve, options } = blob;
        let if_match = HeaderValue::from_str(&facts.etag).map_err(|_| {
            Cause::Protocol("the version of the blob is not a valid header value".to_owned()).at(&url)
        })?;
        let url = Mutex::new((0, url));
        Ok(Arc::new(Shared { client: client.clone(), url, resolve, facts, if_match, options }))
    }

    /// Resolves the URL again, unless another range has done so since this one took it.
    async fn renew(&self, generation: u32) -> Result<(), Cause> {
        let mut url = self.url.lock().await;
        if url.0 == generation {
            self.client.details().tell(format_args!(
                "the signed URL of {} has expired and is resolved again",
                super::http::address::shown(&url.1)
            ));
            let renewed = (self.resolve)().await?;
            *url = (generation + 1, renewed);
        }
        Ok(())
    }

    async fn fetch_part(&self, url: &Url, first: u64, end: u64, whole: &mut BytesMut) -> Result<(), Cause> {
        let timeouts = self.client.timeouts();
        let from = first + whole.len() as u64;
        let request = self
            .client
            .request(Method::GET, url)?
            .header(RANGE, format!("bytes={from}-{}", end - 1))
            .header(IF_MATCH, self.if_match.clone());
        let answered = bounded(&self.options, timeouts.connect + timeouts.idle, request.send()).await?;
        let mut response = answered.map_err(|error| Cause::of_request(error, from, timeouts.idle))?;
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return Err(changed(from));
        }
        refuse_status(&response, self.options.clock)?;
        self.check_part(&response, from, end)?;
        let mut speed = SpeedGuard::new(timeouts.least_speed, timeouts.speed_window);
        let mut missing = end - from;
        while missing > 0 {
            let begun = Instant::now();
            let piece = bounded(&self.options, timeouts.idle, response.chunk()).await?;
            let received = end - missing;
            let piece = piece.map_err(|error| Cause::of_request(error, received, timeouts.idle))?;
            let Some(piece) = piece else {
                return Err(Cause::Truncated { received: received - first, expected: end - first });
            };
            if piece.len() as u64 > missing {
                return Err(Cause::Protocol("the server sends more than was asked for".to_owned()));
            }
            missing -= piece.len() as u64;
            whole.extend_from_slice(&piece);
            if missing > 0 && speed.is_too_slow(begun.elapsed(), piece.len() as u64) {
                return Err(Cause::TooSlow { floor: timeouts.least_speed });
            }
        }
        Ok(())
    }

    /// Checks that an answer is this part of this version of the blob.
    fn check_part(&self, response: &Response, from: u64, end: u64) -> Result<(), Cause> {
        let headers = response.headers();
        if text(headers, &ETAG).is_some_and(|etag| etag != self.facts.etag) {
            return Err(changed(from));
        }
        let is_whole = from == 0 && end == self.facts.size;
        let expect = format!("bytes {from}-{}/{}", end - 1, self.facts.size);
        match response.status() {
            StatusCode::PARTIAL_CONTENT if text(headers, &CONTENT_RANGE) == Some(expect.as_str()) => Ok(()),
            StatusCode::OK if is_whole && response.content_length().is_none_or(|length| length == end) => {
                Ok(())
            }
            _ => Err(Cause::Protocol("the server sends another part than was asked for".to_owned())),
        }
    }
}

fn changed(received: u64) -> Cause {
    Cause::CannotResume { received, reason: "the file has changed on the server" }
}
