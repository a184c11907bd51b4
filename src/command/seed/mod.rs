//! `seed`: fill a cache that lacks something, from its release archive and then from mirrors.

mod archive;
mod mirrors;
mod missing;
mod prover;

use std::time::Instant;

use super::cache::{self, Cache, DeclaredCache};
use super::context::{Context, Deadline};
use super::recover;
use super::session;
use crate::domain::digest::ObjectId;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::gate::{GateReport, MissingObject};
use crate::domain::inventory::Inventory;
use crate::domain::outcome::{JobOutcome, SeedOutcome, SeedResult};
use crate::domain::spec::{Prefetch, SeedSpec};
use crate::domain::unit::{ByteSize, counted};
use crate::fs::path_error::PathError;
use crate::fs::{read, write};
use crate::objects::remove;
use crate::objects::sentinel;
use crate::report::{failure, text};
use archive::from_sources;

/// Seeds every selected cache that declares a seed or mirrors.
pub(crate) fn run(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    fill_each(ctx, "seed", "Seed", seed, "declares neither a seed nor mirrors")
}

/// Fills every selected cache. `nothing` is reported of a cache that `fill` has nothing to fill from.
pub(super) fn fill_each(
    ctx: &Context<'_>,
    command: &'static str,
    group: &str,
    fill: impl Fn(&Cache<'_>) -> Option<SeedOutcome>,
    nothing: &str,
) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new(command);
    let caches = cache::open_all(ctx);
    recover::at_start(ctx, &caches);
    for DeclaredCache { spec, opened } in caches {
        let _group = ctx.group(&format!("{group} {}", spec.name));
        let cache = opened.map_err(|fault| spec.named_in(fault))?;
        session::reporting_panics(ctx, cache.name(), &mut job, |job| match fill(&cache) {
            Some(outcome) => job.cache(cache.name()).seed = Some(outcome),
            None => ctx.report(Level::Info, cache.name(), nothing),
        });
    }
    Ok(job)
}

/// Seeds one cache, as far as `prefetch` allows, unless its sentinel and its objects show that it is complete, and reports the outcome.
/// `None` for a cache without a seed and without mirrors.
pub(crate) fn seed(cache: &Cache<'_>) -> Option<SeedOutcome> {
    let prefetch = cache.spec.links.as_ref().map_or(Prefetch::Always, |links| links.prefetch);
    fill(cache, cache.spec.seed.as_ref(), prefetch)
}

/// Fills one cache from this seed, if one is given, and from its mirrors, if it has some and they may be asked.
pub(super) fn fill(cache: &Cache<'_>, seed: Option<&SeedSpec>, prefetch: Prefetch) -> Option<SeedOutcome> {
    let has_mirrors = cache.spec.links.as_ref().is_some_and(|links| !links.mirrors.is_empty());
    if seed.is_none() && !has_mirrors {
        return None;
    }
    let ctx = cache.ctx;
    let started = Instant::now();
    let deadline = ctx.deadline();
    let mut outcome = SeedOutcome {
        cache: cache.name().to_owned(),
        result: SeedResult::Failed,
        source: None,
        added: 0,
        added_bytes: ByteSize(0),
        fetched: 0,
        fetched_bytes: ByteSize(0),
        missing: Vec::new(),
        mirrors: Vec::new(),
        reason: None,
        elapsed: started.elapsed(),
    };
    let filled = if cache.layout().is_some() {
        let prefetch = has_mirrors.then_some(prefetch);
        fill_objects(cache, seed, prefetch, &deadline, &mut outcome)
    } else {
        if let Some(seed) = seed {
            fill_tree(cache, seed, &deadline, &mut outcome);
        }
        Ok(())
    };
    if let Err(error) = filled {
        outcome.result = SeedResult::Failed;
        outcome.reason = Some(deadline.reason(ctx.interrupt).unwrap_or_else(|| failure::chain(&error)));
    }
    outcome.elapsed = started.elapsed();
    let level = if outcome.result.is_short() { Level::Warning } else { Level::Info };
    ctx.report(level, cache.name(), text::seeded(&outcome));
    Some(outcome)
}

