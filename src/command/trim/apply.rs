//! A policy applied to what was surveyed, or what that would do.

use crate::command::cache::Cache;
use crate::domain::event::Level;
use crate::domain::hint::Hint;
use crate::domain::outcome::TrimOutcome;
use crate::domain::trim::{TrimPlan, TrimPolicy, TrimSpec, TrimUnit};
use crate::domain::unit::{ByteSize, counted};
use crate::fs::cancel;
use crate::fs::recover;
use crate::report::{failure, text};
use crate::tree::trim::{self, Survey};

/// How many units a dry run lists; `--verbose` lists all.
const LISTED: usize = 20;

/// Says what would be removed.
pub(super) fn show(cache: &Cache<'_>, spec: &TrimSpec, policy: &TrimPolicy, survey: Survey) -> TrimOutcome {
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
pub(super) fn carry_out(
    cache: &Cache<'_>,
    spec: &TrimSpec,
    policy: &TrimPolicy,
    survey: Survey,
) -> TrimOutcome {
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
pub(super) fn conclude(
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
