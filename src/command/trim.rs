//! `trim`: make a local cache smaller by its policy, least recently used files first.

use super::cache::Cache;
use super::context::Context;
use super::session;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{JobOutcome, TrimOutcome};
use crate::domain::trim::{TrimPlan, TrimReason};
use crate::domain::unit::ByteSize;
use crate::report::failure;
use crate::tree::trim::{self, Trimmed};
use crate::tree::walk::WalkError;

/// Trims every selected cache that has a policy for it.
pub(crate) fn run(ctx: &Context<'_>, dry_run: bool) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("trim");
    for spec in ctx.caches {
        let cache = session::open(ctx, spec)?;
        if spec.trim.is_none() {
            ctx.report(Level::Info, cache.name(), "has no `trim` policy");
            continue;
        }
        let trim = |_: &mut JobOutcome| trim(&cache, dry_run);
        let Some(trimmed) = session::contained(ctx, cache.name(), &mut job, trim) else { continue };
        match trimmed {
            Ok(report) => {
                job.cache(cache.name()).trim = Some(report);
            }
            // What is not there yet needs no trimming.
            Err(WalkError::Missing(path)) => {
                ctx.report(
                    Level::Info,
                    cache.name(),
                    format!("nothing to trim: `{}` is not there", path.display()),
                );
            }
            Err(error) => {
                ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
                job.broken.push(spec.name.clone());
            }
        }
    }
    Ok(job)
}

/// Trims one cache, or says what would go. All roots together keep to the size.
pub(crate) fn trim(cache: &Cache<'_>, dry_run: bool) -> Result<TrimOutcome, WalkError> {
    let ctx = cache.ctx;
    let mut report = TrimOutcome { dry_run, ..TrimOutcome::default() };
    let Some(policy) = &cache.spec.trim else { return Ok(report) };
    if cache.layout().is_some() {
        ctx.report(Level::Warning, cache.name(), "is not trimmed: its gate says which objects it must hold");
        return Ok(report);
    }
    let running = ctx.start(cache.name(), Phase::Scan);
    for selection in &cache.selections {
        let (units, total) = trim::survey(selection)?;
        let plan = policy.plan(units, total, ctx.now);
        tell(cache, &plan, dry_run);
        report.before = ByteSize(report.before.0 + plan.before.0);
        report.after = ByteSize(report.after.0 + plan.after.0);
        report.files += plan.remove.len() as u64;
        if dry_run {
            continue;
        }
        let planned = plan.remove.len() as u64;
        let Trimmed { files, failed, .. } = trim::apply(&selection.root, plan, &ctx.interrupt.cancel);
        report.files -= planned - files.min(planned);
        report.failed += failed.len() as u64;
        for error in &failed {
            ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(error), error.hint());
        }
    }
    drop(running);
    Ok(report)
}

fn tell(cache: &Cache<'_>, plan: &TrimPlan, dry_run: bool) {
    let count = |reason| plan.remove.iter().filter(|(_, why)| *why == reason).count();
    let freed = ByteSize(plan.before.0 - plan.after.0);
    let verb = if dry_run { "would remove" } else { "trimming" };
    let text = format!(
        "{verb} {} unused and {} least recently used files, {freed} of {}",
        count(TrimReason::Unused),
        count(TrimReason::OverSize),
        plan.before,
    );
    if !plan.remove.is_empty() || dry_run {
        cache.ctx.report(Level::Info, cache.name(), text);
    }
    for (unit, _) in &plan.remove {
        cache.ctx.report(Level::Debug, cache.name(), format!("{verb} `{}`", unit.path.display()));
    }
    if let Some(blocked) = &plan.blocked {
        let text = format!("stays at {}, beyond its size: {blocked}", plan.after);
        cache.ctx.report(Level::Warning, cache.name(), text);
    }
}
