//! `restore`: find an entry, unpack it beside its target, publish it whole.

mod deliver;

use std::time::Instant;

use super::cache::{self, Cache, Keys, OpenedCache};
use super::context::{Context, Deadline};
pub(crate) use super::lookup::LookedFor;
use super::lookup::{Found, lookup};
use super::notes::carried;
use super::notes::receipt::{self, Receipt};
use super::notes::remembered;
use super::other_paths;
use super::recover;
use super::session;
use super::tools;
use crate::archive::Unpacked;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome};
use crate::domain::scope::{Scope, Section};
use crate::domain::thin::saved_for;
use crate::domain::unit::ByteSize;
use crate::domain::written_paths::CURE;
use crate::fs::read;
use crate::report::{failure, text};
use crate::store::StoreError;
use deliver::{DeliverError, fetch};

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
    let mut opened = cache::with_keys(ctx, caches, Cache::keys)?;
    if !options.lookup_only {
        opened = opened.into_iter().map(OpenedCache::if_exportable).collect();
    }
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
    let error = match fetch(cache, &entry, deadline) {
        Ok(unpacked) => return Some(delivered(cache, keys, &entry, &unpacked, outcome(&entry))),
        Err(error) => error,
    };
    let instead = full.filter(|_| cache.is_thin(&entry) && error.is_of_entry());
    if let Some(full) = instead {
        let reason = not_restored(cache, &entry, deadline, &error);
        ctx.report(Level::Debug, cache.name(), format!("{reason}; trying `{}`", full.key));
        let outcome = match fetch(cache, &full, deadline) {
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

/// The outcome of a restore of an entry that was found.
fn found_outcome(keys: &Keys, entry: &Entry, missed: RestoreOutcome) -> RestoreOutcome {
    let key = saved_for(&entry.key);
    let hit = if key == keys.key { Hit::Exact } else { Hit::Partial };
    let matched = Matched { key, scope: Some(entry.scope.clone()), size: Some(entry.size) };
    RestoreOutcome { hit, matched: Some(matched), ..missed }
}

/// Reports that an entry was restored; returns the outcome.
fn delivered(
    cache: &Cache<'_>,
    keys: &Keys,
    entry: &Entry,
    unpacked: &Unpacked,
    outcome: RestoreOutcome,
) -> RestoreOutcome {
    let (files, unpacked) = (unpacked.counts.files, ByteSize(unpacked.unpacked_bytes));
    let outcome = RestoreOutcome { files, unpacked, ..outcome };
    remembered::remember(cache, keys, &saved_for(&entry.key), &entry.scope, false);
    cache.ctx.report(Level::Info, cache.name(), text::restored(&outcome));
    outcome
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
    let key = saved_for(&entry.key);
    let reason = format!("`{key}` of {} does not fit: {}", entry.scope, other.describe());
    ctx.report_with_hint(Level::Warning, cache.name(), &reason, Some(CURE.to_owned()));
    RestoreOutcome { hit: Hit::None, matched: None, miss: Some(reason), ..found }
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
    let key = saved_for(&entry.key);
    let reason = format!("`{key}` of {} was not restored: {reason}", entry.scope);
    let mut hint = error.hint();
    if error.is_corrupt() {
        receipt::leave(cache, &Receipt::of_corrupt(entry));
        hint = hint.or_else(|| Some("the next save of this key replaces the entry".to_owned()));
    }
    cache.ctx.report_with_hint(Level::Warning, cache.name(), &reason, hint);
    reason
}
