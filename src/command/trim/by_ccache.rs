//! Caches of ccache, trimmed by its own commands, so that its counters stay right.

use chrono::TimeDelta;

use super::apply::{carry_out, conclude};
use crate::command::cache::Cache;
use crate::command::context::Context;
use crate::command::tools::Ccache;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::TrimOutcome;
use crate::domain::trim::{Recency, TrimPlan, TrimPolicy, TrimReason, TrimSpec, TrimUnits};
use crate::domain::unit::Span;
use crate::report::failure;
use crate::tree::trim::{self, Survey, SurveyOptions};
use crate::tree::walk::WalkError;

/// How much longer than since the restore began a file may be unused, in seconds: times of files are coarser than those of clocks.
const MARGIN: i64 = 2;

/// Has ccache remove what the policy says. What it has no command for is removed here, and it counts again.
pub(super) fn trim(
    cache: &Cache<'_>,
    spec: &TrimSpec,
    policy: &TrimPolicy,
    survey: Survey,
    tool: &Ccache<'_>,
    options: &SurveyOptions<'_>,
) -> Result<TrimOutcome, WalkError> {
    let ctx = cache.ctx;
    let is_plain = spec.units == TrimUnits::Files && spec.recency == Recency::Modified && spec.keep.is_none();
    let is_held = survey.units.iter().any(|unit| unit.held.is_some());
    // No command of ccache knows what is held.
    if !tool.is_installed() || !is_plain || is_held {
        return Ok(without_ccache(cache, spec, policy, survey, tool));
    }
    let (count, total) = (survey.units.len(), survey.total);
    let plan = policy.plan(survey.units, total, ctx.now);
    let mut outcome = TrimOutcome { before: total, after: total, ..TrimOutcome::default() };
    if plan.remove.is_empty() {
        conclude(cache, spec, policy, &mut outcome, plan, count);
        return Ok(outcome);
    }
    let by_age = evict(ctx, tool, policy, &plan);
    if let Err(fault) = by_age.and_then(|()| limit(cache, tool, policy, options)) {
        let text = format!("trimmed without ccache: {}", failure::chain(&fault));
        ctx.report_with_hint(Level::Warning, cache.name(), text, fault.hint());
        let survey = trim::survey(&cache.selections, options)?;
        return Ok(TrimOutcome { before: total, ..without_ccache(cache, spec, policy, survey, tool) });
    }
    let left = trim::survey(&cache.selections, options)?;
    outcome.units = (count as u64).saturating_sub(left.units.len() as u64);
    outcome.files = outcome.units;
    outcome.after = left.total;
    // It keeps the limit in each of its directories, so what is left needs no second look.
    conclude(cache, spec, policy, &mut outcome, TrimPlan::default(), count);
    Ok(outcome)
}

/// Removes files by their times until the limits are met, and has ccache count again.
///
/// To fit into a room this is better than `ccache --cleanup`, which gives each of its directories an equal share of a limit:
/// of a few large results it may leave none.
pub(super) fn without_ccache(
    cache: &Cache<'_>,
    spec: &TrimSpec,
    policy: &TrimPolicy,
    survey: Survey,
    tool: &Ccache<'_>,
) -> TrimOutcome {
    let outcome = carry_out(cache, spec, policy, survey);
    recount(cache, tool, &outcome);
    outcome
}

/// Removes what is too old.
fn evict(ctx: &Context<'_>, tool: &Ccache<'_>, policy: &TrimPolicy, plan: &TrimPlan) -> Result<(), Fault> {
    let of_job = policy.used_since.map(|since| {
        // ccache counts from now, which is later than the start of this process.
        let before = (ctx.now - since + TimeDelta::seconds(MARGIN)).to_std().unwrap_or_default();
        Span(before + ctx.started.elapsed())
    });
    let is_old = plan.remove.iter().any(|(_, reason)| *reason != TrimReason::OverSize);
    match [policy.unused_for, of_job].into_iter().flatten().min() {
        Some(span) if is_old => tool.evict(span),
        _ => Ok(()),
    }
}

/// Removes the oldest beyond the maximum size, if it is still exceeded.
fn limit(
    cache: &Cache<'_>,
    tool: &Ccache<'_>,
    policy: &TrimPolicy,
    options: &SurveyOptions<'_>,
) -> Result<(), Fault> {
    let Some(max) = policy.max_size else { return Ok(()) };
    let now = trim::survey(&cache.selections, options).map_err(Fault::from)?;
    if now.total > max { tool.clean_up(Some(max)) } else { Ok(()) }
}

/// Has ccache count what is left, where something went without it.
fn recount(cache: &Cache<'_>, tool: &Ccache<'_>, outcome: &TrimOutcome) {
    if outcome.units == 0 {
        return;
    }
    if let Err(fault) = tool.clean_up(None) {
        let text =
            format!("the counters of ccache are wrong until its next clean-up: {}", failure::chain(&fault));
        cache.ctx.report(Level::Info, cache.name(), text);
    }
}
