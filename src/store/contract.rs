//! The contract that every store keeps. A store that can also be listed and cleaned is a
//! [`Catalog`](super::catalog::Catalog).

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt};

use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;

use super::error::StoreError;

/// Returns the time, for stores without a clock of their own.
pub type Clock = fn() -> DateTime<Utc>;

/// The bytes of an entry in order, in chunks of any size; they add up to [`Entry::size`].
pub type EntryStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// The name of an entry to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The ref that it will belong to.
    pub scope: Scope,
    /// The key.
    pub key: Key,
    /// The layout of the cache.
    pub version: Version,
}

/// The outcome of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// An entry is visible to every reader.
    Created {
        /// The entry.
        entry: Entry,
        /// Whether the store compared all that arrived with a checksum of what was sent, as far as its answers show.
        is_checked: bool,
    },
    /// Another entry has this scope, key and version; it is unchanged and nothing was added.
    Exists,
}

/// Where entries live.
///
/// Entries are immutable. Several processes, on several machines where the store is shared, may use one
/// store at the same time. An error means that nothing became visible.
#[async_trait]
pub trait Store: Send + Sync {
    /// The location for messages: a path or a URL, without secrets.
    fn location(&self) -> String;

    /// The entry that [`LookupRequest::choose`] chooses among all entries of the store.
    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError>;

    /// Opens an entry for reading.
    ///
    /// Fails with [`StoreErrorKind::NotFound`](super::StoreErrorKind::NotFound) if the entry has vanished, also if
    /// another entry was created under its name since. A stream that ends without an error has delivered the whole
    /// entry. Where the store has leases, the entry is leased until the stream is dropped or has ended.
    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError>;

    /// Parts of an entry: as [`Self::read`] would deliver them, each within [`Entry::size`]. Fails with
    /// [`StoreErrorKind::Corrupt`](super::StoreErrorKind::Corrupt) where it finds that the entry has another size.
    async fn read_parts(&self, entry: &Entry, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        picked(self.read(entry).await?, parts).await
    }

    /// Ranges of an entry as one stream, in ascending order: as [`Self::read`] would deliver them, each within
    /// [`Entry::size`].
    async fn read_ranges(&self, entry: &Entry, ranges: Vec<Range<u64>>) -> Result<EntryStream, StoreError> {
        Ok(within(self.read(entry).await?, ranges))
    }

    /// Whether the service itself deletes entries, such as those that were not used lately.
    fn evicts(&self) -> bool {
        false
    }

    /// Begins an upload. Nothing becomes visible before [`EntryWriter::commit`].
    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError>;

    /// Records that an entry is being restored, for [`Entry::last_used_at`], where the store does not record that by
    /// itself. Failures are ignored: a store that this user may only read serves all the same.
    async fn note_use(&self, entry: &Entry);

