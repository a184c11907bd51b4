//! `restore`: find an entry, unpack it beside its target, publish it whole.

use std::time::Instant;

use super::cache::{Cache, Keys};
use super::context::{Context, Deadline};
use super::exports;
use super::materialize::materialize;
use super::notes::receipt::{self, Receipt};
use super::notes::remembered;
use super::session;
use super::transport::direct::{self, DeliverError};
use crate::archive::Unpacked;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome};
use crate::domain::scope::{Scope, Section};
use crate::domain::unit::ByteSize;
use crate::report::{failure, text};
use crate::store::StoreError;
use crate::tree::fingerprint;

/// How many times an entry is looked up that is deleted between the lookup and the read.
const LOOKUPS: usize = 5;

/// Options of `restore`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RestoreOptions {
    /// Only say which entry would be restored.
    pub lookup_only: bool,
    /// Fall back to entries that were saved before stores kept repositories apart.
    pub adopt: bool,
}

/// Restores every selected cache.
pub(crate) fn run(ctx: &Context<'_>, options: RestoreOptions) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("restore");
    if !options.lookup_only {
        exports::check(ctx)?;
        session::recover(ctx);
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
    let mut left = LOOKUPS;
    loop {
        left -= 1;
        // An entry that was found is leased only once it is read: a cleaner may have been faster.
        if let Some(outcome) = attempt(cache, keys, options, &deadline, started, left == 0) {
            return outcome;
        }
    }
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
    let miss = |reason| RestoreOutcome {
        cache: cache.name().to_owned(),
        key: keys.key.clone(),
        hit: Hit::None,
        matched: None,
        files: 0,
        unpacked: ByteSize(0),
        miss: reason,
        unasked: None,
        elapsed: started.elapsed(),
    };
    let entry = match direct::lookup(cache, keys, scopes(cache, options), deadline) {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            if !options.lookup_only {
                receipt::forget(cache);
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
        let outcome = RestoreOutcome { hit, matched: Some(matched), ..miss(None) };
        ctx.report(Level::Info, cache.name(), text::looked_up(&outcome));
        return Some(outcome);
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
        leave_receipt(cache, &Receipt::of_corrupt(entry));
        hint = hint.or_else(|| Some("the next save of this key replaces the entry".to_owned()));
    }
    cache.ctx.report_with_hint(Level::Warning, cache.name(), &reason, hint);
    reason
}

/// Unpacks an entry beside its targets and publishes it there.
fn fetch(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<Unpacked, DeliverError> {
    let (stagings, unpacked) = direct::deliver(cache, entry, deadline)?;
    let alone = materialize(cache, stagings, "restored", deadline)?;
    let quick = fingerprint::quick(&cache.selections).ok().filter(|_| alone);
    leave_receipt(cache, &Receipt::of_restored(entry, &unpacked, quick.as_ref()));
    Ok(unpacked)
}

pub(super) fn leave_receipt(cache: &Cache<'_>, receipt: &Receipt) {
    if let Err(reason) = receipt::write(cache, receipt) {
        cache.ctx.report(Level::Debug, cache.name(), format!("no receipt: {reason}"));
    }
}
