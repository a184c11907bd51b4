//! What a restore did to a cache, reported and as a value.

use std::time::Instant;

use super::error::DeliverError;
use crate::archive::Unpacked;
use crate::command::cache::{Cache, Keys};
use crate::command::context::Deadline;
use crate::command::notes::receipt::{self, Receipt};
use crate::command::notes::remembered;
use crate::command::other_paths;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::hint::Hint;
use crate::domain::outcome::{Hit, RestoreOutcome};
use crate::domain::thin::saved_for;
use crate::domain::unit::ByteSize;
use crate::domain::written_paths::CURE;
use crate::report::{failure, text};
use crate::store::StoreError;

/// The outcome of a restore that brought nothing.
pub(super) fn missed(
    cache: &Cache<'_>,
    keys: &Keys,
    reason: Option<String>,
    started: Instant,
) -> RestoreOutcome {
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

/// Reports that an entry was restored, and remembers it for later `explain`s; returns the outcome.
pub(super) fn delivered(
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
pub(super) fn only_looked_up(
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
pub(super) fn lookup_failed(cache: &Cache<'_>, deadline: &Deadline, error: &StoreError) -> String {
    // A store's message begins with what it cannot do.
    let stopped = deadline.reason(cache.ctx.interrupt).map(|reason| format!("cannot look up: {reason}"));
    let reason = stopped.unwrap_or_else(|| failure::chain(error));
    cache.ctx.report_with_hint(Level::Warning, cache.name(), &reason, error.hint());
    reason
}

/// Reports that an entry was not restored, and leaves a note for the save where the entry is corrupt; returns the reason.
pub(super) fn not_restored(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
    error: &DeliverError,
) -> String {
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
