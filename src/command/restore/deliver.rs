//! An entry unpacked beside its targets and published there, and why one is not.

use crate::archive::{
    self, ArchiveError, AssembleRequest, Candidates, Composite, Destination, Limits, Manifest, SegmentRange,
    Splitter, UnpackRequest, Unpacked,
};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::command::generations::Generation;
use crate::command::materialize::{Arrival, materialize};
use crate::command::notes::carried;
use crate::command::notes::receipt::{self, Receipt};
use crate::command::other_paths;
use crate::command::tools;
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Meter, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::thin::saved_for;
use crate::domain::unit::{ByteSize, counted};
use crate::fs::path_error::PathError;
use crate::fs::read;
use crate::fs::staging::Staging;
use crate::fs::volume::{self, Need, volume_of};
use crate::store::{StoreError, StoreErrorKind};
use crate::transport::pipe;
use crate::tree::fingerprint;
use crate::tree::selection::Selection;

/// How many entries an archive without our manifest may hold.
const FOREIGN_ENTRIES: u64 = 10_000_000;

/// The most files of a full entry whose list is kept in memory: more are unpacked as a stream.
const MOST_FILES: u64 = 100_000;

/// Why an entry that was found was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is damaged, hostile, or cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something else, such as a full volume, or trees that cannot be verified or published.
    #[error(transparent)]
    Other(#[from] Fault),
}

impl Hint for DeliverError {
    fn hint(&self) -> Option<String> {
        match self {
            DeliverError::Store(error) => error.hint(),
            DeliverError::Archive(error) => error.hint(),
            DeliverError::Other(error) => error.hint(),
        }
    }
}

impl DeliverError {
    /// Whether the entry was deleted after it was found, and nothing was begun.
    pub(super) fn is_vanished(&self) -> bool {
        matches!(self, DeliverError::Store(error) if error.kind() == StoreErrorKind::NotFound)
    }

    /// Whether the entry, or what it takes content from, is the cause, so that another entry may be restored.
    pub(super) fn is_of_entry(&self) -> bool {
        let is_gone = |error: &StoreError| error.kind() == StoreErrorKind::NotFound;
        let in_archive = || match self {
            DeliverError::Archive(error) => StoreError::in_causes_of(error).is_some_and(is_gone),
            _ => false,
        };
        self.is_vanished() || self.is_corrupt() || in_archive()
    }

    /// Whether the entry itself is bad, so that reading it again cannot help.
    pub(super) fn is_corrupt(&self) -> bool {
        match self {
            DeliverError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            DeliverError::Archive(error) => {
                let of_store = StoreError::in_causes_of(error);
                error.is_damage() || of_store.is_some_and(|error| error.kind() == StoreErrorKind::Corrupt)
            }
            DeliverError::Other(_) => false,
        }
    }
}

