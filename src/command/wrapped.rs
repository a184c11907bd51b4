//! The wrapped transport: actions/cache moves the archives, everything else is ours.
//!
//! Where a job has no way to the cache service (pull requests from forks), the action runs actions/cache between
//! two of our own steps. It knows a cache as `.cachekeep/<cache>` in the workspace: the same path, so the same
//! version, as in our own archives, and an entry of one transport is found by the other. After a restore that
//! tree becomes the cache by a rename; for a save it is made of hard links, and the cache stays where it is. What a
//! killed job leaves there is removed by the next.

use std::path::Path;
use std::time::Instant;

use super::cache::Cache;
use super::context::{Context, Deadline};
use super::materialize::materialize;
use super::receipt::{self, Receipt};
use super::restore::Options;
use super::save;
use super::save_error::SaveError;
use super::session::{self, Opened};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::key::Key;
use crate::domain::outcome::{Hit, JobOutcome, Matched, RestoreOutcome, SaveOutcome, SaveResult};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::LAYOUT_ROOT;
use crate::fs::remove::remove_tree;
use crate::fs::staging::Staging;
use crate::fs::write;
use crate::report::failure;
use crate::tree::fingerprint;
use crate::tree::hard_links;

/// How many caches one step can wrap: `action.yml` has so many nested steps of each kind.
pub const NESTED: usize = 4;

/// What a nested step is to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
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

/// What the nested steps are to look for, by the caches' order; nothing for a cache that cannot be opened.
/// Sweeps what a killed job left in their place.
pub fn plan(ctx: &Context<'_>) -> Result<Vec<Option<Slot>>, Fault> {
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
    session::recover(ctx);
    sweep(ctx, workspace);
    let mut slots = Vec::new();
    for opened in session::open_all(ctx)? {
        slots.push(match opened {
            Opened::Ready { cache, keys } => {
                session::export(&cache);
                let restore_keys: Vec<&str> = keys.restore_keys.iter().map(Key::as_str).collect();
                Some(Slot {
                    key: keys.key.to_string(),
                    restore_keys: restore_keys.join("\n"),
                    paths: cache.prefixes.join("\n"),
                })
            }
            Opened::Failed { .. } => None,
        });
    }
    Ok(slots)
}

/// Removes what lies between the transports, but for caches that are kept there.
fn sweep(ctx: &Context<'_>, workspace: &Path) {
    // Nothing is removed through a link.
    if let Err(error) = hard_links::is_plain_directory(workspace, Path::new(LAYOUT_ROOT)) {
        ctx.say_about_job(Level::Warning, failure::chain(&error));
        return;
    }
    for spec in ctx.caches {
        let Ok(cache) = Cache::open(ctx, spec) else { continue };
        let place = workspace.join(LAYOUT_ROOT).join(cache.name());
        if refuse_reserved(&cache, workspace).is_ok()
            && let Err(error) = remove_tree(&place)
        {
            ctx.say(Level::Warning, cache.name(), failure::chain(&error));
        }
    }
    write::remove_if_empty(&workspace.join(LAYOUT_ROOT));
}

fn refuse_reserved(cache: &Cache<'_>, workspace: &Path) -> Result<(), Fault> {
    let reserved = workspace.join(LAYOUT_ROOT);
    match cache.roots().into_iter().find(|root| root.starts_with(&reserved) || reserved.starts_with(root)) {
        Some(root) => {
            Err(Fault::usage(format!("`{}` is where actions/cache puts its archives", root.display()))
                .with_hint(format!("give the cache a path outside of `{LAYOUT_ROOT}`")))
        }
        None => Ok(()),
    }
}

/// A key that was looked for and the one that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The primary key, as planned; empty where nothing was planned.
    pub key: String,
    /// The key of the entry that actions/cache found; empty for a miss.
    pub matched: String,
}