/// A cache of whatever files: the sentinel alone tells whether it was seeded.
fn fill_tree(cache: &Cache<'_>, seed: &SeedSpec, deadline: &Deadline, outcome: &mut SeedOutcome) {
    let claimed = sentinel::read(cache.root());
    if claimed.as_ref().is_some_and(|sentinel| sentinel.seed.as_deref() == Some(seed.version.as_str())) {
        outcome.result = SeedResult::NotNeeded;
        outcome.reason = Some(format!("the sentinel names seed {}", seed.version));
        return;
    }
    let why = if claimed.is_some() { "the sentinel names another seed" } else { "there is no sentinel" };
    from_archive(cache, seed, why, deadline, outcome);
}

/// A cache of objects: what links want, against what is there and proven. `prefetch` is given if there are mirrors.
fn fill_objects(
    cache: &Cache<'_>,
    seed: Option<&SeedSpec>,
    prefetch: Option<Prefetch>,
    deadline: &Deadline,
    outcome: &mut SeedOutcome,
) -> Result<(), Fault> {
    let cancel = &deadline.cancel;
    let (mut report, mut inventory) = cache.gate(cancel)?;
    if remove_corrupt(cache, &inventory)? {
        (report, inventory) = cache.gate(cancel)?;
    }
    if report.is_complete() && report.wanted > 0 {
        sentinel::update(cache.root(), &inventory, cache.ctx.now)?;
        outcome.result = SeedResult::NotNeeded;
        outcome.reason = Some(match report.wanted {
            1 => "the object is present and verified".to_owned(),
            wanted => format!("all {wanted} objects are present and verified"),
        });
        return Ok(());
    }
    if let Some(seed) = seed {
        match need(cache, seed, &report, &inventory) {
            SeedNeed::Seed(reason) => {
                from_archive(cache, seed, &reason, deadline, outcome);
                (report, inventory) = cache.gate(cancel)?;
            }
            SeedNeed::None(reason) => {
                outcome.result = SeedResult::NotNeeded;
                outcome.reason = Some(reason);
            }
        }
    }
    let Some(prefetch) = prefetch.filter(|_| !report.is_complete()) else {
        if outcome.result == SeedResult::Seeded && !report.is_complete() {
            cache.ctx.report(Level::Warning, cache.name(), text::gated(&report, cache.root()));
        } else if report.is_complete() && outcome.source.is_none() && outcome.reason.is_none() {
            outcome.result = SeedResult::NotNeeded;
            outcome.reason = Some("no link wants anything".to_owned());
        }
        return Ok(());
    };
    if let Some(reason) = left_to_build(prefetch, &report) {
        outcome.result = SeedResult::LeftToBuild;
        outcome.reason = Some(reason);
        // A seed may have brought some.
        return if inventory.objects.is_empty() {
            Ok(())
        } else {
            Ok(sentinel::update(cache.root(), &inventory, cache.ctx.now)?)
        };
    }
    from_mirrors(cache, &report, &inventory, deadline, outcome)
}

/// Moves corrupt objects out of the cache. Returns whether there were any.
fn remove_corrupt(cache: &Cache<'_>, inventory: &Inventory) -> Result<bool, PathError> {
    let Some(layout) = cache.layout() else { return Ok(false) };
    let corrupt: Vec<&ObjectId> = inventory.corrupt().collect();
    if corrupt.is_empty() {
        return Ok(false);
    }
    let aside = cache.temporary("removing corrupt objects from")?;
    for object in &corrupt {
        remove::set_aside(cache.root(), layout, object, aside.payload())?;
    }
    cache.warn_of_objects("are not what their names say and were removed", &corrupt);
    aside.close()?;
    Ok(true)
}

