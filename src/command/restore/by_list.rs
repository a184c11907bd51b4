//! Entries unpacked by their lists: only what is not below the targets already is read.

use super::deliver::{DeliverError, Destinations, accept, leave_absent};
use crate::archive::{self, AssembleRequest, Candidates, Composite, SegmentRange, Unpacked};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::command::generations::Generation;
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::unit::{ByteSize, counted};
use crate::fs::staging::Staging;

/// The most files of a full entry whose list is kept in memory: more are unpacked as a stream.
const MOST_FILES: u64 = 100_000;

/// Unpacks an entry beside its targets by its list: the trees of its roots, in their order, and what they hold.
pub(super) fn deliver(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
) -> Result<(Vec<Staging>, Unpacked), DeliverError> {
    let generation =
        Generation::open::<DeliverError>(cache, entry, deadline)?.ok_or_else(|| unlisted(entry))?;
    let composite = Composite::new(&generation.listing, &generation.frames)?;
    let candidates = archive::candidates(&composite, &cache.roots())?;
    assemble(cache, &generation, &composite, candidates, deadline)
}

/// The same of a full entry, where the targets seem to hold most of it, so that little of it need be read; `None` where they do not.
pub(super) fn deliver_missing(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
) -> Result<Option<(Vec<Staging>, Unpacked)>, DeliverError> {
    let Some(generation) = Generation::open::<DeliverError>(cache, entry, deadline)? else { return Ok(None) };
    let manifest = &generation.listing.manifest;
    if manifest.counts.files > MOST_FILES {
        return Ok(None);
    }
    let composite = Composite::new(&generation.listing, &generation.frames)?;
    let candidates = archive::candidates(&composite, &cache.roots())?;
    if candidates.likely_bytes() <= manifest.unpacked_bytes / 2 {
        return Ok(None);
    }
    assemble(cache, &generation, &composite, candidates, deadline).map(Some)
}

fn assemble(
    cache: &Cache<'_>,
    generation: &Generation,
    composite: &Composite<'_>,
    candidates: Candidates<'_>,
    deadline: &Deadline,
) -> Result<(Vec<Staging>, Unpacked), DeliverError> {
    let ctx = cache.ctx;
    let running = ctx.start(cache.name(), Phase::Restore);
    let present = candidates.proven(ctx.workers, &deadline.cancel)?;
    let text = format!(
        "{} of {} are there already",
        counted(present.len(), "file"),
        generation.listing.manifest.counts.files
    );
    ctx.report(Level::Debug, cache.name(), text);
    let Destinations { mut stagings, destinations } = Destinations::of(cache)?;
    let open = |ranges: Vec<SegmentRange>| {
        let read = ByteSize(ranges.iter().map(|part| part.range.end - part.range.start).sum());
        let text = format!("reading {read} of {}", counted(generation.frames.len() + 1, "entry"));
        ctx.report(Level::Debug, cache.name(), text);
        generation.reader(ctx, ranges, &deadline.cancel)
    };
    accept(cache, &generation.listing.manifest, &running.meter)?;
    let request = AssembleRequest { destinations, workers: ctx.workers, present };
    let unpacked = archive::assemble(request, composite, open, &deadline.cancel, &running.meter)?;
    leave_absent(&mut stagings, unpacked.manifest.as_ref()).map_err(Fault::from)?;
    Ok((stagings, unpacked))
}

fn unlisted(entry: &Entry) -> DeliverError {
    archive::ArchiveError::Damaged(format!("`{}` has no list of its files", entry.key)).into()
}
