//! Reading an object as a stream of chunks of a good size.

use std::fs::File;
use std::io::Read;
use std::ops::Deref;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use crate::store::contract::EntryStream;
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::failure::store_error;
use super::lease::Locked;

/// An object that was opened.
pub(super) struct Opened {
    /// What it is.
    pub(super) meta: ObjectMeta,
    /// Where its bytes come from.
    pub(super) payload: Payload,
}

/// Where the bytes of an object come from.
pub(super) enum Payload {
    /// A file, leased until it is closed.
    File(Locked),
    /// A service.
    Stream(BoxStream<'static, object_store::Result<Bytes>>),
}

/// The size of a chunk that is read from a file: large enough that a switch of threads costs nothing.
const CHUNK: u64 = 1 << 20;

/// The bytes of an object; fails where they end before its size.
pub(super) fn stream(found: Opened, place: String) -> EntryStream {
    let size = found.meta.size;
    match found.payload {
        Payload::File(file) => of_file(file, size, place),
        Payload::Stream(chunks) => {
            let context = place.clone();
            let chunks = chunks.map_err(move |error| store_error("read", &context, Access::Read, error));
            checked(chunks.boxed(), size, place)
        }
    }
}

/// `object_store` itself reads files in pieces of 8 KiB, each on another thread.
fn of_file<F>(file: F, size: u64, place: String) -> EntryStream
where
    F: Deref<Target = File> + Send + 'static,
{
    let state = (file, size, place);
    futures::stream::try_unfold(state, |(file, left, place)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = Vec::with_capacity(usize::try_from(left.min(CHUNK)).unwrap_or(0));
            let result = (&*file).take(left.min(CHUNK)).read_to_end(&mut chunk);
            (file, chunk, result)
        });
        let (file, chunk, result) = read.await.map_err(|error| unfinished(&place, error))?;
        result.map_err(|error| StoreError::of_io("read", &place, Access::Read, error))?;
        if chunk.is_empty() {
            return Err(too_short(&place, left));
        }
        let left = left - chunk.len() as u64;
        Ok(Some((Bytes::from(chunk), (file, left, place))))
    })
    .boxed()
}

/// Passes chunks on and fails where fewer or more come than the size that was promised.
fn checked(chunks: EntryStream, size: u64, place: String) -> EntryStream {
    futures::stream::try_unfold((chunks, size, place), |(mut chunks, left, place)| async move {
        match chunks.try_next().await? {
            None if left == 0 => Ok(None),
            None => Err(too_short(&place, left)),
            Some(chunk) => match left.checked_sub(chunk.len() as u64) {
                Some(left) => Ok(Some((chunk, (chunks, left, place)))),
                None => Err(StoreError::new(
                    StoreErrorKind::Corrupt,
                    format!("{place} has more bytes than its size"),
                )),
            },
        }
    })
    .boxed()
}

fn too_short(place: &str, missing: u64) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("{place} ends {missing} bytes before its size"))
}

fn unfinished(place: &str, error: tokio::task::JoinError) -> StoreError {
    StoreError::new(StoreErrorKind::Other, format!("reading {place} was broken off")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(promised: u64, chunks: &[&'static [u8]]) -> Result<Vec<Bytes>, StoreErrorKind> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        let stream = checked(futures::stream::iter(chunks).boxed(), promised, "x".to_owned());
        stream.try_collect().await.map_err(|error: StoreError| error.kind())
    }

    #[tokio::test]
    async fn a_stream_that_ends_has_delivered_everything() {
        assert_eq!(read(3, &[b"ab", b"c"]).await.map(|chunks| chunks.concat()), Ok(b"abc".to_vec()));
        assert_eq!(read(4, &[b"ab", b"c"]).await, Err(StoreErrorKind::Corrupt));
        assert_eq!(read(2, &[b"ab", b"c"]).await, Err(StoreErrorKind::Corrupt));
        assert_eq!(read(1, &[]).await, Err(StoreErrorKind::Corrupt));
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_not_read_as_a_short_one() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(2 * CHUNK + 5).expect("a length");
        let whole: Result<Vec<Bytes>, StoreError> =
            of_file(Box::new(file.try_clone().expect("a clone")), 2 * CHUNK + 5, "x".to_owned())
                .try_collect()
                .await;
        assert_eq!(
            whole.expect("it is all there").iter().map(Bytes::len).sum::<usize>() as u64,
            2 * CHUNK + 5
        );
        let cut: Result<Vec<Bytes>, StoreError> =
            of_file(Box::new(file), 2 * CHUNK + 6, "x".to_owned()).try_collect().await;
        assert_eq!(cut.expect_err("it is too short").kind(), StoreErrorKind::Corrupt);
    }
}
