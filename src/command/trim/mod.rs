//! `trim`: make a local cache smaller by its policy, least recently used units first.

mod apply;
mod by_ccache;

use chrono::{DateTime, Utc};

use super::cache::{Cache, Sources, expand_one};
use super::context::Context;
use super::session;
use super::tools::{self, Ccache};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{JobOutcome, TrimOutcome};
use crate::domain::trim::{Recency, SizeLimit, TrimPolicy, TrimSpec};
use crate::domain::unit::{ByteSize, SizeOrShare};
use crate::fs::volume::{self, volume_of};
use crate::report::failure;
use crate::tree::trim::{self, Survey, SurveyOptions};
use crate::tree::walk::WalkError;

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
        let cache = Cache::open_named(ctx, spec)?;
        if spec.trim.is_none() {
            let hint = "add `trim = { max-size = \"5GB\" }` to the cache, or another limit".to_owned();
            ctx.report_with_hint(Level::Info, cache.name(), "has no `trim` policy", Some(hint));
            continue;
        }
        let trim = |_: &mut JobOutcome| trim(&cache, dry_run, None);
        let Some(trimmed) = session::reporting_panics(ctx, cache.name(), &mut job, trim) else { continue };
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
    match live(cache, None) {
        // The save says what is not there, whether the cache is trimmed or not.
        Err(WalkError::Missing(_)) => Ok(None),
        trimmed => trimmed,
    }
}

/// Trims a cache that has a policy to this size as well, least recently used units first.
pub(crate) fn to_fit(cache: &Cache<'_>, size: ByteSize) -> Result<Option<TrimOutcome>, WalkError> {
    live(cache, Some(size))
}

fn live(cache: &Cache<'_>, fit: Option<ByteSize>) -> Result<Option<TrimOutcome>, WalkError> {
    match trim(cache, false, fit) {
        Ok(outcome) => Ok(outcome),
        Err(TrimError::Walk(error)) => Err(error),
        Err(error @ TrimError::Limit(_)) => {
            cache.ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
            Ok(None)
        }
    }
}

/// Trims one cache, or says what would go. Its limits hold for all roots together; `fit` is one more.
fn trim(cache: &Cache<'_>, dry_run: bool, fit: Option<ByteSize>) -> Result<Option<TrimOutcome>, TrimError> {
    let Some(spec) = &cache.spec.trim else { return Ok(None) };
    if cache.layout().is_some() {
        let text = "is not trimmed: its gate says which objects it must hold";
        cache.ctx.report(Level::Warning, cache.name(), text);
        return Ok(None);
    }
    let mut policy = policy(cache, spec).map_err(TrimError::Limit)?;
    policy.max_size = policy.max_size.into_iter().chain(fit).min();
    let _running = cache.ctx.start(cache.name(), Phase::Scan);
    let tool = Ccache::detect(cache);
    let never = match (&tool, cache.spec.kind) {
        (Some(_), _) => Ccache::never_trimmed(),
        (None, Some(kind)) => kind.never_trimmed(),
        (None, None) => Vec::new(),
    };
    let options =
        SurveyOptions { units: spec.units, recency: spec.recency, never: &never, now: cache.ctx.now };
    let survey = trim::survey(&cache.selections, &options)?;
    warn_of_times(cache, spec, &survey);
    let outcome = match tool {
        _ if dry_run => apply::show(cache, spec, &policy, survey),
        Some(tool) if fit.is_some() => by_ccache::without_ccache(cache, spec, &policy, survey, &tool),
        Some(tool) => by_ccache::trim(cache, spec, &policy, survey, &tool, &options)?,
        None => apply::carry_out(cache, spec, &policy, survey),
    };
    if let Some(blocked) = &outcome.blocked {
        let text = format!("stays above its `max-size`: {blocked}");
        cache.ctx.report(Level::Warning, cache.name(), text);
    }
    for (unit, why) in &outcome.stays {
        cache.ctx.report(Level::Info, cache.name(), format!("kept `{unit}`: {why}"));
    }
    Ok(Some(outcome))
}

/// Upper bound for the bytes of a cache, by its policy.
pub(crate) fn max_size(cache: &Cache<'_>) -> Result<Option<ByteSize>, Fault> {
    cache.spec.trim.as_ref().map_or(Ok(None), |spec| Ok(policy(cache, spec)?.max_size))
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
    let used_since = if spec.unused_by_job { used_since(cache) } else { None };
    Ok(TrimPolicy { max_size, unused_for: spec.unused_for, keep: spec.keep, used_since })
}

/// When this job began to use the cache.
fn used_since(cache: &Cache<'_>) -> Option<DateTime<Utc>> {
    let since = tools::used_since(cache);
    if since.is_none() {
        let text = "`evict = \"job\"` removes nothing: no restore of this job is known";
        cache.ctx.report(Level::Info, cache.name(), text);
    }
    since
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::unit::ByteSize;

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
