//! `restore`: find an entry, unpack it beside its target, publish it whole.

use std::time::Instant;

use super::cache::{Cache, Keys};
use super::context::{Context, Deadline};
use super::materialize::materialize;
use super::notes::carried;
use super::notes::receipt::{self, Receipt};
use super::notes::remembered;
use super::other_paths;
use super::recover;
use super::session;
use super::tools;
use crate::archive::{self, ArchiveError, Destination, Limits, Manifest, UnpackRequest, Unpacked};
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome};
use crate::domain::scope::{Scope, Section};
use crate::domain::unit::ByteSize;
use crate::domain::written_paths::CURE;
use crate::fs::path_error::PathError;
use crate::fs::read;
use crate::fs::staging::Staging;
use crate::fs::volume::{self, Need, volume_of};
use crate::report::{failure, text};
use crate::store::{StoreError, StoreErrorKind};
use crate::transport::pipe;
use crate::tree::fingerprint;
use crate::tree::selection::Selection;

/// How many times an entry is looked up that is deleted between the lookup and the read.
const LOOKUPS: usize = 5;

/// How many entries an archive without our manifest may hold.
const FOREIGN_ENTRIES: u64 = 10_000_000;

/// Why an entry that was found was not delivered.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
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
    fn is_vanished(&self) -> bool {
        matches!(self, DeliverError::Store(error) if error.kind() == StoreErrorKind::NotFound)
    }

    /// Whether the entry itself is bad, so that reading it again cannot help.
    fn is_corrupt(&self) -> bool {
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

/// Which entries answer for a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LookedFor {
    /// That of the key, else those that begin with it or with a restore key.
    #[default]
    KeyAndPrefixes,
    /// That of the key alone.
    Key,
}

impl LookedFor {
    /// What `--exact` means.
    pub(crate) fn of_flag(exact: bool) -> Self {
        if exact { LookedFor::Key } else { LookedFor::KeyAndPrefixes }
    }
}

