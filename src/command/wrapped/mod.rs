//! `restore` and `save` where a step of the platform moves the archives, and everything else is ours.
//!
//! Where a job has no way to the cache service (pull requests from forks, Azure Pipelines), the action runs actions/cache,
//! and the template `Cache@2`, between two of our own steps: the first says what to look for or shows what to save, the last makes
//! caches of what came or reports what was saved. What a killed job leaves in between is removed by the next.

mod carrier;
mod entry_note;
mod found;
mod limits;
mod place;
pub(crate) mod task;

use std::time::{Duration, Instant};

use super::cache::{self, Cache, OpenedCache};
use super::context::Context;
use super::materialize::{Arrival, materialize};
use super::notes::carried;
use super::notes::receipt::{self, Receipt};
use super::notes::staged;
use super::recover;
use super::restore::{LookedFor, RestoreOptions};
use super::save::{self, decide::SaveRefusal, prepare};
use super::session;
use super::tools;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome, SaveOutcome, SaveResult};
use crate::domain::scope::Scope;
use crate::domain::unit::{ByteSize, counted};
use crate::domain::version::Version;
use crate::report::failure;
use crate::tree::fingerprint::Quick;

pub(crate) use carrier::Carrier;
pub(crate) use found::FoundKeys;
use found::hit;

/// How many caches one step can wrap: `action.yml` and the template have so many nested steps of each kind.
pub const NESTED: usize = 4;

/// What a nested step is to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The primary key.
    pub key: String,
    /// The prefixes, one a line.
    pub restore_keys: String,
    /// Its paths in the workspace, one a line.
    pub paths: String,
    /// Its version.
    pub version: Version,
}

/// What the nested steps are planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To restore.
    Restore,
    /// To say which entry would be restored.
    Lookup,
    /// To save, for which it must be known what is there.
    Save,
}

/// What the nested steps are to look for, by the caches' order; nothing for a cache that cannot be opened.
/// Sweeps what a killed job left in their place.
pub(crate) fn plan(
    ctx: &Context<'_>,
    carrier: &Carrier,
    purpose: Purpose,
    looked_for: LookedFor,
) -> Result<Vec<Option<Slot>>, Fault> {
    if ctx.caches.len() > NESTED {
        let text = format!(
            "{} caches in one step, and without access to the cache service a step takes {NESTED}",
            ctx.caches.len()
        );
        return Err(Fault::usage(text).with_hint(carrier.for_more().to_owned()));
    }
    session::check_exports(ctx)?;
    let caches = cache::open_all(ctx);
    recover::at_start(ctx, &caches);
    place::sweep(ctx, carrier);
    let mut slots = Vec::new();
    let opened = match purpose {
        Purpose::Save => cache::with_keys(ctx, caches, carried::keys_of_save)?,
        Purpose::Restore | Purpose::Lookup => cache::with_computed_keys(ctx, caches)?,
    };
    for opened in opened {
        slots.push(match opened.if_exportable() {
            OpenedCache::Ready { cache, keys } => {
                if purpose == Purpose::Restore {
                    carried::carry(&cache, &keys);
                }
                session::export(&cache);
                let restore_keys: Vec<&str> = match looked_for {
                    LookedFor::KeyAndPrefixes => keys.restore_keys.iter().map(Key::as_str).collect(),
                    LookedFor::Key => Vec::new(),
                };
                Some(Slot {
                    key: keys.key.to_string(),
                    restore_keys: restore_keys.join("\n"),
                    paths: cache.prefixes.join("\n"),
                    version: cache.version(),
                })
            }
            OpenedCache::Failed { .. } => None,
        });
    }
    Ok(slots)
}

/// The version of the entries of a selected cache.
pub(crate) fn version_of(ctx: &Context<'_>, index: usize) -> Result<Version, Fault> {
    Ok(Cache::open_named(ctx, &ctx.caches[index])?.version())
}

