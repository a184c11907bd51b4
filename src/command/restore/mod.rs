//! `restore`: find an entry, unpack it beside its target, publish it whole.

mod error;
mod outcome;

use std::time::Instant;

use super::cache::{self, Cache, Keys, OpenedCache};
use super::context::{Context, Deadline};
use super::generations::Generation;
pub(crate) use super::lookup::LookedFor;
use super::lookup::{Found, lookup};
use super::materialize::{Arrival, materialize, stage};
use super::notes::carried;
use super::notes::receipt::{self, Receipt};
use super::recover;
use super::session;
use super::tools;
use crate::archive::{
    self, AssembleRequest, Candidates, Composite, Destination, Limits, Manifest, SegmentRange, Splitter,
    UnpackRequest, Unpacked,
};
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Meter, Phase};
use crate::domain::fault::Fault;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome};
use crate::domain::scope::{Scope, Section};
use crate::domain::thin::saved_for;
use crate::domain::unit::{ByteSize, counted};
use crate::domain::written_paths::OtherPaths;
use crate::fs::path_error::PathError;
use crate::fs::read;
use crate::fs::staging::Staging;
use crate::fs::volume::{self, Need, volume_of};
use crate::report::text;
use crate::store::StoreError;
use crate::transport::pipe;
use crate::tree::fingerprint;
use crate::tree::selection::Selection;
use error::DeliverError;
use outcome::{delivered, lookup_failed, missed, not_restored, only_looked_up};

/// How many entries an archive without our manifest may hold.
const FOREIGN_ENTRIES: u64 = 10_000_000;

/// The most files of a full entry whose list is kept in memory: more are unpacked as a stream.
const MOST_FILES: u64 = 100_000;

/// How many times an entry is looked up that is deleted between the lookup and the read.
const LOOKUPS: usize = 5;

/// Options of `restore`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RestoreOptions {
    /// Only say which entry would be restored.
    pub lookup_only: bool,
    /// Which entries count.
    pub looked_for: LookedFor,
    /// Fall back to entries that were saved before stores kept repositories apart.
    pub adopt: bool,
}

/// Restores every selected cache.
pub(crate) fn run(ctx: &Context<'_>, options: RestoreOptions) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("restore");
    if !options.lookup_only {
        session::check_exports(ctx)?;
    }
    let caches = cache::open_all(ctx);
    if !options.lookup_only {
        recover::at_start(ctx, &caches);
    }
    let mut opened = cache::with_computed_keys(ctx, caches)?;
    if !options.lookup_only {
        opened = opened.into_iter().map(OpenedCache::if_exportable).collect();
    }
    for opened in opened {
        let _group = ctx.group(&format!("Restore {}", opened.name()));
        session::reporting_panics(ctx, opened.name(), &mut job, |job| {
            let Some((cache, keys)) = opened.ready(job) else { return };
            let outcome = restore(cache, keys, options);
            job.cache(cache.name()).restore = Some(outcome);
            if !options.lookup_only {
                session::export(cache);
            }
        });
    }
    Ok(job)
}

/// Restores one cache and reports the outcome. A failure is a miss with a reason; the target is as it was.
pub(crate) fn restore(cache: &Cache<'_>, keys: &Keys, options: RestoreOptions) -> RestoreOutcome {
    let deadline = cache.ctx.deadline();
    let started = Instant::now();
    if !options.lookup_only {
        carried::carry(cache, keys);
    }
    let mut left = LOOKUPS;
    loop {
        left -= 1;
        // An entry that was found is leased only once it is read: a cleaner may have been faster.
        if let Some(outcome) = attempt(cache, keys, options, &deadline, started, left == 0) {
            return outcome;
        }
    }
}

/// The outcome of a cache that an earlier step of this job restored for the same key, unless it is gone since. What steps made of
/// it meanwhile stays as it is.
pub(super) fn by_earlier_step(cache: &Cache<'_>, keys: &Keys) -> Option<RestoreOutcome> {
    let started = Instant::now();
    let matched = carried::restored(cache, keys)?;
    if !cache.roots().iter().any(|root| read::is_there(root)) {
        return None;
    }
    if let Some(kind) = cache.spec.kind {
        tools::begin(cache, kind);
    }
    let outcome = RestoreOutcome {
        hit: if matched == keys.key { Hit::Exact } else { Hit::Partial },
        matched: Some(Matched { key: matched, scope: None, size: None }),
        earlier: true,
        ..missed(cache, keys, None, started)
    };
    cache.ctx.report(Level::Info, cache.name(), text::restored(&outcome));
    Some(outcome)
}

