//! `save`: decide whether a cache may be saved, prepare it, store it.
//!
//! [`decide`] holds the decisions that need nothing but values, [`prepare`] what changes the cache before it is saved. [`store`]
//! saves what changed alone ([`thin`]) or all of it; [`upload`] is how the entry gets to the store, and what is then read back.

pub(crate) mod decide;
mod failure;
pub(super) mod prepare;
mod room;
mod store;
mod thin;
mod upload;

use std::time::{Duration, Instant};

use super::cache::{self, Cache, Keys};
use super::context::{Context, Deadline};
use super::generations::Generation;
use super::lookup::{self, Found};
use super::notes::carried;
use super::notes::receipt::{self, Receipt};
use super::notes::remembered;
use super::other_paths;
use super::recover;
use super::session;
use super::tools;
use crate::archive::Packed;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::key::Key;
use crate::domain::outcome::{JobOutcome, SaveOutcome, SaveResult};
use crate::domain::thin::saved_for;
use crate::domain::unit::ByteSize;
use crate::report::{self, text};
use crate::store::{Access, Deletion, StoreErrorKind};
use decide::SaveRefusal;
use failure::StoreFailure;
use upload::Stored;

/// Saves every selected cache: under the keys that this job's restore computed, unless `recompute_keys` is set.
pub(crate) fn run(ctx: &Context<'_>, recompute_keys: bool) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("save");
    let caches = cache::open_all(ctx);
    recover::at_start(ctx, &caches);
    let opened = if recompute_keys {
        cache::with_computed_keys(ctx, caches)?
    } else {
        cache::with_keys(ctx, caches, carried::keys_of_save)?
    };
    for opened in opened {
        let _group = ctx.group(&format!("Save {}", opened.name()));
        session::reporting_panics(ctx, opened.name(), &mut job, |job| {
            let Some((cache, keys)) = opened.ready(job) else { return };
            if cache.spec.kind.is_some() {
                tools::report(cache, job);
            }
            let outcome = save(cache, keys);
            job.cache(cache.name()).save = Some(outcome);
        });
    }
    Ok(job)
}

/// Saves one cache and reports the outcome.
pub(crate) fn save(cache: &Cache<'_>, keys: &Keys) -> SaveOutcome {
    let (deadline, started) = (cache.ctx.deadline(), Instant::now());
    let mut outcome = begun(cache, keys.key.clone());
    let refused = store_or_refuse(cache, keys, &mut outcome, &deadline);
    conclude(cache, &mut outcome, refused, &deadline);
    outcome.elapsed = started.elapsed();
    if outcome.result == SaveResult::Saved {
        cache.ctx.report(Level::Info, cache.name(), text::saved(&outcome));
    }
    outcome
}

/// Stores a cache and notes so in the outcome, or says why it is not saved.
fn store_or_refuse(
    cache: &Cache<'_>,
    keys: &Keys,
    outcome: &mut SaveOutcome,
    deadline: &Deadline,
) -> Result<Option<SaveRefusal>, StoreFailure> {
    if let Some(refusal) = by_job(cache) {
        return Ok(Some(refusal));
    }
    let receipt = receipt::read(cache);
    if let Some(refusal) = existing(cache, &keys.key, receipt.as_ref(), deadline)? {
        return Ok(Some(refusal));
    }
    let restored = receipt.as_ref().map(|receipt| (keys, receipt));
    if let Some(refusal) = prepare::prepare(cache, restored, &mut outcome.trim, deadline)? {
        return Ok(Some(refusal));
    }
    match store::store(cache, keys, &mut outcome.trim, deadline)? {
        Stored::Refused(refusal) => Ok(Some(refusal)),
        Stored::Exists => {
            let reason = format!("another job saved `{}` a moment ago", keys.key);
            Ok(Some(SaveRefusal::new(SaveResult::Exists, reason)))
        }
        Stored::Created { packed, whole } => {
            outcome.whole = whole;
            note_stored(cache, keys, outcome, &packed);
            Ok(None)
        }
    }
}

/// Why this job does not save the cache, whatever that holds: the role of the job, its event, a store that ends with it, or its status.
pub(super) fn by_job(cache: &Cache<'_>) -> Option<SaveRefusal> {
    let ctx = cache.ctx;
    decide::by_role(cache.spec, &cache.access().own)
        .or_else(|| decide::by_event(ctx.grants))
        .or_else(|| decide::by_store(ctx.keeps_nothing))
        .or_else(|| decide::by_job_status(cache.spec, ctx.platform.facts().job_status))
}

/// The outcome of a save that has just begun.
pub(super) fn begun(cache: &Cache<'_>, key: Key) -> SaveOutcome {
    SaveOutcome {
        cache: cache.name().to_owned(),
        key,
        result: SaveResult::Saved,
        reason: None,
        hint: None,
        interrupted: false,
        files: 0,
        unpacked: ByteSize(0),
        archive: ByteSize(0),
        whole: None,
        trim: None,
        elapsed: Duration::ZERO,
    }
}