/// Makes the caches of what the carrier unpacked.
pub(crate) fn restored(
    ctx: &Context<'_>,
    carrier: &Carrier,
    found: &[FoundKeys],
    options: RestoreOptions,
) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("restore");
    for (slot, (spec, found)) in ctx.caches.iter().zip(found).enumerate() {
        let _group = ctx.group(&format!("Restore {}", spec.name));
        let cache = Cache::open_named(ctx, spec)?;
        let Some((key, matched)) = found.keys() else {
            job.broken.push(spec.name.clone());
            continue;
        };
        let started = Instant::now();
        let asked = (options.looked_for, &found.restore_keys()[..]);
        let mut outcome = found_outcome(&cache, carrier, key, matched, asked);
        if outcome.matched.is_some() && !options.lookup_only {
            match adopt(&cache, carrier, slot, &found.matched) {
                Ok(quick) => {
                    (outcome.files, outcome.unpacked) = (quick.files, ByteSize(quick.bytes));
                    if let Some(Matched { key, .. }) = &outcome.matched {
                        carried::note_restored(&cache, key);
                    }
                }
                Err(error) => {
                    let reason = format!("`{}` was not restored: {}", found.matched, failure::chain(&error));
                    ctx.report_with_hint(Level::Warning, cache.name(), &reason, error.hint());
                    outcome.hit = Hit::None;
                    outcome.matched = None;
                    outcome.miss = Some(reason);
                }
            }
        }
        outcome.elapsed = started.elapsed();
        let has_missed = outcome.matched.is_none() && !options.lookup_only;
        if let Some(kind) = cache.spec.kind.filter(|_| has_missed) {
            tools::begin(&cache, kind);
        }
        if carrier.task().is_some() {
            staged::check(&cache, &outcome.key, outcome.hit == Hit::Exact);
        }
        if outcome.miss.is_none() {
            ctx.report(Level::Info, cache.name(), moved_by(carrier, &outcome));
        }
        job.cache(cache.name()).restore = Some(outcome);
    }
    place::sweep(ctx, carrier);
    Ok(job)
}

/// What a carrier restored, as a message.
fn moved_by(carrier: &Carrier, outcome: &RestoreOutcome) -> String {
    let by = carrier.name();
    match &outcome.matched {
        Some(Matched { key, .. }) => {
            format!("{} hit: {} from `{key}` by {by}", outcome.hit, counted(outcome.files, "file"))
        }
        // Neither of the two tells a lookup that failed from a miss.
        None => {
            format!(
                "miss: {by} restored no entry for `{}`; if its lookup failed, its log says so",
                outcome.key
            )
        }
    }
}

/// The outcome for what the carrier found, before it is published. An entry that was not asked for is a miss.
fn found_outcome(
    cache: &Cache<'_>,
    carrier: &Carrier,
    key: Key,
    matched: Option<Key>,
    (looked_for, restore_keys): (LookedFor, &[Key]),
) -> RestoreOutcome {
    let answer = matched.as_ref().map_or(Ok(()), |matched| key.check_answer(restore_keys, matched));
    let by = carrier.name();
    let (matched, unasked, miss) = match (matched, answer) {
        // The carriers know no lookup without prefixes: a longer key answers as well.
        (Some(matched), _) if looked_for == LookedFor::Key && matched != key => {
            let miss = format!("{by} restored `{matched}`, and only the key itself was asked for");
            cache.ctx.report(Level::Info, cache.name(), &miss);
            (None, None, Some(miss))
        }
        (_, Err(answer)) => {
            let miss = format!("{by} did not restore what was asked for: {answer}");
            cache.ctx.report(Level::Warning, cache.name(), &miss);
            (None, Some(answer.matched), Some(miss))
        }
        (matched, Ok(())) => (matched, None, None),
    };
    RestoreOutcome {
        cache: cache.name().to_owned(),
        hit: hit(&key, matched.as_ref()),
        key,
        matched: matched.map(|key| Matched { key, scope: None, size: None }),
        files: 0,
        unpacked: ByteSize(0),
        miss,
        unasked,
        earlier: false,
        elapsed: Duration::ZERO,
    }
}

/// Publishes what the carrier unpacked.
fn adopt(cache: &Cache<'_>, carrier: &Carrier, slot: usize, matched: &str) -> Result<Quick, Fault> {
    let ctx = cache.ctx;
    let deadline = ctx.deadline();
    let running = ctx.start(cache.name(), Phase::Restore);
    let base = carrier.base(slot);
    if carrier.task().is_some() {
        carrier.is_there(slot)?;
        entry_note::complete(cache, &base)?;
    }
    let stagings = place::deliver(cache, &base)?;
    let arrival = materialize(cache, stagings, "restored", &deadline)?;
    if cache.spec.source_times {
        tools::source_times::put_back(cache, &deadline.cancel);
    }
    if let Some(kind) = cache.spec.kind {
        tools::begin(cache, kind);
    }
    drop(running);
    let quick = cache.quick_fingerprint()?;
    if arrival != Arrival::Mixed {
        let scope = Scope::one_of(&ctx.access.readable);
        let scope = scope.as_ref().map_or("", Scope::as_str);
        receipt::leave(cache, &Receipt::of_wrapped(matched, scope, cache.version().as_str(), &quick));
    }
    Ok(quick)
}

/// What the tools of the caches counted since the restore. Before anything is trimmed, which counts as well.
pub(crate) fn report_tools(ctx: &Context<'_>, job: &mut JobOutcome) {
    for spec in ctx.caches {
        // What is wrong with a declaration is reported where it is saved.
        if spec.kind.is_some()
            && let Ok(cache) = Cache::open_named(ctx, spec)
        {
            tools::report(&cache, job);
        }
    }
}

