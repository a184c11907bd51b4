//! `restore` and `save` where actions/cache moves the archives, and everything else is ours.
//!
//! Where a job has no way to the cache service (pull requests from forks), the action runs actions/cache between
//! two of our own steps: the first says what to look for or shows what to save, the last makes caches of what came or reports
//! what was saved. What a killed job leaves in between is removed by the next.

mod place;

use std::path::Path;
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::context::Context;
use super::materialize::materialize;
use super::notes::carried;
use super::notes::receipt::{self, Receipt};
use super::restore::RestoreOptions;
use super::save::{self, decide::SaveRefusal};
use super::session::{self, OpenedCache};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome, SaveOutcome, SaveResult};
use crate::domain::scope::Scope;
use crate::domain::unit::{ByteSize, counted};
use crate::report::failure;
use crate::tree::fingerprint;

/// How many caches one step can wrap: `action.yml` has so many nested steps of each kind.
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
}

/// The directory that nested steps work in; it is relative to this.
fn workspace<'a>(ctx: &'a Context<'_>) -> Result<&'a Path, Fault> {
    ctx.platform
        .facts()
        .workspace
        .as_deref()
        .ok_or_else(|| Fault::usage("the workspace is not known: GITHUB_WORKSPACE is not set"))
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
pub(crate) fn plan(ctx: &Context<'_>, purpose: Purpose) -> Result<Vec<Option<Slot>>, Fault> {
    if ctx.caches.len() > NESTED {
        let text = format!(
            "{} caches in one step, and without access to the cache service a step takes {NESTED}",
            ctx.caches.len()
        );
        return Err(Fault::usage(text).with_hint(
            "name at most four in `cache:` and use the action once more for the others, or give the job \
             `permissions: id-token: write`"
                .to_owned(),
        ));
    }
    let workspace = workspace(ctx)?;
    session::check_exports(ctx)?;
    session::recover(ctx);
    place::sweep(ctx, workspace);
    let mut slots = Vec::new();
    let opened =
        if purpose == Purpose::Save { session::open_each(ctx, save::open)? } else { session::open_all(ctx)? };
    for opened in opened {
        slots.push(match opened.if_exportable() {
            OpenedCache::Ready { cache, keys } => {
                if purpose == Purpose::Restore {
                    carried::carry(&cache, &keys);
                }
                session::export(&cache);
                let restore_keys: Vec<&str> = keys.restore_keys.iter().map(Key::as_str).collect();
                Some(Slot {
                    key: keys.key.to_string(),
                    restore_keys: restore_keys.join("\n"),
                    paths: cache.prefixes.join("\n"),
                })
            }
            OpenedCache::Failed { .. } => None,
        });
    }
    Ok(slots)
}

/// A key that was looked for and the one that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FoundKeys {
    /// The primary key, as planned; empty where nothing was planned.
    pub key: String,
    /// The prefixes that were looked for, as planned, one a line.
    pub restore_keys: String,
    /// The key of the entry that actions/cache found; empty for a miss.
    pub matched: String,
}

