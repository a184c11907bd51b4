//! What killed processes left is completed or removed: by every command before its work, and by hand.

use std::path::{Path, PathBuf};

use super::cache::{self, Cache, DeclaredCache};
use super::context::Context;
use super::script;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::recovery::{Act, Leftover, RecoveryOutcome, Uploads};
use crate::fs::lease::holder;
use crate::fs::recover::{self, RecoverReport};
use crate::fs::staging::StagingError;
use crate::fs::{cancel, staging};
use crate::report::failure;
use crate::report::text::recovery::recovered;
use crate::store::Catalog;

/// Where leftovers are looked for, and what they may change.
struct RecoveryExtent {
    places: Vec<PathBuf>,
    targets: Vec<PathBuf>,
}

impl RecoveryExtent {
    fn of(ctx: &Context<'_>, caches: &[DeclaredCache<'_>]) -> Self {
        let facts = ctx.platform.facts();
        let mut places: Vec<PathBuf> = vec![facts.state_dir.join("receipts"), script::place(facts)];
        let mut targets = Vec::new();
        for root in caches.iter().filter_map(|cache| cache.opened.as_ref().ok()).flat_map(Cache::roots) {
            places.extend(staging::places_of(&root).into_iter().flatten());
            targets.extend(staging::targets_of(&root).into_iter().flatten());
        }
        RecoveryExtent { places, targets }
    }
}

/// Looks after the targets of the selected caches and their store, and says what was found.
pub(crate) fn run(ctx: &Context<'_>, dry_run: bool) -> Result<RecoveryOutcome, Fault> {
    let RecoveryExtent { places, targets } = RecoveryExtent::of(ctx, &cache::open_all(ctx));
    let (report, uploads) = if dry_run {
        (recover::look(&places, &targets, &ctx.records, ctx.now), None)
    } else {
        let deadline = ctx.deadline();
        let goes_on = || !cancel::is_cancelled(&deadline.cancel);
        let report = recover::recover_while(&places, &targets, &ctx.records, ctx.now, &goes_on);
        if let Some(reason) = deadline.reason(ctx.interrupt).filter(|_| report.unfinished) {
            return Err(Fault::environment(format!("not all leftovers were looked at: {reason}")));
        }
        (report, uploads(ctx))
    };
    let mut places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    places.sort();
    places.dedup();
    let outcome = RecoveryOutcome { dry_run, places, leftovers: leftovers(ctx, &report), uploads };
    ctx.report_about_job(
        if outcome.has_failed() { Level::Warning } else { Level::Info },
        recovered(&outcome),
    );
    Ok(outcome)
}

/// What was done about each temporary directory, in the order of their paths.
fn leftovers(ctx: &Context<'_>, report: &RecoverReport) -> Vec<Leftover> {
    let found =
        |path: &Path, act: Act, why: Option<String>| Leftover { path: path.display().to_string(), act, why };
    let mut all: Vec<Leftover> = Vec::new();
    for path in &report.removed {
        all.push(if report.completed.contains(path) {
            found(path, Act::Completed, Some("a publication had begun".to_owned()))
        } else if report.undone.contains(path) {
            found(path, Act::Undone, Some("a publication had begun and could not be completed".to_owned()))
        } else {
            found(path, Act::Removed, Some("the process that made it is dead".to_owned()))
        });
    }
    for path in &report.spared {
        let why = holder::holder_of(path, ctx.now).map_or_else(
            || "it belongs to another user, or its process may be starting".to_owned(),
            |holder| holder.to_string(),
        );
        all.push(found(path, Act::Kept, Some(why)));
    }
    for (path, error) in &report.failed {
        // What this user did not write, or is about another target, is for a person to decide, and does not fail.
        let act = match error {
            StagingError::Unrecorded(_) | StagingError::NotAsked { .. } => Act::Kept,
            _ => Act::Failed,
        };
        let mut why = failure::chain(error);
        if let Some(hint) = error.hint() {
            why = format!("{why}; {hint}");
        }
        all.push(found(path, act, Some(why)));
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

/// Unfinished uploads of the store; `None` where its service removes them by itself, or with a warning where it cannot be asked.
fn uploads(ctx: &Context<'_>) -> Option<Uploads> {
    let catalog = ctx.store.catalog()?;
    match ctx.wait_for_store(catalog.recover()) {
        Ok(found) => Some(Uploads {
            location: catalog.location(),
            removed: found.removed,
            bytes: found.removed_bytes,
            kept: found.kept,
            refused: found.refused,
        }),
        Err(error) => {
            let why = failure::chain(&error);
            let text = format!("cannot look for unfinished uploads in {}: {why}", catalog.location());
            ctx.report_about_job_with_hint(Level::Warning, text, error.hint());
            None
        }
    }
}

/// Completes or removes what killed processes left beside the targets, in the caches, and in the store, and nothing else. It waits for no
/// other process, and never fails.
pub(crate) fn at_start(ctx: &Context<'_>, caches: &[DeclaredCache<'_>]) {
    let RecoveryExtent { places, targets } = RecoveryExtent::of(ctx, caches);
    let running = ctx.start("all caches", Phase::Recover);
    let deadline = ctx.deadline();
    let goes_on = || !cancel::is_cancelled(&deadline.cancel);
    let report = recover::recover_while(&places, &targets, &ctx.records, ctx.now, &goes_on);
    if let Some(reason) = deadline.reason(ctx.interrupt).filter(|_| report.unfinished) {
        let text = format!("not all that killed processes left was looked at: {reason}");
        ctx.report_about_job(Level::Warning, text);
    }
    for path in &report.removed {
        ctx.report_about_job(
            Level::Info,
            format!("removed `{}`, left by a process that was killed", path.display()),
        );
    }
    for (path, error) in &report.failed {
        let text = format!("`{}` is left for the next time: {}", path.display(), failure::chain(error));
        ctx.report_about_job_with_hint(Level::Warning, text, error.hint());
    }
    // The service of a store without a catalog removes unfinished uploads itself.
    if let Some(catalog) = ctx.store.catalog() {
        recover_uploads(ctx, catalog.as_ref());
    }
    drop(running);
}

fn recover_uploads(ctx: &Context<'_>, catalog: &dyn Catalog) {
    let recovered = ctx.wait_for_store(catalog.recover());
    for text in recovered.iter().flat_map(|recovered| &recovered.refused) {
        ctx.report_about_job(Level::Warning, text);
    }
    match recovered {
        Ok(recovered) if recovered.removed > 0 => {
            let text = format!(
                "removed {} unfinished uploads, {}, from {}",
                recovered.removed,
                recovered.removed_bytes,
                catalog.location()
            );
            ctx.report_about_job(Level::Info, text);
        }
        Ok(_) => {}
        Err(error) => {
            ctx.report_about_job(
                Level::Debug,
                format!("the store was not swept: {}", failure::chain(&error)),
            );
        }
    }
}