/// Makes the caches of what actions/cache unpacked.
pub fn restored(ctx: &Context<'_>, found: &[Found], options: Options) -> Result<JobOutcome, Fault> {
    let workspace = workspace(ctx)?;
    let mut job = JobOutcome::new("restore");
    for (spec, found) in ctx.caches.iter().zip(found) {
        let _group = ctx.group(&format!("Restore {}", spec.name));
        let opened = Cache::open(ctx, spec);
        let cache = opened.map_err(|source| session::of_cache(spec, source))?;
        let Some((key, matched)) = found.keys() else {
            job.broken.push(spec.name.clone());
            continue;
        };
        let started = Instant::now();
        let mut outcome = RestoreOutcome {
            cache: spec.name.clone(),
            hit: hit(&key, matched.as_ref()),
            key,
            matched: matched.map(|key| Matched { key, scope: None, size: None }),
            files: 0,
            unpacked: ByteSize(0),
            miss: None,
            elapsed: started.elapsed(),
        };
        if !found.matched.is_empty() && !options.lookup_only {
            match adopt(&cache, workspace, &found.matched) {
                Ok(quick) => {
                    outcome.files = quick.files;
                    outcome.unpacked = ByteSize(quick.bytes);
                }
                Err(error) => {
                    let reason = format!("`{}` was not restored: {}", found.matched, failure::chain(&error));
                    ctx.say_with_hint(Level::Warning, cache.name(), &reason, error.hint());
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
                    format!("{} hit: {} files from `{key}` by actions/cache", outcome.hit, outcome.files)
                }
                None => format!("miss: no entry for `{}`", outcome.key),
            };
            ctx.say(Level::Info, cache.name(), text);
        }
        job.cache(cache.name()).restore = Some(outcome);
    }
    sweep(ctx, workspace);
    Ok(job)
}

