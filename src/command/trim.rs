//! `trim`: make a local cache smaller by its policy, least recently used units first.

use super::cache::expand::Sources;
use super::cache::{Cache, expand_one};
use super::context::Context;
use super::session;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{JobOutcome, TrimOutcome};
use crate::domain::trim::{Recency, SizeLimit, TrimPlan, TrimPolicy, TrimSpec, TrimUnit};
use crate::domain::unit::{ByteSize, SizeOrShare, counted};
use crate::fs::cancel;
use crate::fs::recover;
use crate::fs::volume::{self, volume_of};
use crate::report::{failure, text};
use crate::tree::trim::{self, Survey, SurveyOptions};
use crate::tree::walk::WalkError;

/// How many units a dry run lists; `--verbose` lists all.
const LISTED: usize = 20;

/// An expanded size without a unit that is smaller than this is meant in another unit.
const PLAUSIBLE_BYTES: u64 = 1_000_000;

/// Why a cache was not trimmed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrimError {
    /// It could not be read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A limit has no value here.
    #[error("not trimmed: {0}")]
    Limit(#[source] Fault),
}

impl Hint for TrimError {
    fn hint(&self) -> Option<String> {
        match self {
            TrimError::Walk(error) => error.hint(),
            TrimError::Limit(fault) => fault.hint(),
        }
    }
}

/// Trims every selected cache that has a policy for it.
pub(crate) fn run(ctx: &Context<'_>, dry_run: bool) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("trim");
    for spec in ctx.caches {
        let cache = session::open(ctx, spec)?;
        if spec.trim.is_none() {
            let hint = "add `trim = { max-size = \"5GB\" }` to the cache, or another limit".to_owned();
            ctx.report_with_hint(Level::Info, cache.name(), "has no `trim` policy", Some(hint));
            continue;
        }
        let trim = |_: &mut JobOutcome| trim(&cache, dry_run);
        let Some(trimmed) = session::contained(ctx, cache.name(), &mut job, trim) else { continue };
        match trimmed {
            Ok(report) => job.cache(cache.name()).trim = report,
            // What is not there yet needs no trimming.
            Err(TrimError::Walk(WalkError::Missing(path))) => {
                let text = format!("nothing to trim: `{}` is not there", path.display());
                ctx.report(Level::Info, cache.name(), text);
            }
            Err(error) => {
                ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
                job.broken.push(spec.name.clone());
            }
        }
    }
    Ok(job)
}

/// Trims a cache before it is saved. A limit that has no value here is a warning: the cache is saved as it is.
pub(crate) fn before_save(cache: &Cache<'_>) -> Result<Option<TrimOutcome>, WalkError> {
    match trim(cache, false) {
        Ok(outcome) => Ok(outcome),
        Err(TrimError::Walk(error)) => Err(error),
        Err(error @ TrimError::Limit(_)) => {
            cache.ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
            Ok(None)
        }
    }
}

/// Trims one cache, or says what would go. Its limits hold for all roots together.
fn trim(cache: &Cache<'_>, dry_run: bool) -> Result<Option<TrimOutcome>, TrimError> {
    let Some(spec) = &cache.spec.trim else { return Ok(None) };
    if cache.layout().is_some() {
        let text = "is not trimmed: its gate says which objects it must hold";
        cache.ctx.report(Level::Warning, cache.name(), text);
        return Ok(None);
    }
    let policy = policy(cache, spec).map_err(TrimError::Limit)?;
    let _running = cache.ctx.start(cache.name(), Phase::Scan);
    let options = SurveyOptions { units: spec.units, recency: spec.recency, never: &[], now: cache.ctx.now };
    let survey = trim::survey(&cache.selections, &options)?;
    warn_of_times(cache, spec, &survey);
    let outcome =
        if dry_run { show(cache, spec, &policy, survey) } else { carry_out(cache, spec, &policy, survey) };
    if let Some(blocked) = &outcome.blocked {
        let text = format!("stays above its `max-size`: {blocked}");
        cache.ctx.report(Level::Warning, cache.name(), text);
    }
    for (unit, why) in &outcome.stays {
        cache.ctx.report(Level::Info, cache.name(), format!("kept `{unit}`: {why}"));
    }
    Ok(Some(outcome))
}