/// Why mirrors are not asked for what is missing; `None` if they are.
fn left_to_build(prefetch: Prefetch, report: &GateReport) -> Option<String> {
    let policy = match prefetch {
        Prefetch::Always => return None,
        Prefetch::Partial if report.present > 0 => return None,
        Prefetch::Partial => "`prefetch = \"partial\"` completes a cache that holds some of them",
        Prefetch::Never => "`prefetch = \"never\"`",
    };
    let missing = report.missing_count();
    Some(format!("{missing} of {} are missing; {policy}", counted(report.wanted, "object")))
}

/// Fetches missing objects; the sentinel is written last, whether or not all came.
fn from_mirrors(
    cache: &Cache<'_>,
    report: &GateReport,
    inventory: &Inventory,
    deadline: &Deadline,
    outcome: &mut SeedOutcome,
) -> Result<(), Fault> {
    let ctx = cache.ctx;
    let text =
        format!("fetching {} of {} from mirrors", report.missing_count(), counted(report.wanted, "object"));
    ctx.report(Level::Info, cache.name(), text);
    let is_new = read::is_directory(cache.root()).is_err();
    let summary = missing::fetch_missing(cache, report, deadline)?;
    outcome.fetched = summary.objects;
    outcome.fetched_bytes = ByteSize(summary.bytes);
    outcome.mirrors = summary.mirrors;
    let stopped = summary.stopped.map(|stop| deadline.reason(ctx.interrupt).unwrap_or(stop));
    // What stopped the fetch must not keep the sentinel from saying what is there now, unless it is the user.
    let (report, inventory) = match cache.gate(&deadline.cancel) {
        Ok(gated) => gated,
        Err(error) if stopped.is_none() => return Err(error),
        Err(_) => (report.clone(), inventory.clone()),
    };
    if inventory.objects.is_empty() && is_new {
        // Nothing came: the build, and the next save, find no directory that was made for it.
        write::remove_if_empty(cache.root());
    } else if stopped.is_none() {
        sentinel::update(cache.root(), &inventory, ctx.now)?;
    }
    let with_reason = |lack: &MissingObject| MissingObject {
        why: summary.reasons.get(&lack.object).cloned().or_else(|| lack.why.clone()),
        ..lack.clone()
    };
    outcome.missing = report.missing.iter().chain(&report.unproven).map(with_reason).collect();
    outcome.reason = stopped;
    outcome.result = match &outcome.reason {
        Some(_) => SeedResult::Failed,
        None if report.is_complete() => SeedResult::Seeded,
        None => SeedResult::Incomplete,
    };
    Ok(())
}

/// Seeds from the archive and records the result in the outcome.
fn from_archive(
    cache: &Cache<'_>,
    seed: &SeedSpec,
    why: &str,
    deadline: &Deadline,
    outcome: &mut SeedOutcome,
) {
    let text = format!("seeding with version {}: {why}", seed.version);
    cache.ctx.report(Level::Info, cache.name(), text);
    match from_sources(cache, seed, deadline) {
        Ok((source, added)) => {
            outcome.result = SeedResult::Seeded;
            outcome.source = Some(source);
            outcome.added = added.files;
            outcome.added_bytes = ByteSize(added.bytes);
        }
        Err(reason) => outcome.reason = Some(reason),
    }
}

/// Whether the archive has something to give, with the reason.
enum SeedNeed {
    None(String),
    Seed(String),
}

fn need(cache: &Cache<'_>, seed: &SeedSpec, report: &GateReport, inventory: &Inventory) -> SeedNeed {
    let claimed = sentinel::read(cache.root());
    let is_this_seed =
        claimed.as_ref().is_some_and(|sentinel| sentinel.seed.as_deref() == Some(seed.version.as_str()));
    let lacking =
        format!("{} of {} missing or unproven", report.missing_count(), counted(report.wanted, "object"));
    match claimed.map(|sentinel| sentinel.check(inventory)) {
        Some(Ok(())) if is_this_seed => {
            SeedNeed::None(format!("seed {} is merged and whole, but has not all: {lacking}", seed.version))
        }
        Some(Err(error)) => SeedNeed::Seed(format!("{lacking}; {error}")),
        _ => SeedNeed::Seed(lacking),
    }
}
