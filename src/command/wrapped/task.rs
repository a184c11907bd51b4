//! `Cache@2` as the carrier: what it looked up, where it stages, and what a job may leave to it.
//!
//! The task saves after the last step of a job, whatever its variables say then. So nothing is to be saved unless a save said
//! so, and a save is done once the tree is shown.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::carrier::Carrier;
use super::entry_note;
use super::found::FoundKeys;
use crate::command::cache::{self, Cache, OpenedCache};
use crate::command::context::Context;
use crate::command::notes::carried;
use crate::domain::cache_task::TaskHit;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{JobOutcome, SaveOutcome, SaveResult};
use crate::domain::unit::counted;
use crate::fs::atomic;
use crate::fs::remove::remove_tree;
use crate::fs::write;
use crate::report::failure;

/// What the steps of the template tell each other: what was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WrappedPlan {
    /// One for each slot.
    pub(crate) slots: Vec<Option<WrappedLookup>>,
}

/// What a slot looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WrappedLookup {
    /// The cache.
    pub(crate) cache: String,
    /// The primary key.
    pub(crate) key: String,
    /// The prefixes, one a line.
    pub(crate) restore_keys: String,
}

/// The keys that the task found: its own report has no key, so the entries say theirs.
pub(crate) fn found(
    ctx: &Context<'_>,
    carrier: &Carrier,
    plan: &WrappedPlan,
    hits: &[Option<TaskHit>],
) -> Result<Vec<FoundKeys>, Fault> {
    let mut found = Vec::new();
    for (slot, spec) in ctx.caches.iter().enumerate() {
        let looked = plan.slots.get(slot).and_then(Option::as_ref).filter(|looked| looked.cache == spec.name);
        let Some(looked) = looked else {
            found.push(FoundKeys::default());
            continue;
        };
        let cache = Cache::open_named(ctx, spec)?;
        let hit = hits.get(slot).copied().flatten();
        found.push(FoundKeys {
            key: looked.key.clone(),
            restore_keys: looked.restore_keys.clone(),
            matched: matched_key(&cache, carrier, slot, hit).unwrap_or_default(),
        });
    }
    Ok(found)
}

fn matched_key(cache: &Cache<'_>, carrier: &Carrier, slot: usize, hit: Option<TaskHit>) -> Option<String> {
    match hit {
        Some(TaskHit::None) => None,
        Some(TaskHit::Exact | TaskHit::Inexact) => {
            let base = carrier.base(slot);
            let key =
                carrier.is_there(slot).and_then(|_| entry_note::read(cache, &base)).map(|note| note.key);
            key.inspect_err(|error| {
                let text = format!("what `Cache@2` restored is not used: {}", failure::chain(error));
                cache.ctx.report_with_hint(Level::Warning, cache.name(), text, error.hint());
            })
            .ok()
        }
        None => {
            let text = "`Cache@2` did not restore and did not say that there is no entry".to_owned();
            let cure = "its step above says why; the job goes on without this cache".to_owned();
            cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(cure));
            None
        }
    }
}

/// The keys to save under, and those that are known to be there: as a save of this job computes them.
pub(crate) fn found_for_save(
    ctx: &Context<'_>,
    plan: &WrappedPlan,
    hits: &[Option<TaskHit>],
) -> Result<Vec<FoundKeys>, Fault> {
    let opened = cache::with_keys(ctx, cache::open_all(ctx), carried::keys_of_save)?;
    let keys = opened.iter().map(|opened| {
        let OpenedCache::Ready { cache, keys } = opened else { return FoundKeys::default() };
        let slot = slot_of(plan, cache.name());
        let is_there = slot.is_some_and(|slot| {
            let looked = plan.slots[slot].as_ref();
            hits.get(slot).copied().flatten() == Some(TaskHit::Exact)
                && looked.is_some_and(|looked| looked.key == keys.key.as_str())
        });
        let key = keys.key.to_string();
        FoundKeys {
            matched: if is_there { key.clone() } else { String::new() },
            restore_keys: String::new(),
            key,
        }
    });
    Ok(keys.collect())
}

/// The slot that looked for a cache.
pub(crate) fn slot_of(plan: &WrappedPlan, cache: &str) -> Option<usize> {
    plan.slots.iter().position(|looked| looked.as_ref().is_some_and(|looked| looked.cache == cache))
}

/// Makes the directory that the task writes its archives in, and removes what an earlier job left there.
pub(crate) fn make_staging(carrier: &Carrier) -> Result<(), Fault> {
    let Some((staging, _)) = carrier.task() else { return Ok(()) };
    remove_tree(staging).map_err(|error| error.first)?;
    Ok(write::make_directory(staging)?)
}

/// Adds the outcomes of what was shown to the task, which saves it once the job has ended.
pub(crate) fn staged(ctx: &Context<'_>, staged: Vec<Option<SaveOutcome>>, job: &mut JobOutcome) {
    for (spec, outcome) in ctx.caches.iter().zip(staged) {
        let Some(mut outcome) = outcome else {
            job.broken.push(spec.name.clone());
            continue;
        };
        if outcome.result == SaveResult::Saved {
            outcome.result = SaveResult::Staged;
            outcome.reason = Some("`Cache@2` saves it when the job has ended".to_owned());
            let text = format!(
                "staged: {}, {}, for `{}`; `Cache@2` saves it when the job has ended",
                counted(outcome.files, "file"),
                outcome.unpacked,
                outcome.key
            );
            ctx.report(Level::Info, &spec.name, text);
        }
        job.cache(&spec.name).save = Some(outcome);
    }
}

/// Makes the directory that a slot holds of which nothing is to be saved.
pub(crate) fn make_nothing(ctx: &Context<'_>, carrier: &Carrier) -> Result<PathBuf, Fault> {
    let directory = carrier.nothing();
    write::make_directory(&directory)?;
    let note = directory.join("README.txt");
    let text = "cachekeep had nothing to save here; `Cache@2` saves something in any case.\n";
    atomic::write(&note, text.as_bytes(), ctx.now)?;
    Ok(directory)
}