/// Notes in an outcome how the save ended, and reports why a cache was not saved; success is left to the caller.
pub(super) fn conclude(
    cache: &Cache<'_>,
    outcome: &mut SaveOutcome,
    refused: Result<Option<SaveRefusal>, StoreFailure>,
    deadline: &Deadline,
) {
    match refused {
        Ok(None) => {}
        Ok(Some(refusal)) => refuse(cache, outcome, refusal),
        Err(error) => {
            outcome.interrupted = cache.ctx.interrupt.signal().is_some();
            let reason =
                deadline.reason(cache.ctx.interrupt).unwrap_or_else(|| report::failure::chain(&error));
            // What a signal ended says nothing about the store.
            let hint = error.hint().filter(|_| !outcome.interrupted);
            refuse(
                cache,
                outcome,
                SaveRefusal { result: error.result(), reason, hint, level: Level::Warning },
            );
        }
    }
}

/// Turns an outcome into that of a cache that was not saved, and reports it.
pub(super) fn refuse(cache: &Cache<'_>, outcome: &mut SaveOutcome, refusal: SaveRefusal) {
    outcome.result = refusal.result;
    outcome.reason = Some(refusal.reason);
    outcome.hint = refusal.hint;
    cache.ctx.report_with_hint(refusal.level, cache.name(), text::saved(outcome), outcome.hint.clone());
}

/// Notes a stored archive in the outcome, and for later `explain`s.
fn note_stored(cache: &Cache<'_>, keys: &Keys, outcome: &mut SaveOutcome, packed: &Packed) {
    outcome.files = packed.manifest.counts.files;
    outcome.unpacked = ByteSize(packed.manifest.unpacked_bytes);
    outcome.archive = ByteSize(packed.archive_bytes);
    remembered::remember(cache, keys, &keys.key, &cache.access().own, true);
    warn_of_idle_exclusions(cache);
}

/// Warns of exclusions that excluded nothing in the walks that packed the cache: what they were to leave out may be in
/// the entry.
pub(super) fn warn_of_idle_exclusions(cache: &Cache<'_>) {
    for pattern in cache.idle_exclusions() {
        let text = format!("`!{pattern}` excludes nothing");
        let hint = format!("paths count from `{}`, those of exclusions too", cache.ctx.workspace.display());
        cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(hint));
    }
}

/// Refuses where this job can already read an entry with this key, unless it is corrupt and could be removed.
fn existing(
    cache: &Cache<'_>,
    key: &Key,
    receipt: Option<&Receipt>,
    deadline: &Deadline,
) -> Result<Option<SaveRefusal>, StoreFailure> {
    let ctx = cache.ctx;
    let found = match lookup::exact(cache, key, deadline) {
        // A write-only job cannot look up; the store reports the conflict on create.
        Err(error) if error.kind() == StoreErrorKind::Denied(Access::Read) => Found::default(),
        found => found?,
    };
    let usable = |thin: &Entry| is_usable(cache, thin, receipt, deadline);
    let found = found.full.or_else(|| found.best.filter(usable));
    if let Some(entry) = found
        && !remove_corrupt(cache, &entry, receipt, deadline)?
    {
        let reason = match receipt {
            Some(receipt) if receipt.is_of(&entry) => {
                format!("up to date with `{key}` of {}", entry.scope)
            }
            Some(_) => format!("`{key}` is there already, in {}", entry.scope),
            None => match other_paths::of_entry(cache, &entry, deadline) {
                Some(other) => return Ok(Some(decide::by_other_paths(&entry, &other))),
                None => format!("`{key}` is there already, in {}", entry.scope),
            },
        };
        return Ok(Some(SaveRefusal::new(SaveResult::Exists, reason)));
    }
    let text = format!("no entry `{key}` in {} that this job can read", ctx.store().location());
    ctx.report(Level::Debug, cache.name(), text);
    Ok(None)
}

/// Whether a thin entry can be restored: all that it takes content from is there, and no restore of this job found it corrupt.
/// Otherwise the cache is saved.
fn is_usable(cache: &Cache<'_>, entry: &Entry, receipt: Option<&Receipt>, deadline: &Deadline) -> bool {
    if receipt.is_some_and(|receipt| receipt.finds_corrupt(entry)) {
        return remove_corrupt(cache, entry, receipt, deadline).is_ok_and(|is_gone| !is_gone);
    }
    let opened = Generation::open::<StoreFailure>(cache, entry, deadline);
    if let Err(error) = &opened {
        cache.ctx.report(Level::Debug, cache.name(), report::failure::chain(error));
    }
    opened.is_ok()
}

/// Removes an entry of this job's own scope that a restore of this job found corrupt, if it still is: a key must not be
/// blocked for ever. Returns whether it is gone now.
fn remove_corrupt(
    cache: &Cache<'_>,
    entry: &Entry,
    receipt: Option<&Receipt>,
    deadline: &Deadline,
) -> Result<bool, StoreFailure> {
    let ctx = cache.ctx;
    let is_known = receipt.is_some_and(|receipt| receipt.finds_corrupt(entry));
    if !is_known || entry.scope != cache.access().own {
        return Ok(false);
    }
    match upload::read_back(cache, entry, deadline) {
        Err(StoreFailure::Archive(error)) if error.is_damage() => {}
        _ => return Ok(false),
    }
    let deleted = upload::delete(cache, entry, deadline)?;
    if deleted == Deletion::Deleted {
        let key = saved_for(&entry.key);
        let text = format!("`{key}` is corrupt and was removed to be saved anew");
        ctx.report(Level::Warning, cache.name(), text);
    }
    Ok(deleted != Deletion::InUse)
}
