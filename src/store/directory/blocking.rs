//! File work on threads that may block, and files read as streams there.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::ops::{Deref, Range};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;

use crate::store::contract::EntryStream;
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::threads::blocking::blocking as on_thread;

/// The size of a chunk in bytes: large enough that switching threads for each costs little. `object_store` itself
/// reads files in pieces of 8 KiB, each on another thread.
const CHUNK: u64 = 1 << 20;

/// Runs file work of the store at `root` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    root: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    on_thread(work).await.unwrap_or_else(|error| {
        let message = format!("work on the store at {} was aborted", root.display());
        Err(StoreError::new(StoreErrorKind::Other, message).caused_by(error))
    })
}

/// The first `size` bytes of a file, which is closed at the end; fails if the file ends before.
pub(super) fn stream<F>(file: F, size: u64, place: String) -> EntryStream
where
    F: Deref<Target = File> + Send + 'static,
{
    let whole = 0..size;
    ranges(file, [whole], place)
}

/// Ranges of a file, which is closed at the end, in the order given; fails if the file ends before.
pub(super) fn ranges<F>(file: F, ranges: impl Into<VecDeque<Range<u64>>>, place: String) -> EntryStream
where
    F: Deref<Target = File> + Send + 'static,
{
    let state = (file, ranges.into(), place);
    futures::stream::try_unfold(state, |(file, mut ranges, place)| async move {
        while ranges.front().is_some_and(Range::is_empty) {
            ranges.pop_front();
        }
        let Some(range) = ranges.front_mut() else { return Ok(None) };
        let part = range.start..range.end.min(range.start + CHUNK);
        let left = range.end - range.start;
        let read = on_thread(move || {
            let mut chunk = Vec::with_capacity(usize::try_from(part.end - part.start).unwrap_or(0));
            let sought = (&*file).seek(SeekFrom::Start(part.start));
            let read = sought.and_then(|_| (&*file).take(part.end - part.start).read_to_end(&mut chunk));
            (file, chunk, read)
        });
        let (file, chunk, result) = read.await.map_err(|error| {
            StoreError::new(StoreErrorKind::Other, format!("reading {place} was aborted")).caused_by(error)
        })?;
        result.map_err(|error| StoreError::of_io("read", &place, Access::Read, error))?;
        if chunk.is_empty() {
            return Err(StoreError::too_short(&place, left));
        }
        range.start += chunk.len() as u64;
        Ok(Some((Bytes::from(chunk), (file, ranges, place))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn ranges_come_in_the_order_that_is_asked_for() {
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, b"0123456789").expect("written");
        let read: Vec<Bytes> =
            ranges(Box::new(file), [7..9, 0..0, 1..4], "x".to_owned()).try_collect().await.expect("read");
        assert_eq!(read.concat(), b"78123");
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_not_read_as_a_short_one() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(2 * CHUNK + 5).expect("a length");
        let whole: Result<Vec<Bytes>, StoreError> =
            stream(Box::new(file.try_clone().expect("a clone")), 2 * CHUNK + 5, "x".to_owned())
                .try_collect()
                .await;
        assert_eq!(
            whole.expect("it is all there").iter().map(Bytes::len).sum::<usize>() as u64,
            2 * CHUNK + 5
        );
        let cut: Result<Vec<Bytes>, StoreError> =
            stream(Box::new(file), 2 * CHUNK + 6, "x".to_owned()).try_collect().await;
        assert_eq!(cut.expect_err("it is too short").kind(), StoreErrorKind::Corrupt);
    }
}
