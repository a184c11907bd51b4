//! Reading an object: in ranges, several at once, all of the version that the entity tag names.
//!
//! A range that breaks off is asked for again from where it stopped. Memory is bounded by the ranges ahead of the reader.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio_util::task::AbortOnDropHandle;

use crate::store::contract::EntryStream;
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::http::attempts::{Failures, retry_in};
use crate::transport::http::retry::Verdict;

use super::failure::store_error;
use super::http::Requests;

/// Bytes of one range.
const RANGE: u64 = 8 << 20;

/// Upper bound for the ranges that are fetched, or wait for their turn, at once.
const AT_ONCE: usize = 5;

/// Bytes after which earlier failures of a range do not count any more.
const PROGRESS: usize = 1 << 20;

/// What ranges are fetched from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// What bounds the requests and where their retries are reported.
    pub(super) requests: Requests,
    /// The object, for messages.
    pub(super) place: String,
}

/// Streams an object in order. The stream ends after all its bytes or with an error; dropped, it ends its requests.
pub(super) fn stream(source: &Source, object: &ObjectMeta) -> EntryStream {
    let whole = 0..object.size;
    ranges(source, object, vec![whole])
}

/// Streams ranges of an object, in the order given, in the same way.
pub(super) fn ranges(source: &Source, object: &ObjectMeta, ranges: Vec<Range<u64>>) -> EntryStream {
    let (source, object) = (source.clone(), object.clone());
    let step = usize::try_from(RANGE).unwrap_or(usize::MAX);
    let cut = move |range: Range<u64>| {
        range.clone().step_by(step).map(move |start| (start, range.end.min(start + RANGE)))
    };
    futures::stream::iter(ranges.into_iter().flat_map(cut))
        .map(move |(start, end)| {
            let (source, object) = (source.clone(), object.clone());
            let place = source.place.clone();
            // A task of its own, so that it goes on while the reader is busy.
            let task =
                AbortOnDropHandle::new(tokio::spawn(async move { source.range(&object, start, end).await }));
            async move {
                // A runtime that shuts down ends its tasks.
                task.await.map_err(|_| {
                    StoreError::new(StoreErrorKind::Interrupted, format!("cannot read {place}"))
                })?
            }
        })
        .buffered(AT_ONCE)
        .boxed()
}

impl Source {
    /// Fetches `start..end`, from where it stopped after every failure.
    pub(super) async fn range(&self, object: &ObjectMeta, start: u64, end: u64) -> Result<Bytes, StoreError> {
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let mut whole = BytesMut::with_capacity(length);
        let options = self.requests.options();
        let (mut failures, mut counted_from) = (Failures::default(), 0);
        let mut is_renewed = false;
        loop {
            let from = start + whole.len() as u64;
            let begun = Instant::now();
            // The client has repeated a request that fails here.
            let answered = self.objects.get_opts(&object.location, pinned(object, from..end)).await;
            let answered = match answered {
                Ok(answered) => answered,
                Err(error) => match self.requests.refusal_of_credential(&error).filter(|_| !is_renewed) {
                    Some(refusal) => {
                        self.requests.renew_credential(&refusal, begun).await;
                        is_renewed = true;
                        continue;
                    }
                    None => return Err(store_error("read", &self.place, Access::Read, &error)),
                },
            };
            let broken = append(answered.into_stream(), &mut whole).await;
            if whole.len() == length && broken.is_ok() {
                return Ok(whole.freeze());
            }
            if whole.len() > length {
                let message = format!("{} has more bytes than its size", self.place);
                return Err(StoreError::new(StoreErrorKind::Corrupt, message));
            }
            if whole.len() - counted_from >= PROGRESS {
                failures.reset();
                counted_from = whole.len();
            }
            let Some(wait) = failures.wait(&options.retry, Verdict::Retry, options.deadline) else {
                let missing = (length - whole.len()) as u64;
                return Err(match broken {
                    Ok(()) => StoreError::too_short(&self.place, missing),
                    Err(error) => store_error("read", &self.place, Access::Read, &error),
                });
            };
            self.requests.details().tell(format_args!(
                "{}: {}: a range broke off",
                retry_in(wait),
                self.place
            ));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = options.cancel.cancelled() => {
                    return Err(StoreError::new(StoreErrorKind::Interrupted, format!("cannot read {}", self.place)));
                }
            }
        }
    }
}

/// A part of exactly this version of an object.
fn pinned(object: &ObjectMeta, range: Range<u64>) -> GetOptions {
    GetOptions {
        if_match: object.e_tag.clone(),
        range: Some(GetRange::Bounded(range)),
        ..GetOptions::default()
    }
}

async fn append(
    mut chunks: BoxStream<'static, object_store::Result<Bytes>>,
    whole: &mut BytesMut,
) -> object_store::Result<()> {
    while let Some(chunk) = chunks.try_next().await? {
        whole.extend_from_slice(&chunk);
    }
    Ok(())
}