/// Restores every selected cache.
pub(crate) fn run(ctx: &Context<'_>, options: RestoreOptions) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("restore");
    if !options.lookup_only {
        session::check_exports(ctx)?;
        recover::at_start(ctx);
    }
    let opened =
        if options.lookup_only { session::open_all(ctx)? } else { session::open_all_exportable(ctx)? };
    for opened in opened {
        let _group = ctx.group(&format!("Restore {}", opened.name()));
        session::contained(ctx, opened.name(), &mut job, |job| {
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
    tools::begin(cache);
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

/// The outcome of a restore that brought nothing.
fn missed(cache: &Cache<'_>, keys: &Keys, reason: Option<String>, started: Instant) -> RestoreOutcome {
    RestoreOutcome {
        cache: cache.name().to_owned(),
        key: keys.key.clone(),
        hit: Hit::None,
        matched: None,
        files: 0,
        unpacked: ByteSize(0),
        miss: reason,
        unasked: None,
        earlier: false,
        elapsed: started.elapsed(),
    }
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
    let entry = match lookup(cache, keys, options.looked_for, scopes(cache, options), deadline) {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            if !options.lookup_only {
                receipt::forget(cache);
                tools::begin(cache);
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
    let hit = if entry.key == keys.key { Hit::Exact } else { Hit::Partial };
    let matched =
        Matched { key: entry.key.clone(), scope: Some(entry.scope.clone()), size: Some(entry.size) };
    if options.lookup_only {
        let found = RestoreOutcome { hit, matched: Some(matched), ..miss(None) };
        return Some(only_looked_up(cache, &entry, found, deadline));
    }
    receipt::forget(cache);
    match fetch(cache, &entry, deadline) {
        Ok(unpacked) => {
            let (files, unpacked) = (unpacked.counts.files, ByteSize(unpacked.unpacked_bytes));
            let outcome = RestoreOutcome { hit, matched: Some(matched), files, unpacked, ..miss(None) };
            remembered::remember(cache, keys, &entry.key, &entry.scope, false);
            ctx.report(Level::Info, cache.name(), text::restored(&outcome));
            Some(outcome)
        }
        Err(error) if error.is_vanished() && !is_last => {
            let text = format!("`{}` was deleted a moment ago; looking again", entry.key);
            ctx.report(Level::Debug, cache.name(), text);
            None
        }
        Err(error) => Some(miss(Some(not_restored(cache, &entry, deadline, &error)))),
    }
}

/// Reports which entry would be restored; returns the outcome, which is a miss where the entry was saved from other paths.
fn only_looked_up(
    cache: &Cache<'_>,
    entry: &Entry,
    found: RestoreOutcome,
    deadline: &Deadline,
) -> RestoreOutcome {
    let ctx = cache.ctx;
    let Some(other) = other_paths::of_entry(cache, entry, deadline) else {
        ctx.report(Level::Info, cache.name(), text::looked_up(&found));
        return found;
    };
    let reason = format!("`{}` of {} does not fit: {}", entry.key, entry.scope, other.describe());
    ctx.report_with_hint(Level::Warning, cache.name(), &reason, Some(CURE.to_owned()));
    RestoreOutcome { hit: Hit::None, matched: None, miss: Some(reason), ..found }
}

/// The entry that answers for this cache in the first of these scopes that has one.
pub(super) fn lookup(
    cache: &Cache<'_>,
    keys: &Keys,
    looked_for: LookedFor,
    scopes: Vec<Scope>,
    deadline: &Deadline,
) -> Result<Option<Entry>, StoreError> {
    let ctx = cache.ctx;
    let exact = looked_for == LookedFor::Key;
    let request = LookupRequest {
        exact,
        key: keys.key.clone(),
        restore_keys: if exact { Vec::new() } else { keys.restore_keys.clone() },
        version: cache.version(),
        scopes,
    };
    let prefixes: Vec<String> = request.restore_keys.iter().map(|key| format!("`{key}*`")).collect();
    let then = if prefixes.is_empty() { String::new() } else { format!(", then {}", prefixes.join(", ")) };
    ctx.report(
        Level::Debug,
        cache.name(),
        format!("looking for `{}`{then} in {}, layout {}", keys.key, ctx.store().location(), request.version),
    );
    let started = Instant::now();
    let found = ctx.wait(deadline, ctx.store().lookup(&request));
    if let Ok(found) = &found {
        let found = found.as_ref().map_or("nothing".to_owned(), |entry| {
            format!("`{}` of {}, {}", entry.key, entry.scope, entry.size)
        });
        let text = format!("found {found} in {:.3} s", started.elapsed().as_secs_f64());
        ctx.report(Level::Debug, cache.name(), text);
    }
    found
}

/// Reports that the lookup failed; returns the reason.
fn lookup_failed(cache: &Cache<'_>, deadline: &Deadline, error: &StoreError) -> String {
    // A store's message begins with what it cannot do.
    let stopped = deadline.reason(cache.ctx.interrupt).map(|reason| format!("cannot look up: {reason}"));
    let reason = stopped.unwrap_or_else(|| failure::chain(error));
    cache.ctx.report_with_hint(Level::Warning, cache.name(), &reason, error.hint());
    reason
}

/// Reports that an entry was not restored, and leaves a note for the save where the entry is corrupt; returns the reason.
fn not_restored(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline, error: &DeliverError) -> String {
    let reason = deadline.reason(cache.ctx.interrupt).unwrap_or_else(|| failure::chain(error));
    let reason = format!("`{}` of {} was not restored: {reason}", entry.key, entry.scope);
    let mut hint = error.hint();
    if error.is_corrupt() {
        receipt::leave(cache, &Receipt::of_corrupt(entry));
        hint = hint.or_else(|| Some("the next save of this key replaces the entry".to_owned()));
    }
    cache.ctx.report_with_hint(Level::Warning, cache.name(), &reason, hint);
    reason
}

/// Unpacks an entry beside its targets and publishes it there.
fn fetch(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<Unpacked, DeliverError> {
    let (stagings, unpacked) = deliver(cache, entry, deadline)?;
    let alone = materialize(cache, stagings, "restored", deadline)?;
    tools::source_times::put_back(cache, &deadline.cancel);
    // Before the tool counts from zero: what it counted is part of the entry, and of no change.
    let uncounted = fingerprint::uncounted(&cache.selections, &deadline.cancel).map_err(Fault::from)?;
    tools::begin(cache);
    let quick = fingerprint::quick(&cache.selections).ok().filter(|_| alone);
    receipt::leave(cache, &Receipt::of_restored(entry, &unpacked, &uncounted, quick.as_ref()));
    carried::note_restored(cache, &entry.key);
    Ok(unpacked)
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
    let mut stagings = cache
        .selections
        .iter()
        .map(|selection| cache.staging(selection))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Fault::from)?;
    let destinations = cache.prefixes.iter().zip(&stagings).map(|(prefix, staging)| Destination {
        prefix: prefix.clone(),
        directory: staging.tree().to_owned(),
    });
    let mut refusal = None;
    let mut on_manifest = |manifest: &Manifest| {
        running.meter.set_total(manifest.unpacked_bytes);
        running.meter.set_total_items(manifest.counts.files);
        let checked = match other_paths::of_manifest(cache, manifest) {
            Some(other) => Err(other.fault()),
            None => check_room(cache, manifest),
        };
        checked.map_err(|error| {
            let text = error.to_string();
            refusal = Some(error);
            text
        })
    };
    let request = UnpackRequest {
        destinations: destinations.collect(),
        workers: ctx.workers,
        foreign: Limits { bytes: room_for_foreign(cache).map_err(Fault::from)?, entries: FOREIGN_ENTRIES },
        on_manifest: &mut on_manifest,
    };
    let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
    let unpacked = archive::unpack(request, input, &deadline.cancel, &running.meter);
    match (unpacked, refusal) {
        (_, Some(error)) => Err(error.into()),
        (Err(error), None) => Err(error.into()),
        (Ok(unpacked), None) => {
            leave_absent(&mut stagings, unpacked.manifest.as_ref()).map_err(Fault::from)?;
            Ok((stagings, unpacked))
        }
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