/// The limits of a cache in bytes.
fn policy(cache: &Cache<'_>, spec: &TrimSpec) -> Result<TrimPolicy, Fault> {
    let size = match &spec.max_size {
        None => None,
        Some(SizeLimit::Fixed(size)) => Some(*size),
        Some(SizeLimit::Expanded(template)) => {
            let text = expand_one(cache.ctx, template, &Sources::default())?;
            Some(
                parse_size(&text)
                    .map_err(|fault| fault.in_context(format!("`max-size` is `{}`", template.source())))?,
            )
        }
    };
    let max_size = match size {
        None => None,
        Some(SizeOrShare::Bytes(size)) => Some(size),
        Some(share) => Some(share.of(volume_of(cache.root())?.total)),
    };
    Ok(TrimPolicy { max_size, unused_for: spec.unused_for, keep: spec.keep })
}

/// A size that placeholders became. A small number without a unit is refused: it would empty the cache.
fn parse_size(text: &str) -> Result<SizeOrShare, Fault> {
    let hint = "write a size with a unit, such as `5GB` or `10%`".to_owned();
    let size: SizeOrShare =
        text.parse().map_err(|why| Fault::environment(format!("{why}")).with_hint(hint.clone()))?;
    let is_bare = text.trim_end().ends_with(|c: char| c.is_ascii_digit() || c == '.');
    match size {
        SizeOrShare::Bytes(size) if is_bare && size.0 < PLAUSIBLE_BYTES => {
            Err(Fault::environment(format!("`{text}` has no unit, and would be {size}")).with_hint(hint))
        }
        size => Ok(size),
    }
}

/// Warns where the times that the recency asks for are not kept.
fn warn_of_times(cache: &Cache<'_>, spec: &TrimSpec, survey: &Survey) {
    let is_frozen = spec.recency == Recency::Accessed && !volume::keeps_access_times(cache.root());
    if survey.lacks_times || is_frozen {
        let text =
            format!("`recency = \"{}\"` has no effect: the volume does not keep these times", spec.recency);
        let hint = "use `recency = \"modified\"`".to_owned();
        cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(hint));
    }
}

/// Says what would be removed.
fn show(cache: &Cache<'_>, spec: &TrimSpec, policy: &TrimPolicy, survey: Survey) -> TrimOutcome {
    let ctx = cache.ctx;
    let (count, total) = (survey.units.len(), survey.total);
    let plan = policy.plan(survey.units, total, ctx.now);
    let mut outcome =
        TrimOutcome { dry_run: true, before: plan.before, after: plan.after, ..TrimOutcome::default() };
    for (index, (unit, reason)) in plan.remove.iter().enumerate() {
        let level = if index < LISTED { Level::Info } else { Level::Debug };
        let used = unit.used_at.format("%Y-%m-%d %H:%M");
        let size = ByteSize(unit.frees);
        let text =
            format!("would remove `{}`: {reason} ({size}, {} {used})", unit.path.display(), spec.recency);
        ctx.report(level, cache.name(), text);
        outcome.units += 1;
        outcome.files += unit.files;
    }
    if plan.remove.len() > LISTED {
        let more = counted(plan.remove.len() - LISTED, "more unit");
        ctx.report(Level::Info, cache.name(), format!("would remove {more}; `--verbose` lists them"));
    }
    conclude(cache, spec, policy, &mut outcome, plan, count);
    outcome
}

