//! `gate`: the objects that content links want against the objects that are there and proven.

use std::collections::BTreeSet;

use super::cache::Cache;
use super::context::Context;
use super::session;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::gate::GateReport;
use crate::domain::outcome::{JobOutcome, SeedOutcome, SeedResult};
use crate::domain::spec::CacheSpec;
use crate::domain::unit::counted;
use crate::report::{failure, text};

/// What to do about an incomplete cache.
pub(crate) fn cure(spec: &CacheSpec, report: &GateReport) -> String {
    let layout = spec.links.as_ref().map(|links| &links.object);
    if let Some(object) = layout
        && report.present == 0
        && report.unproven.is_empty()
        && report.unknown_files > 0
    {
        return format!(
            "no file lies where `object = \"{object}\"` says, and {} elsewhere: correct `object`; for files that are not named by \
             their hashes, remove `[cache.{}.links]` and have `{{files:…}}` in the key",
            counted(report.unknown_files, "file"),
            spec.name
        );
    }
    let has_mirrors = spec.links.as_ref().is_some_and(|links| !links.mirrors.is_empty());
    if spec.seed.is_some() || has_mirrors {
        "`cachekeep seed` fetches what is missing and replaces what is damaged".to_owned()
    } else {
        "let the build bring what is missing, or declare `mirrors` or a `seed` that have it".to_owned()
    }
}

/// Gates every selected cache that has content links.
pub(crate) fn run(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("gate");
    for spec in ctx.caches {
        let _group = ctx.group(&format!("Gate {}", spec.name));
        let open = |_: &mut JobOutcome| {
            let cache = Cache::open(ctx, spec)?;
            let report = gate(&cache, Level::Error)?;
            Ok::<_, Fault>((cache, report))
        };
        let Some(opened) = session::reporting_panics(ctx, &spec.name, &mut job, open) else { continue };
        match opened {
            Ok((cache, Some(report))) => {
                job.cache(cache.name()).gate = Some(report);
            }
            Ok((cache, None)) => {
                ctx.report(Level::Info, cache.name(), "has no content links: nothing to gate");
            }
            Err(source) if source.is_usage() => {
                return Err(spec.named_in(source));
            }
            // A gate that cannot be checked does not pass.
            Err(source) => {
                ctx.report_with_hint(Level::Error, &spec.name, failure::chain(&source), source.hint());
                job.broken.push(spec.name.clone());
            }
        }
    }
    Ok(job)
}

/// Gates one cache and reports the result, an incomplete one at this level; `None` for a cache without content links.
pub(crate) fn gate(cache: &Cache<'_>, incomplete: Level) -> Result<Option<GateReport>, Fault> {
    gate_after(cache, incomplete, None)
}

/// The same after a seed, whose report may have listed what is missing: that is listed once.
pub(crate) fn gate_after(
    cache: &Cache<'_>,
    incomplete: Level,
    seeded: Option<&SeedOutcome>,
) -> Result<Option<GateReport>, Fault> {
    let report = gate_quietly(cache)?;
    if let Some(report) = &report {
        let is_listed = seeded.is_some_and(|seeded| {
            let listed: BTreeSet<_> = seeded.missing.iter().map(|missing| &missing.object).collect();
            report.missing.iter().chain(&report.unproven).all(|missing| listed.contains(&missing.object))
        });
        // The build may bring them: before it they are not worth a warning.
        let is_left = seeded.is_some_and(|seeded| seeded.result == SeedResult::LeftToBuild);
        let incomplete = if is_left { Level::Info } else { incomplete };
        let text = if is_listed || is_left {
            text::gated_in_short(report, cache.root())
        } else {
            text::gated(report, cache.root())
        };
        let (level, hint) = if report.is_complete() {
            (Level::Info, None)
        } else {
            (incomplete, Some(cure(cache.spec, report)))
        };
        cache.ctx.report_with_hint(level, cache.name(), text, hint);
    }
    Ok(report)
}

/// Gates one cache without reporting the result.
pub(crate) fn gate_quietly(cache: &Cache<'_>) -> Result<Option<GateReport>, Fault> {
    if cache.layout().is_none() {
        return Ok(None);
    }
    let deadline = cache.ctx.deadline();
    let (report, _) = cache.gate(&deadline.cancel)?;
    Ok(Some(report))
}

/// Puts what a gate found into the outcome of a command that goes on in any case; a gate that failed is a warning.
pub(crate) fn record(cache: &Cache<'_>, gated: Result<Option<GateReport>, Fault>, job: &mut JobOutcome) {
    match gated {
        Ok(Some(report)) => {
            job.cache(cache.name()).gate = Some(report);
        }
        Ok(None) => {}
        Err(error) => {
            cache.ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
        }
    }
}