/// The scopes that a restore searches, in order.
fn scopes(cache: &Cache<'_>, options: RestoreOptions) -> Vec<Scope> {
    let mut scopes = cache.access().readable;
    if options.adopt {
        scopes.extend(cache.ctx.access.within(&Section::Old).readable);
    }
    scopes
}

/// Looks up and restores; `None` if the entry vanished in between and this is not the last attempt.
fn attempt(
    cache: &Cache<'_>,
    keys: &Keys,
    options: RestoreOptions,
    deadline: &Deadline,
    started: Instant,
    is_last: bool,
) -> Option<RestoreOutcome> {
    let ctx = cache.ctx;
    let miss = |reason| missed(cache, keys, reason, started);
    let (entry, full) = match lookup(cache, keys, options.looked_for, scopes(cache, options), deadline) {
        Ok(Found { best: Some(entry), full }) => (entry, full),
        Ok(Found { best: None, .. }) => {
            if !options.lookup_only {
                receipt::forget(cache);
                if let Some(kind) = cache.spec.kind {
                    tools::begin(cache, kind);
                }
            }
            let outcome = miss(None);
            ctx.report(Level::Info, cache.name(), text::restored(&outcome));
            return Some(outcome);
        }
        Err(error) => {
            let reason = Some(lookup_failed(cache, deadline, &error));
            return Some(RestoreOutcome { unasked: error.unasked_key().cloned(), ..miss(reason) });
        }
    };
    let outcome = |entry: &Entry| found_outcome(keys, entry, miss(None));
    if options.lookup_only {
        return Some(only_looked_up(cache, &entry, outcome(&entry), deadline));
    }
    receipt::forget(cache);
    let error = match unpack_and_publish(cache, &entry, deadline) {
        Ok(unpacked) => return Some(delivered(cache, keys, &entry, &unpacked, outcome(&entry))),
        Err(error) => error,
    };
    let instead = full.filter(|_| cache.is_thin(&entry) && error.is_of_entry());
    if let Some(full) = instead {
        let reason = not_restored(cache, &entry, deadline, &error);
        ctx.report(Level::Debug, cache.name(), format!("{reason}; trying `{}`", full.key));
        let outcome = match unpack_and_publish(cache, &full, deadline) {
            Ok(unpacked) => delivered(cache, keys, &full, &unpacked, outcome(&full)),
            Err(error) => miss(Some(not_restored(cache, &full, deadline, &error))),
        };
        if error.is_corrupt() {
            receipt::add_damaged(cache, &entry);
        }
        return Some(outcome);
    }
    if error.is_vanished() && !is_last && !cache.is_thin(&entry) {
        let text = format!("`{}` was deleted a moment ago; looking again", entry.key);
        ctx.report(Level::Debug, cache.name(), text);
        return None;
    }
    Some(miss(Some(not_restored(cache, &entry, deadline, &error))))
}

/// The outcome where an entry was found: exact if it is that of the key, partial if it is that of a restore key.
fn found_outcome(keys: &Keys, entry: &Entry, missed: RestoreOutcome) -> RestoreOutcome {
    let key = saved_for(&entry.key);
    let hit = if key == keys.key { Hit::Exact } else { Hit::Partial };
    let matched = Matched { key, scope: Some(entry.scope.clone()), size: Some(entry.size) };
    RestoreOutcome { hit, matched: Some(matched), ..missed }
}

/// Unpacks an entry beside its targets, publishes it there, and leaves the receipt.
fn unpack_and_publish(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
) -> Result<Unpacked, DeliverError> {
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
        Arrival::Untouched if is_left_alone(cache) => {
            unpacked.quick.or_else(|| cache.quick_fingerprint().ok())
        }
        Arrival::Untouched | Arrival::Alone => cache.quick_fingerprint().ok(),
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
    let archive = Splitter::behind_manifest(pipe::reader(&ctx.runtime, stream, &deadline.cancel))?;
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
        let stagings = cache.selections.iter().map(|selection| stage(cache, selection));
        let stagings = stagings.collect::<Result<Vec<_>, _>>()?;
        let destinations = cache.prefixes.iter().zip(&stagings).map(|(prefix, staging)| Destination {
            prefix: prefix.clone(),
            directory: staging.tree().to_owned(),
        });
        Ok(Destinations { destinations: destinations.collect(), stagings })
    }
}

/// Sets the totals of the meter. Refuses an archive that was saved from other paths or does not fit on the volume.
fn accept(cache: &Cache<'_>, manifest: &Manifest, meter: &Meter) -> Result<(), Fault> {
    meter.set_total(manifest.unpacked_bytes);
    meter.set_total_items(manifest.counts.files);
    match OtherPaths::of(manifest.written(), cache.written()) {
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