/// Removes what the policy says, until its limits hold or nothing more is gained.
fn carry_out(cache: &Cache<'_>, spec: &TrimSpec, policy: &TrimPolicy, survey: Survey) -> TrimOutcome {
    let ctx = cache.ctx;
    recover_leftovers(cache, &survey);
    let Survey { mut units, mut total, .. } = survey;
    let count = units.len();
    let mut outcome = TrimOutcome { before: total, ..TrimOutcome::default() };
    loop {
        let mut plan = policy.plan(units.clone(), total, ctx.now);
        for (unit, reason) in &plan.remove {
            ctx.report(Level::Debug, cache.name(), format!("removing `{}`: {reason}", unit.path.display()));
        }
        let planned = std::mem::take(&mut plan.remove);
        let going: std::collections::BTreeSet<_> =
            planned.iter().map(|(unit, _)| (unit.root, unit.path.clone())).collect();
        let removal = TrimPlan { remove: planned, ..TrimPlan::default() };
        let trimmed = trim::apply(&cache.selections, spec.units, removal, &ctx.interrupt.cancel);
        outcome.units += trimmed.units;
        outcome.files += trimmed.files;
        total.0 = total.0.saturating_sub(trimmed.bytes.0);
        outcome.failed += trimmed.failed.len() as u64;
        units.retain(|unit| !going.contains(&(unit.root, unit.path.clone())));
        let (gained, failed) = (trimmed.bytes.0 > 0, !trimmed.failed.is_empty());
        units.extend(trimmed.failed.into_iter().map(|(unit, error)| {
            ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
            TrimUnit { held: Some("it could not be removed".to_owned()), ..unit }
        }));
        // Others may go in place of what could not be removed, but only while that gains something.
        if !failed || !gained || trimmed.cancelled {
            break;
        }
    }
    let rest = policy.plan(units, total, ctx.now);
    outcome.after = total;
    conclude(cache, spec, policy, &mut outcome, rest, count);
    outcome
}

/// Says what was done or would be, what stays, and why nothing goes if so.
fn conclude(
    cache: &Cache<'_>,
    spec: &TrimSpec,
    policy: &TrimPolicy,
    outcome: &mut TrimOutcome,
    rest: TrimPlan,
    count: usize,
) {
    let stays = rest.stays.into_iter();
    outcome.stays =
        stays.map(|(unit, _)| (unit.path.display().to_string(), unit.held.unwrap_or_default())).collect();
    outcome.blocked = rest.blocked;
    let is_idle =
        outcome.units == 0 && outcome.failed == 0 && outcome.stays.is_empty() && outcome.blocked.is_none();
    let text = if is_idle {
        format!("nothing to trim: {}", policy.why_nothing(count, outcome.before, spec.units.noun()))
    } else {
        text::trimmed(outcome, spec.units.noun())
    };
    cache.ctx.report(Level::Info, cache.name(), text);
}

/// Removes the leases of processes that were killed while they held something in the cache.
fn recover_leftovers(cache: &Cache<'_>, survey: &Survey) {
    if survey.leftovers.is_empty() {
        return;
    }
    let ctx = cache.ctx;
    let goes_on = || !cancel::is_cancelled(&ctx.interrupt.cancel);
    // What takes part in a publication is for the recovery of its target.
    let report = recover::recover_while(&survey.leftovers, &[], &ctx.records, ctx.now, &goes_on);
    for path in report.removed {
        let text = format!("removed `{}`, left by a process that was killed", path.display());
        ctx.report(Level::Info, cache.name(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_from_the_environment_must_be_plausible() {
        let check = |text: &str, expect: Result<u64, &str>| {
            let parsed =
                parse_size(text).map(|size| size.of(ByteSize(1_000)).0).map_err(|why| why.to_string());
            assert_eq!(parsed.as_ref().copied().map_err(String::as_str), expect, "{text}");
        };
        check("5G", Ok(5_000_000_000));
        check("5.0 GB", Ok(5_000_000_000));
        check("10%", Ok(100));
        check("5000000000", Ok(5_000_000_000));
        check("5", Err("`5` has no unit, and would be 5 B"));
        check("5.", Err("`5.` has no unit, and would be 5 B"));
        check("much", Err("`much` does not start with a number"));
    }
}
