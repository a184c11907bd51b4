//! `restore`: find an entry, unpack it beside its target, publish it whole.

use std::time::Instant;

use super::cache::{Cache, Keys};
use super::context::{Context, Deadline};
use super::materialize::materialize;
use super::receipt::{self, Receipt};
use super::remembered;
use super::session;
use crate::archive::{self, ArchiveError, Destination, Limits, Manifest, UnpackRequest, Unpacked};
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome};
use crate::domain::unit::ByteSize;
use crate::fs::path_error::PathError;
use crate::fs::preflight::{self, Need, PreflightError};
use crate::fs::staging::{Staging, StagingError};
use crate::fs::volume::volume_of;
use crate::report::{failure, text};
use crate::store::{StoreError, StoreErrorKind};
use crate::transport::pipe;
use crate::tree::fingerprint;
use crate::tree::selection::Selection;

/// An archive that another program made may hold so many entries and no more.
const FOREIGN_ENTRIES: u64 = 10_000_000;

/// So often an entry is looked for again that was deleted between the lookup and the reading.
const LOOKUPS: usize = 5;

/// Why an entry that was found was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is damaged, hostile, or cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is too little room.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The target cannot be staged or published.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// What was unpacked cannot be verified.
    #[error(transparent)]
    Cache(#[from] Fault),
    /// A volume cannot be asked for its room.
    #[error(transparent)]
    Disk(#[from] PathError),
}

impl Hint for RestoreError {
    fn hint(&self) -> Option<String> {
        match self {
            RestoreError::Store(error) => error.hint(),
            RestoreError::Archive(error) => error.hint(),
            RestoreError::Preflight(error) => error.hint(),
            RestoreError::Staging(error) => error.hint(),
            RestoreError::Cache(error) => error.hint(),
            RestoreError::Disk(error) => error.hint(),
        }
    }
}

impl RestoreError {
    /// Whether the entry was deleted after it was found, and nothing was begun.
    fn is_vanished(&self) -> bool {
        matches!(self, RestoreError::Store(error) if error.kind() == StoreErrorKind::NotFound)
    }

    /// Whether the entry itself is bad, so that reading it again cannot help.
    fn is_corrupt(&self) -> bool {
        match self {
            RestoreError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            RestoreError::Archive(error) => {
                let of_store = StoreError::in_causes_of(error);
                error.is_damage() || of_store.is_some_and(|error| error.kind() == StoreErrorKind::Corrupt)
            }
            _ => false,
        }
    }
}

/// How the command of this name goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only say which entry would be restored.
    pub lookup_only: bool,
}

/// Restores every selected cache.
pub fn run(ctx: &Context<'_>, options: Options) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("restore");
    if !options.lookup_only {
        session::recover(ctx);
    }
    for opened in session::open_all(ctx)? {
        let _group = ctx.group(&format!("Restore {}", opened.name()));
        let Some((cache, keys)) = opened.ready(&mut job) else { continue };
        let outcome = restore(cache, keys, options);
        job.cache(cache.name()).restore = Some(outcome);
        if !options.lookup_only {
            session::export(cache);
        }
    }
    Ok(job)
}

/// Restores one cache and says what came of it. A failure is a miss with a reason; the target is as it was.
pub fn restore(cache: &Cache<'_>, keys: &Keys, options: Options) -> RestoreOutcome {
    let deadline = cache.ctx.deadline();
    let started = Instant::now();
    let mut left = LOOKUPS;
    loop {
        left -= 1;
        // An entry that was found is leased only once it is read: a cleaner may have been faster.
        if let Some(outcome) = attempt(cache, keys, options, &deadline, started, left == 0) {
            return outcome;
        }
    }
}

/// Looks up and restores; `None` if the entry vanished in between and this is not the last attempt.
fn attempt(
    cache: &Cache<'_>,
    keys: &Keys,
    options: Options,
    deadline: &Deadline,
    started: Instant,
    is_last: bool,
) -> Option<RestoreOutcome> {
    let ctx = cache.ctx;
    let miss = |reason| RestoreOutcome {
        cache: cache.name().to_owned(),
        key: keys.key.clone(),
        hit: Hit::None,
        matched: None,
        files: 0,
        unpacked: ByteSize(0),
        miss: reason,
        elapsed: started.elapsed(),
    };
    let entry = match lookup(cache, keys, deadline) {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            if !options.lookup_only {
                receipt::forget(cache);
            }
            let outcome = miss(None);
            ctx.say(Level::Info, cache.name(), text::restored(&outcome));
            return Some(outcome);
        }
        Err(error) => return Some(miss(Some(lookup_failed(cache, deadline, &error)))),
    };
    let hit = if entry.key == keys.key { Hit::Exact } else { Hit::Partial };
    let matched =
        Matched { key: entry.key.clone(), scope: Some(entry.scope.clone()), size: Some(entry.size) };
    if options.lookup_only {
        let outcome = RestoreOutcome { hit, matched: Some(matched), ..miss(None) };
        ctx.say(Level::Info, cache.name(), text::looked_up(&outcome));
        return Some(outcome);
    }
    receipt::forget(cache);
    match fetch(cache, &entry, deadline) {
        Ok(unpacked) => {
            let (files, unpacked) = (unpacked.counts.files, ByteSize(unpacked.unpacked_bytes));
            let outcome = RestoreOutcome { hit, matched: Some(matched), files, unpacked, ..miss(None) };
            remembered::remember(cache, keys, &entry.key, &entry.scope, false);
            ctx.say(Level::Info, cache.name(), text::restored(&outcome));
            Some(outcome)
        }
        Err(error) if error.is_vanished() && !is_last => {
            let text = format!("`{}` was deleted a moment ago; looking again", entry.key);
            ctx.say(Level::Debug, cache.name(), text);
            None
        }
        Err(error) => Some(miss(Some(not_restored(cache, &entry, deadline, &error)))),
    }
}