/// Unpacks an entry beside its targets and publishes it there.
pub(super) fn fetch(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<Unpacked, DeliverError> {
    let (stagings, unpacked) = if cache.is_thin(entry) {
        deliver_by_list(cache, entry, deadline)?
    } else if cache.roots().iter().any(|root| read::is_there(root))
        && let Some(delivered) = deliver_missing(cache, entry, deadline)?
    {
        delivered
    } else {
        deliver(cache, entry, deadline)?
    };
    let arrival = materialize(cache, stagings, "restored", deadline)?;
    if cache.spec.source_times {
        tools::source_times::put_back(cache, &deadline.cancel);
    }
    // Before the tool counts from zero: what it counted is part of the entry, and of no change.
    let uncounted = fingerprint::uncounted(&cache.selections, &deadline.cancel).map_err(Fault::from)?;
    if let Some(kind) = cache.spec.kind {
        tools::begin(cache, kind);
    }
    let quick = match arrival {
        Arrival::Mixed => None,
        Arrival::Untouched if is_left_alone(cache) => unpacked.looks.or_else(|| cache.quick().ok()),
        Arrival::Untouched | Arrival::Alone => cache.quick().ok(),
    };
    receipt::leave(cache, &Receipt::of_restored(entry, &unpacked, &uncounted, quick.as_ref()));
    carried::note_restored(cache, &saved_for(&entry.key));
    Ok(unpacked)
}

/// Whether a cache is as it was unpacked once it is published: all of it counts, and nothing is set back or counted from zero.
fn is_left_alone(cache: &Cache<'_>) -> bool {
    let counts = |selection: &Selection| selection.is_everything() && !selection.has_uncounted();
    cache.selections.iter().all(counts) && cache.spec.kind.is_none() && !cache.spec.source_times
}

/// Unpacks an entry beside its targets: the trees of its roots, in their order, and what they hold.
fn deliver(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
) -> Result<(Vec<Staging>, Unpacked), DeliverError> {
    let ctx = cache.ctx;
    let stream = ctx.wait(deadline, ctx.store().read(entry))?;
    // Even if it cannot be restored, it is in use. The lease of the read keeps it until then.
    let noted = async {
        ctx.store().note_use(entry).await;
        Ok::<_, StoreError>(())
    };
    let _ = ctx.wait_for_store(noted);
    let running = ctx.start(cache.name(), Phase::Restore);
    let Destinations { mut stagings, destinations } = Destinations::of(cache)?;
    let foreign = Limits { bytes: room_for_foreign(cache).map_err(Fault::from)?, entries: FOREIGN_ENTRIES };
    let archive = Splitter::open(pipe::reader(&ctx.runtime, stream, &deadline.cancel))?;
    if let Some(manifest) = archive.manifest() {
        accept(cache, manifest, &running.meter)?;
    }
    let request = UnpackRequest { destinations, workers: ctx.workers, foreign };
    let unpacked = archive::unpack(request, archive, &deadline.cancel, &running.meter)?;
    leave_absent(&mut stagings, unpacked.manifest.as_ref()).map_err(Fault::from)?;
    Ok((stagings, unpacked))
}

/// Unpacks an entry beside its targets by its list: the trees of its roots, in their order, and what they hold.
fn deliver_by_list(
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
fn deliver_missing(
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

/// Where the roots of a cache are unpacked.
struct Destinations {
    stagings: Vec<Staging>,
    destinations: Vec<Destination>,
}

impl Destinations {
    /// Empty trees beside the targets.
    fn of(cache: &Cache<'_>) -> Result<Self, Fault> {
        let stagings = cache.selections.iter().map(|selection| cache.staging(selection));
        let stagings = stagings.collect::<Result<Vec<_>, _>>()?;
        let destinations = cache.prefixes.iter().zip(&stagings).map(|(prefix, staging)| Destination {
            prefix: prefix.clone(),
            directory: staging.tree().to_owned(),
        });
        Ok(Destinations { destinations: destinations.collect(), stagings })
    }
}

/// Tells the meter how much will be unpacked. Refuses an archive that was saved from other paths, and one for which there is no room.
fn accept(cache: &Cache<'_>, manifest: &Manifest, meter: &Meter) -> Result<(), Fault> {
    meter.set_total(manifest.unpacked_bytes);
    meter.set_total_items(manifest.counts.files);
    match other_paths::of_manifest(cache, manifest) {
        Some(other) => Err(other.fault()),
        None => check_room(cache, manifest),
    }
}

/// Leaves the targets of roots alone that did not exist when the entry was saved. An archive without a manifest had no root of which
/// nothing came.
fn leave_absent(stagings: &mut [Staging], manifest: Option<&Manifest>) -> Result<(), PathError> {
    for (index, staging) in stagings.iter_mut().enumerate() {
        let is_absent = match manifest.and_then(|manifest| manifest.roots.get(index)) {
            Some(root) => root.entries == 0,
            None => staging.is_empty()?,
        };
        if is_absent {
            staging.leave_absent();
        }
    }
    Ok(())
}

/// Room for everything the manifest announces, on the volume of each root, beyond the reserve.
fn check_room(cache: &Cache<'_>, manifest: &Manifest) -> Result<(), Fault> {
    let need = |(selection, root): (&Selection, &archive::Root)| Need {
        path: selection.root.clone(),
        bytes: ByteSize(root.room()),
        inodes: root.entries,
    };
    let needs: Vec<_> = cache.selections.iter().zip(&manifest.roots).map(need).collect();
    volume::check_room(&needs, cache.ctx.reserve())
}

/// What an archive without a manifest may fill: the free room beyond the reserve.
fn room_for_foreign(cache: &Cache<'_>) -> Result<u64, PathError> {
    let volume = volume_of(cache.root())?;
    let reserved = cache.ctx.reserve().of(volume.total);
    Ok(volume.free.0.saturating_sub(reserved.0))
}
