//! Streams of remote objects that fail where they do not have the size that was promised.

use futures::{StreamExt, TryStreamExt};

use crate::store::contract::EntryStream;
use crate::store::error::{StoreError, StoreErrorKind};

/// The same chunks; fails if they do not add up to `size`.
pub(super) fn checked(chunks: EntryStream, size: u64, place: String) -> EntryStream {
    futures::stream::try_unfold((chunks, size, place), |(mut chunks, left, place)| async move {
        match chunks.try_next().await? {
            None if left == 0 => Ok(None),
            None => Err(StoreError::too_short(&place, left)),
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

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
}