/// Reports that the lookup failed; returns the reason.
fn lookup_failed(cache: &Cache<'_>, deadline: &Deadline, error: &StoreError) -> String {
    // A store's message begins with what it cannot do.
    let stopped = deadline.reason(cache.ctx.interrupt).map(|reason| format!("cannot look up: {reason}"));
    let reason = stopped.unwrap_or_else(|| failure::chain(error));
    cache.ctx.say_with_hint(Level::Warning, cache.name(), &reason, error.hint());
    reason
}

/// Reports that an entry was not restored, and leaves a note for the save where the entry is corrupt; returns the reason.
fn not_restored(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline, error: &RestoreError) -> String {
    let reason = deadline.reason(cache.ctx.interrupt).unwrap_or_else(|| failure::chain(error));
    let reason = format!("`{}` of {} was not restored: {reason}", entry.key, entry.scope);
    let mut hint = error.hint();
    if error.is_corrupt() {
        leave_receipt(cache, &Receipt::of_corrupt(entry));
        hint = hint.or_else(|| Some("the next save of this key replaces the entry".to_owned()));
    }
    cache.ctx.say_with_hint(Level::Warning, cache.name(), &reason, hint);
    reason
}

/// The entry that answers for this cache.
pub fn lookup(cache: &Cache<'_>, keys: &Keys, deadline: &Deadline) -> Result<Option<Entry>, StoreError> {
    let ctx = cache.ctx;
    let request = LookupRequest {
        exact: false,
        key: keys.key.clone(),
        restore_keys: keys.restore_keys.clone(),
        version: cache.version(),
        scopes: ctx.access.readable.clone(),
    };
    let prefixes: Vec<String> = keys.restore_keys.iter().map(|key| format!("`{key}*`")).collect();
    let then = if prefixes.is_empty() { String::new() } else { format!(", then {}", prefixes.join(", ")) };
    ctx.say(
        Level::Debug,
        cache.name(),
        format!("looking for `{}`{then} in {}, layout {}", keys.key, ctx.store.location(), request.version),
    );
    let started = Instant::now();
    let found = ctx.wait(deadline, ctx.store.lookup(&request));
    if let Ok(found) = &found {
        let found = found.as_ref().map_or("nothing".to_owned(), |entry| {
            format!("`{}` of {}, {}", entry.key, entry.scope, entry.size)
        });
        let text = format!("found {found} in {:.3} s", started.elapsed().as_secs_f64());
        ctx.say(Level::Debug, cache.name(), text);
    }
    found
}

/// Unpacks an entry beside its targets and publishes them.
fn fetch(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<Unpacked, RestoreError> {
    let ctx = cache.ctx;
    let stream = ctx.wait(deadline, ctx.store.read(entry))?;
    // Whether or not it can be restored: somebody needs it. That it is being read keeps it until then.
    let noted = async {
        ctx.store.note_use(entry).await;
        Ok(())
    };
    let _ = ctx.wait_for_store(noted);
    let running = ctx.start(cache.name(), Phase::Restore);
    let stagings = cache
        .selections
        .iter()
        .map(|selection| Staging::beside(&selection.root, &ctx.records(), ctx.now))
        .collect::<Result<Vec<_>, _>>()?;
    let destinations = cache.prefixes.iter().zip(&stagings).map(|(prefix, staging)| Destination {
        prefix: prefix.clone(),
        directory: staging.tree().to_owned(),
    });
    let mut no_room = None;
    let mut on_manifest = |manifest: &Manifest| {
        running.meter.set_total(manifest.unpacked_bytes);
        check_room(cache, manifest).map_err(|error| {
            let text = error.to_string();
            no_room = Some(error);
            text
        })
    };
    let request = UnpackRequest {
        destinations: destinations.collect(),
        workers: ctx.workers,
        foreign: Limits { bytes: room_for_foreign(cache)?, entries: FOREIGN_ENTRIES },
        on_manifest: &mut on_manifest,
    };
    let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
    let unpacked = archive::unpack(request, input, &deadline.cancel, &running.meter);
    let unpacked = match (unpacked, no_room) {
        (_, Some(error)) => return Err(error.into()),
        (Err(error), None) => return Err(error.into()),
        (Ok(unpacked), None) => unpacked,
    };
    let alone = materialize(cache, stagings, "restored", deadline)?;
    let quick = fingerprint::quick(&cache.selections).ok().filter(|_| alone);
    leave_receipt(cache, &Receipt::of_restored(entry, &unpacked, quick.as_ref()));
    Ok(unpacked)
}

/// Room for everything the manifest announces, on the volume of each root, beyond the reserve.
fn check_room(cache: &Cache<'_>, manifest: &Manifest) -> Result<(), PreflightError> {
    let need = |(selection, root): (&Selection, &archive::Root)| Need {
        path: selection.root.clone(),
        bytes: ByteSize(root.bytes),
        inodes: root.entries,
    };
    let needs: Vec<_> = cache.selections.iter().zip(&manifest.roots).map(need).collect();
    preflight::check(&needs, cache.ctx.reserve())
}

/// What an archive without a manifest may fill: the free room beyond the reserve.
fn room_for_foreign(cache: &Cache<'_>) -> Result<u64, PathError> {
    let volume = volume_of(cache.root())?;
    let reserved = cache.ctx.reserve().of(volume.total);
    Ok(volume.free.0.saturating_sub(reserved.0))
}

fn leave_receipt(cache: &Cache<'_>, receipt: &Receipt) {
    if let Err(reason) = receipt::write(cache, receipt) {
        cache.ctx.say(Level::Debug, cache.name(), format!("no receipt: {reason}"));
    }
}