impl Found {
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

/// Publishes what was unpacked at the cache's own place.
fn adopt(cache: &Cache<'_>, workspace: &Path, matched: &str) -> Result<fingerprint::Quick, Fault> {
    let ctx = cache.ctx;
    refuse_reserved(cache, workspace)?;
    let deadline = ctx.deadline();
    let running = ctx.start(cache.name(), Phase::Restore);
    let mut stagings = Vec::new();
    for (prefix, selection) in cache.prefixes.iter().zip(&cache.selections) {
        let staging = Staging::beside(&selection.root, &ctx.records(), ctx.now)?;
        // A cache may be kept without one of its roots; a link instead of a directory is somebody's trick.
        if hard_links::is_plain_directory(workspace, Path::new(prefix))? {
            hard_links::adopt(&workspace.join(prefix), &staging)?;
        }
        stagings.push(staging);
    }
    let alone = materialize(cache, stagings, "restored", &deadline)?;
    drop(running);
    let quick = fingerprint::quick(&cache.selections).map_err(SaveError::from)?;
    if alone {
        let scope = Scope::one_of(&ctx.access.readable);
        let scope = scope.as_ref().map_or("", Scope::as_str);
        let receipt = Receipt::of_wrapped(matched, scope, cache.version().as_str(), &quick);
        if let Err(reason) = receipt::write(cache, &receipt) {
            ctx.say(Level::Debug, cache.name(), format!("no receipt: {reason}"));
        }
    }
    Ok(quick)
}

/// Decides what is to be saved and shows it to actions/cache. The outcomes are final but for those that say
/// `saved`: whether they were is known once actions/cache has run.
pub fn stage(ctx: &Context<'_>, found: &[Found]) -> Result<Vec<Option<SaveOutcome>>, Fault> {
    let workspace = workspace(ctx)?;
    let mut staged = Vec::new();
    let mut wanted = Vec::new();
    for (spec, found) in ctx.caches.iter().zip(found) {
        let opened = Cache::open(ctx, spec);
        let cache = opened.map_err(|source| session::of_cache(spec, source))?;
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
        match show(&cache, workspace) {
            Ok(linked) => {
                outcome.files = linked.files;
                outcome.unpacked = ByteSize(linked.bytes);
            }
            Err(error) => refuse(&cache, outcome, SaveResult::Failed, failure::chain(&error), error.hint()),
        }
        outcome.elapsed += started.elapsed();
    }
    Ok(staged)
}

/// What came of the saves, once actions/cache has run: `kept` says which keys the service now has.
pub fn saved(
    ctx: &Context<'_>,
    staged: Vec<Option<SaveOutcome>>,
    kept: &[bool],
) -> Result<JobOutcome, Fault> {
    let workspace = workspace(ctx)?;
    sweep(ctx, workspace);
    let mut job = JobOutcome::new("save");
    for ((spec, outcome), kept) in ctx.caches.iter().zip(staged).zip(kept) {
        let Some(mut outcome) = outcome else {
            job.broken.push(spec.name.clone());
            continue;
        };
        if outcome.result == SaveResult::Saved {
            if *kept {
                let text = format!("saved: {} files as `{}` by actions/cache", outcome.files, outcome.key);
                ctx.say(Level::Info, &spec.name, text);
            } else {
                outcome.result = SaveResult::Failed;
                let reason = "actions/cache did not save it".to_owned();
                let hint = "its step above says why".to_owned();
                ctx.say_with_hint(Level::Warning, &spec.name, format!("not saved: {reason}"), Some(hint));
                outcome.reason = Some(reason);
            }
        }
        job.cache(&spec.name).save = Some(outcome);
    }
    Ok(job)
}

fn decide(cache: &Cache<'_>, key: Key, matched: Option<&Key>) -> SaveOutcome {
    let started = Instant::now();
    let deadline = cache.ctx.deadline();
    let refused = refusal(cache, &key, matched, &deadline);
    let mut outcome = SaveOutcome {
        cache: cache.name().to_owned(),
        key,
        result: SaveResult::Saved,
        reason: None,
        hint: None,
        files: 0,
        unpacked: ByteSize(0),
        archive: ByteSize(0),
        elapsed: started.elapsed(),
    };
    match refused {
        Ok(None) => {}
        Ok(Some(why)) => refuse(cache, &mut outcome, why.result, why.reason, why.hint),
        Err(error) => {
            let reason = deadline.reason(cache.ctx.interrupt).unwrap_or_else(|| failure::chain(&error));
            refuse(cache, &mut outcome, error.result(), reason, error.hint());
        }
    }
    outcome.elapsed = started.elapsed();
    outcome
}

fn refusal(
    cache: &Cache<'_>,
    key: &Key,
    matched: Option<&Key>,
    deadline: &Deadline,
) -> Result<Option<save::Refusal>, SaveError> {
    if let Some(refusal) = save::refused_by_role(cache) {
        return Ok(Some(refusal));
    }
    if hit(key, matched) == Hit::Exact {
        let reason = format!("`{key}` is there already");
        return Ok(Some(save::Refusal { result: SaveResult::Exists, reason, hint: None }));
    }
    save::refused_by_content(cache, receipt::read(cache), deadline)
}

fn refuse(
    cache: &Cache<'_>,
    outcome: &mut SaveOutcome,
    result: SaveResult,
    reason: String,
    hint: Option<String>,
) {
    let is_news = !result.is_served() && result != SaveResult::DeniedMode;
    let level = if is_news { Level::Warning } else { Level::Info };
    cache.ctx.say_with_hint(level, cache.name(), format!("not saved ({result}): {reason}"), hint);
    outcome.result = result;
    outcome.reason = Some(reason);
}

/// Shows a cache under the path that actions/cache knows.
fn show(cache: &Cache<'_>, workspace: &Path) -> Result<hard_links::Linked, Fault> {
    refuse_reserved(cache, workspace)?;
    let layout = Path::new(LAYOUT_ROOT);
    hard_links::is_plain_directory(workspace, layout)?;
    let running = cache.ctx.start(cache.name(), Phase::Save);
    let mut all = hard_links::Linked::default();
    for (prefix, selection) in cache.prefixes.iter().zip(&cache.selections) {
        let target = workspace.join(prefix);
        let cancel = &cache.ctx.interrupt.cancel;
        let linked = hard_links::link_tree(selection, &target, cancel, &running.meter)?;
        all.files += linked.files;
        all.bytes += linked.bytes;
    }
    Ok(all)
}