    /// The location of the fallback that is used because the store does not answer; `None` while it does, or has none.
    fn fallback_in_use(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Arc<S> {
    fn location(&self) -> String {
        (**self).location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        (**self).lookup(request).await
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        (**self).read(entry).await
    }

    async fn read_parts(&self, entry: &Entry, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        (**self).read_parts(entry, parts).await
    }

    async fn read_ranges(&self, entry: &Entry, ranges: Vec<Range<u64>>) -> Result<EntryStream, StoreError> {
        (**self).read_ranges(entry, ranges).await
    }

    fn evicts(&self) -> bool {
        (**self).evicts()
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        (**self).create(new).await
    }

    async fn note_use(&self, entry: &Entry) {
        (**self).note_use(entry).await;
    }

    fn fallback_in_use(&self) -> Option<String> {
        (**self).fallback_in_use()
    }
}

/// Parts of a stream, which is read as far as the last of them reaches.
pub(super) async fn picked(mut stream: EntryStream, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
    let mut picked = vec![BytesMut::new(); parts.len()];
    let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
    let mut position = 0;
    while position < end
        && let Some(chunk) = stream.try_next().await?
    {
        let next = position + chunk.len() as u64;
        for (part, bytes) in parts.iter().zip(&mut picked) {
            let (from, to) = (part.start.clamp(position, next), part.end.clamp(position, next));
            // Both are within the chunk.
            let within = |at: u64| usize::try_from(at - position).unwrap_or(chunk.len());
            bytes.extend_from_slice(&chunk[within(from)..within(to)]);
        }
        position = next;
    }
    Ok(picked.into_iter().map(BytesMut::freeze).collect())
}

/// Ranges of a stream, in ascending order; it is read as far as the last of them reaches.
pub(super) fn within(stream: EntryStream, ranges: Vec<Range<u64>>) -> EntryStream {
    struct State {
        stream: EntryStream,
        /// What was read and not handed on, and where in the entry it begins.
        chunk: Bytes,
        position: u64,
        ranges: VecDeque<Range<u64>>,
    }
    let state = State { stream, chunk: Bytes::new(), position: 0, ranges: ranges.into() };
    let next = |mut state: State| async move {
        loop {
            let Some(range) = state.ranges.front_mut() else { return Ok(None) };
            if range.is_empty() {
                state.ranges.pop_front();
                continue;
            }
            // Both are no longer than the chunk.
            let in_chunk =
                |bytes: u64| usize::try_from(bytes).map_or(state.chunk.len(), |it| it.min(state.chunk.len()));
            let skipped = in_chunk(range.start.saturating_sub(state.position));
            state.chunk.advance(skipped);
            state.position += skipped as u64;
            let length =
                usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(state.chunk.len());
            if length > 0 {
                let part = state.chunk.split_to(length);
                state.position += length as u64;
                range.start += length as u64;
                return Ok(Some((part, state)));
            }
            match state.stream.try_next().await? {
                Some(chunk) => state.chunk = chunk,
                None => return Ok(None),
            }
        }
    };
    futures::stream::try_unfold(state, next).boxed()
}

/// An upload in progress. Dropping it without a commit leaves nothing visible and removes what it can.
#[async_trait]
pub trait EntryWriter: Send {
    /// Adds bytes at the end. After an error the upload can only be aborted, also if the kind is
    /// [`StoreErrorKind::Exists`](super::StoreErrorKind::Exists).
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// Makes the whole entry visible in one step, unless its name is taken. Where the store has leases, the entry is leased until
    /// the next operation of this store, such as reading it back. After an error it is not visible, as far
    /// as the store knows.
    async fn commit(self: Box<Self>) -> Result<Commit, StoreError>;

    /// Ends the upload and removes its bytes.
    async fn abort(self: Box<Self>);
}

/// Operations in terms of [`Store`], for tests and small entries.
#[async_trait]
pub trait StoreExt: Store {
    /// Creates an entry with these bytes.
    async fn put(&self, new: NewEntry, bytes: Bytes) -> Result<Commit, StoreError> {
        let mut writer = self.create(new).await?;
        if let Err(error) = writer.write(bytes).await {
            writer.abort().await;
            return Err(error);
        }
        writer.commit().await
    }

    /// All bytes of an entry.
    async fn get(&self, entry: &Entry) -> Result<Bytes, StoreError> {
        let mut stream = self.read(entry).await?;
        let mut whole = BytesMut::new();
        while let Some(chunk) = stream.try_next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The entry with exactly this scope, key and version.
    async fn find(&self, scope: &Scope, key: &Key, version: &Version) -> Result<Option<Entry>, StoreError> {
        let request = LookupRequest {
            exact: false,
            key: key.clone(),
            restore_keys: Vec::new(),
            version: version.clone(),
            scopes: vec![scope.clone()],
        };
        Ok(self.lookup(&request).await?.filter(|entry| entry.key == *key))
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn ranges_of_a_stream_are_what_lies_there(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            cuts in proptest::collection::btree_set(0..60_u64, 0..8),
        ) {
            let whole: Vec<u8> = chunks.concat();
            let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut <= whole.len() as u64).collect();
            let (pairs, _) = cuts.as_chunks::<2>();
            let ranges: Vec<Range<u64>> = pairs.iter().map(|[start, end]| *start..*end).collect();
            let expect: Vec<u8> = ranges
                .iter()
                .flat_map(|range| whole.iter().skip(usize::try_from(range.start).expect("small")).take(usize::try_from(range.end - range.start).expect("small")))
                .copied()
                .collect();
            let stream = futures::stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk)))).boxed();
            let read: Vec<Bytes> = futures::executor::block_on(within(stream, ranges).try_collect()).expect("no error");
            prop_assert_eq!(read.concat(), expect);
        }
    }
}
