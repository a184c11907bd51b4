//! Thin entries, opened together with the entries that they take content from.

use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::context::{Context, Deadline};
use crate::archive::{self, ArchiveError, Frames, Listing, Parent, SegmentRange};
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::key::Key;
use crate::domain::thin;
use crate::domain::version::Version;
use crate::store::{StoreError, StoreErrorKind};
use crate::transport::pipe::{self, PipeReader};

/// An entry with a list, and what it takes content from.
pub(super) struct Generation {
    /// Its list.
    pub(super) listing: Listing,
    /// Where the frames of its parents lie, in their order.
    pub(super) frames: Vec<Frames>,
    /// The entry itself, then its parents.
    entries: Vec<Entry>,
}

impl Generation {
    /// Notes that an entry is used, reads its list, and asks for its parents: the newest first and the base last, so that a service that evicts what
    /// was not asked for keeps them longer than the entries that need them. `None` for an entry without a list.
    ///
    /// # Errors
    /// The entry or one of its parents is gone, or is not what it was.
    pub(super) fn open<E>(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<Option<Self>, E>
    where
        E: From<StoreError> + From<ArchiveError>,
    {
        let ctx = cache.ctx;
        let read = |of: &Entry, parts: &[Range<u64>]| {
            ctx.wait::<_, StoreError>(deadline, ctx.store().read_parts(of, parts)).map_err(E::from)
        };
        note_use(cache, entry);
        let listing = archive::read_listing(entry.size.0, |parts| read(entry, parts))?;
        let Some(listing) = listing else { return Ok(None) };
        let (mut frames, mut entries) = (Vec::new(), Vec::new());
        for parent in listing.manifest.parents.iter().rev() {
            let found = find(cache, parent, deadline)?.ok_or_else(|| gone(entry, parent))?;
            frames.push(archive::read_frames(parent, |parts| read(&found, parts))?);
            entries.push(found);
        }
        frames.reverse();
        entries.push(entry.clone());
        entries.reverse();
        Ok(Some(Generation { listing, frames, entries }))
    }

    /// Reads ranges of the entry and its parents, in their order.
    pub(super) fn reader(
        &self,
        ctx: &Context<'_>,
        ranges: Vec<SegmentRange>,
        cancel: &CancellationToken,
    ) -> PipeReader {
        let mut runs: Vec<(usize, Vec<Range<u64>>)> = Vec::new();
        for SegmentRange { segment, range } in ranges {
            match runs.last_mut() {
                Some((last, ranges)) if *last == segment => ranges.push(range),
                _ => runs.push((segment, vec![range])),
            }
        }
        let runs: Vec<_> =
            runs.into_iter().map(|(segment, ranges)| (self.entries[segment].clone(), ranges)).collect();
        let store = Arc::clone(ctx.store.get());
        let open = move |(entry, ranges)| {
            let store = store.clone();
            async move { store.read_ranges(&entry, ranges).await }
        };
        let stream = futures::stream::iter(runs).then(open).try_flatten();
        pipe::reader(&ctx.runtime, stream, cancel)
    }
}

/// The entry that a thin one takes content from, if it is there and has the size that it had.
fn find(cache: &Cache<'_>, parent: &Parent, deadline: &Deadline) -> Result<Option<Entry>, StoreError> {
    let ctx = cache.ctx;
    let name = Key::new(parent.key.clone()).ok().zip(Version::parse(&parent.version));
    let Some((key, version)) = name else { return Ok(None) };
    let scopes = cache.access().readable;
    let request = LookupRequest { key, restore_keys: Vec::new(), version, scopes, exact: true };
    let found = ctx.wait(deadline, ctx.store().lookup(&request))?;
    let found = found.filter(|entry| entry.size.0 == parent.archive_bytes);
    if let Some(entry) = &found {
        note_use(cache, entry);
    }
    Ok(found)
}

fn note_use(cache: &Cache<'_>, entry: &Entry) {
    let ctx = cache.ctx;
    let noted = async {
        ctx.store().note_use(entry).await;
        Ok::<_, StoreError>(())
    };
    let _ = ctx.wait_for_store(noted);
}

fn gone(entry: &Entry, parent: &Parent) -> StoreError {
    let parent = Key::new(parent.key.clone())
        .map_or_else(|_| parent.key.clone(), |key| thin::saved_for(&key).to_string());
    let message = format!("`{parent}`, which `{}` takes content from, is gone", thin::saved_for(&entry.key));
    StoreError::new(StoreErrorKind::NotFound, message)
}