/// Makes the caches of what actions/cache unpacked.
pub(crate) fn restored(
    ctx: &Context<'_>,
    found: &[FoundKeys],
    options: RestoreOptions,
) -> Result<JobOutcome, Fault> {
    let workspace = workspace(ctx)?;
    let mut job = JobOutcome::new("restore");
    for (spec, found) in ctx.caches.iter().zip(found) {
        let _group = ctx.group(&format!("Restore {}", spec.name));
        let cache = session::open(ctx, spec)?;
        let Some((key, matched)) = found.keys() else {
            job.broken.push(spec.name.clone());
            continue;
        };
        let started = Instant::now();
        let mut outcome = found_outcome(&cache, key, matched, &found.restore_keys());
        if outcome.matched.is_some() && !options.lookup_only {
            match adopt(&cache, workspace, &found.matched) {
                Ok(quick) => {
                    outcome.files = quick.files;
                    outcome.unpacked = ByteSize(quick.bytes);
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
        if outcome.miss.is_none() {
            let text = match &outcome.matched {
                Some(Matched { key, .. }) => {
                    let files = counted(outcome.files, "file");
                    format!("{} hit: {files} from `{key}` by actions/cache", outcome.hit)
                }
                None => format!("miss: no entry for `{}`", outcome.key),
            };
            ctx.report(Level::Info, cache.name(), text);
        }
        job.cache(cache.name()).restore = Some(outcome);
    }
    place::sweep(ctx, workspace);
    Ok(job)
}

/// The outcome for what actions/cache found, before it is published. An entry that was not asked for is a miss.
fn found_outcome(cache: &Cache<'_>, key: Key, matched: Option<Key>, restore_keys: &[Key]) -> RestoreOutcome {
    let answer = matched.as_ref().map_or(Ok(()), |matched| key.check_answer(restore_keys, matched));
    let (matched, unasked) = match answer {
        Ok(()) => (matched, None),
        Err(answer) => {
            let miss = format!("actions/cache did not restore what was asked for: {answer}");
            cache.ctx.report(Level::Warning, cache.name(), &miss);
            (None, Some((answer.matched, miss)))
        }
    };
    let (unasked, miss) = unasked.unzip();
    RestoreOutcome {
        cache: cache.name().to_owned(),
        hit: hit(&key, matched.as_ref()),
        key,
        matched: matched.map(|key| Matched { key, scope: None, size: None }),
        files: 0,
        unpacked: ByteSize(0),
        miss,
        unasked,
        elapsed: Duration::ZERO,
    }
}

impl FoundKeys {
    fn restore_keys(&self) -> Vec<Key> {
        self.restore_keys.lines().filter_map(|line| Key::new(line).ok()).collect()
    }

    /// Both keys; `None` where nothing was planned for this cache.
    fn keys(&self) -> Option<(Key, Option<Key>)> {
        Some((Key::new(self.key.clone()).ok()?, Key::new(self.matched.clone()).ok()))
    }
}

fn hit(key: &Key, matched: Option<&Key>) -> Hit {
    match matched {
        None => Hit::None,
        Some(matched) if matched == key => Hit::Exact,
        Some(_) => Hit::Partial,
    }
}

/// Publishes what actions/cache unpacked.
fn adopt(cache: &Cache<'_>, workspace: &Path, matched: &str) -> Result<fingerprint::Quick, Fault> {
    let ctx = cache.ctx;
    let deadline = ctx.deadline();
    let running = ctx.start(cache.name(), Phase::Restore);
    let stagings = place::deliver(cache, workspace)?;
    let alone = materialize(cache, stagings, "restored", &deadline)?;
    drop(running);
    let quick = fingerprint::quick(&cache.selections)?;
    if alone {
        let scope = Scope::one_of(&ctx.access.readable);
        let scope = scope.as_ref().map_or("", Scope::as_str);
        receipt::leave(cache, &Receipt::of_wrapped(matched, scope, cache.version().as_str(), &quick));
    }
    Ok(quick)
}

/// Decides what is to be saved and shows it to actions/cache. The outcomes are final but for those that say
/// `saved`: whether they were is known once actions/cache has run.
pub(crate) fn stage(ctx: &Context<'_>, found: &[FoundKeys]) -> Result<Vec<Option<SaveOutcome>>, Fault> {
    let workspace = workspace(ctx)?;
    let mut staged = Vec::new();
    let mut wanted = Vec::new();
    for (spec, found) in ctx.caches.iter().zip(found) {
        let cache = session::open(ctx, spec)?;
        let Some((key, matched)) = found.keys() else {
            staged.push(None);
            continue;
        };
        let outcome = decide(&cache, key, matched.as_ref());
        if outcome.result == SaveResult::Saved {
            wanted.push((staged.len(), cache));
        }
        staged.push(Some(outcome));
    }
    // Only now: what is shown to actions/cache lies in the workspace, where links and files are looked for.
    for (index, cache) in wanted {
        let started = Instant::now();
        let Some(outcome) = staged[index].as_mut() else { continue };
        match place::show(&cache, workspace) {
            Ok(linked) => {
                outcome.files = linked.files;
                outcome.unpacked = ByteSize(linked.bytes);
                save::warn_of_idle_exclusions(&cache);
            }
            Err(error) => {
                let (reason, hint) = (failure::chain(&error), error.hint());
                let refusal = SaveRefusal { result: SaveResult::Failed, reason, hint };
                save::refuse(&cache, outcome, Level::Warning, refusal);
            }
        }
        outcome.elapsed += started.elapsed();
    }
    Ok(staged)
}

/// The outcomes of the saves, once actions/cache has run: `kept` says which keys the service now has.
pub(crate) fn saved(
    ctx: &Context<'_>,
    staged: Vec<Option<SaveOutcome>>,
    kept: &[bool],
) -> Result<JobOutcome, Fault> {
    let workspace = workspace(ctx)?;
    place::sweep(ctx, workspace);
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
    Ok(job)
}

/// Whether the cache may be saved; one that may is prepared.
fn decide(cache: &Cache<'_>, key: Key, matched: Option<&Key>) -> SaveOutcome {
    let deadline = cache.ctx.deadline();
    let is_there = hit(&key, matched) == Hit::Exact;
    let exists = is_there.then(|| SaveRefusal::new(SaveResult::Exists, format!("`{key}` is there already")));
    // Only actions/cache could tell whether the restored entry is still there, and it is asked to save instead.
    let is_found = |_: &_| Ok(false);
    save::attempt(cache, key, &deadline, |outcome| {
        save::refusal(cache, |_| Ok(exists), is_found, &mut outcome.trim, &deadline)
    })
}