/// Decides what is to be saved and shows it to the carrier. The outcomes are final but for those that say
/// `saved`: whether they were is known once the carrier has run.
pub(crate) fn stage(
    ctx: &Context<'_>,
    carrier: &Carrier,
    found: &[FoundKeys],
) -> Result<Vec<Option<SaveOutcome>>, Fault> {
    let mut staged = Vec::new();
    let mut wanted = Vec::new();
    for (slot, (spec, found)) in ctx.caches.iter().zip(found).enumerate() {
        let cache = Cache::open_named(ctx, spec)?;
        let Some((key, matched)) = found.keys() else {
            staged.push(None);
            continue;
        };
        let outcome = decide(&cache, carrier, key, matched.as_ref());
        if outcome.result == SaveResult::Saved {
            wanted.push((slot, cache));
        }
        staged.push(Some(outcome));
    }
    // Only now: what is shown to actions/cache lies in the workspace, where links and files are looked for.
    for (slot, cache) in wanted {
        let started = Instant::now();
        let Some(outcome) = staged[slot].as_mut() else { continue };
        match show(&cache, carrier, slot, outcome) {
            Ok(None) => save::warn_of_idle_exclusions(&cache),
            Ok(Some(refusal)) => save::refuse(&cache, outcome, refusal),
            Err(error) => {
                let (reason, hint) = (failure::chain(&error), error.hint());
                let refusal = SaveRefusal::new(SaveResult::Failed, reason).at(Level::Warning);
                save::refuse(&cache, outcome, SaveRefusal { hint, ..refusal });
            }
        }
        outcome.elapsed += started.elapsed();
    }
    Ok(staged)
}

/// Shows one cache to the carrier, unless that has no room for it.
fn show(
    cache: &Cache<'_>,
    carrier: &Carrier,
    slot: usize,
    outcome: &mut SaveOutcome,
) -> Result<Option<SaveRefusal>, Fault> {
    if let Some(refusal) = limits::refused_by_room(cache, carrier, &mut outcome.trim)? {
        return Ok(Some(refusal));
    }
    let linked = place::show(cache, carrier, slot)?;
    outcome.files = linked.files;
    outcome.unpacked = ByteSize(linked.bytes);
    if let Some((_, metadata)) = carrier.task() {
        entry_note::leave(cache, &carrier.base(slot), &outcome.key, metadata)?;
        staged::leave(cache, &outcome.key);
    }
    Ok(None)
}

/// The outcomes of the saves, once actions/cache has run: `kept` says which keys the service now has.
pub(crate) fn saved(
    ctx: &Context<'_>,
    carrier: &Carrier,
    staged: Vec<Option<SaveOutcome>>,
    kept: &[bool],
) -> JobOutcome {
    place::sweep(ctx, carrier);
    let mut job = JobOutcome::new("save");
    for ((spec, outcome), kept) in ctx.caches.iter().zip(staged).zip(kept) {
        let Some(mut outcome) = outcome else {
            job.broken.push(spec.name.clone());
            continue;
        };
        if outcome.result == SaveResult::Saved {
            if *kept {
                let text = format!(
                    "saved: {} as `{}` by actions/cache",
                    counted(outcome.files, "file"),
                    outcome.key
                );
                ctx.report(Level::Info, &spec.name, text);
            } else {
                outcome.result = SaveResult::Failed;
                let reason = "actions/cache did not save it".to_owned();
                let hint = "its step above says why".to_owned();
                ctx.report_with_hint(Level::Warning, &spec.name, format!("not saved: {reason}"), Some(hint));
                outcome.reason = Some(reason);
            }
        }
        job.cache(&spec.name).save = Some(outcome);
    }
    job
}

/// Whether the cache may be saved; one that may is prepared.
fn decide(cache: &Cache<'_>, carrier: &Carrier, key: Key, matched: Option<&Key>) -> SaveOutcome {
    let (deadline, started) = (cache.ctx.deadline(), Instant::now());
    let is_there = hit(&key, matched) == Hit::Exact;
    let exists = is_there.then(|| SaveRefusal::new(SaveResult::Exists, format!("`{key}` is there already")));
    let refused = exists.or_else(|| carrier.task().and_then(|_| limits::refused_by_job(cache)));
    let mut outcome = save::begun(cache, key);
    let refused = match save::by_job(cache).or(refused) {
        Some(refusal) => Ok(Some(refusal)),
        // Only the carrier could tell whether the restored entry is still there: it is asked to save also what has not changed.
        None => prepare::prepare(cache, None, &mut outcome.trim, &deadline),
    };
    save::conclude(cache, &mut outcome, refused, &deadline);
    outcome.elapsed = started.elapsed();
    outcome
}
