//! The table `[clean]`: raw structs, and their conversion to the domain's policy.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::findings::{Findings, Text};
use super::scalars::{Duration, Size};
use super::units::{size, unit};
use crate::domain::retention::{DeclaredPattern, Guard, Headroom, Policy, Protect};
use crate::domain::spec::CacheSpec;
use crate::domain::trim::SizeLimit;
use crate::domain::unit::{ByteSize, SizeOrShare, Span};

/// Which entries `cachekeep clean` deletes. Rules that are not given are off. Without this table, entries of pull
/// requests that were closed and refs that were deleted at least three days ago are deleted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Clean {
    /// Deletes entries of closed pull requests.
    #[serde(default)]
    #[schemars(with = "Grace")]
    pub closed_pull_requests: Option<Grace>,
    /// Deletes entries of deleted branches, tags and merge-queue refs.
    #[serde(default)]
    #[schemars(with = "Grace")]
    pub deleted_refs: Option<Grace>,
    /// Deletes entries that newer ones of the same ref, version and key pattern supersede.
    #[serde(default)]
    #[schemars(with = "Superseded")]
    pub superseded: Option<Superseded>,
    /// Deletes entries that were not used for this long.
    #[serde(default)]
    #[schemars(with = "Duration")]
    pub unused_for: Option<Text>,
    /// Deletes entries that were saved at least this long ago.
    #[serde(default)]
    #[schemars(with = "Duration")]
    pub older_than: Option<Text>,
    /// Deletes the least recently used entries until the rest is no larger than this.
    #[serde(default)]
    #[schemars(with = "Size")]
    pub budget: Option<Text>,
    /// Room to leave below the store's limit for the next save; by default the size of the largest entry of the default
    /// branch.
    #[serde(default)]
    #[schemars(with = "Size")]
    pub headroom: Option<Text>,
    /// Globs of keys, or of refs if they start with `refs/`, that are never deleted.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub protect: Vec<Text>,
    /// How long a use by the default branch or an open pull request keeps an entry.
    #[serde(default)]
    #[schemars(with = "Duration", extend("default" = "1d"))]
    pub recent: Option<Text>,
    /// The newest entry of a key pattern on the default branch is kept unless it was not used for this long.
    #[serde(default)]
    #[schemars(with = "Duration")]
    pub abandoned_after: Option<Text>,
    /// When a newer entry is too small to replace an older one, as after a broken build.
    #[serde(default)]
    #[schemars(with = "SizeGuard")]
    pub guard: Option<SizeGuard>,
}

/// How long entries are kept after their pull request was closed or their ref deleted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Grace {
    /// How long they are kept.
    #[schemars(with = "Duration")]
    pub grace: Text,
}

/// How many generations are kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Superseded {
    /// Number of newest entries to keep.
    #[schemars(with = "u32", range(min = 1))]
    pub keep: Spanned<i64>,
}

/// When an entry is too small to replace another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SizeGuard {
    /// Minimum size of the newer entry, in percent of the older one's.
    #[serde(default)]
    #[schemars(with = "u32", range(max = 100), extend("default" = 50))]
    pub percent: Option<Spanned<i64>>,
    /// How long after its last use the older entry is guarded.
    #[serde(default)]
    #[schemars(with = "Duration", extend("default" = "7d"))]
    pub lasts: Option<Text>,
}

/// The policy of a configuration. The key templates of its caches define the key patterns.
pub(super) fn policy(
    raw: Option<Spanned<Clean>>,
    caches: &[CacheSpec],
    findings: &mut Findings<'_>,
) -> Policy {
    let mut policy = match raw {
        Some(raw) => written(raw, caches, findings),
        None => Policy::unreachable(),
    };
    policy.patterns = caches.iter().map(|cache| DeclaredPattern::of_template(&cache.key)).collect();
    policy
}

fn written(raw: Spanned<Clean>, caches: &[CacheSpec], findings: &mut Findings<'_>) -> Policy {
    let place = raw.span();
    let raw = raw.into_inner();
    let usual = Policy::default();
    let guarded = raw.guard.is_some();
    let budget = positive_size(raw.budget.as_ref(), findings);
    let policy = Policy {
        closed_pull_requests: raw.closed_pull_requests.and_then(|rule| unit(&rule.grace, findings)),
        deleted_refs: raw.deleted_refs.and_then(|rule| unit(&rule.grace, findings)),
        superseded: raw
            .superseded
            .as_ref()
            .and_then(|rule| keep(&rule.keep, "restore keys would find nothing", findings)),
        unused_for: positive_span(raw.unused_for.as_ref(), findings),
        older_than: positive_span(raw.older_than.as_ref(), findings),
        budget,
        low_mark: None,
        headroom: match &raw.headroom {
            Some(text) => headroom(text, budget, findings),
            None => Headroom::NextSave,
        },
        protect: protect(&raw.protect, findings),
        protect_elsewhere: usual.protect_elsewhere,
        keeps_used: usual.keeps_used,
        recent: raw.recent.and_then(|text| unit(&text, findings)).unwrap_or(usual.recent),
        abandoned_after: positive_span(raw.abandoned_after.as_ref(), findings),
        guard: raw.guard.map_or(usual.guard, |raw| guard(&raw, findings)),
        patterns: Vec::new(),
        only_pull_request: None,
        only_ref: None,
    };
    if guarded && policy.superseded.is_none() {
        findings
            .warning(&place, "`guard` has no effect without `superseded`")
            .with_hint("add `superseded = { keep = 1 }`");
    }
    if let (Some(budget), Some(text)) = (budget, &raw.budget) {
        check_budget(caches, budget, text, findings);
    }
    policy
}

/// Warns if the `max-size` of all caches, counted for a single platform each, exceeds the budget.
fn check_budget(caches: &[CacheSpec], budget: ByteSize, text: &Text, findings: &mut Findings<'_>) {
    let caps = caches.iter().filter_map(|cache| match cache.trim.as_ref()?.max_size {
        Some(SizeLimit::Fixed(SizeOrShare::Bytes(cap))) => Some(cap),
        _ => None,
    });
    let sum = ByteSize(caps.fold(0, |sum, cap| sum.saturating_add(cap.0)));
    if sum > budget {
        findings
            .warning(
                &text.span(),
                format!("the caches may grow to {sum}, which is more than the budget of {budget}"),
            )
            .with_hint("lower `max-size` in `trim`, or raise `budget`");
    }
}

/// A span that is not zero: a rule that deletes everything at once is a mistake.
fn positive_span(text: Option<&Text>, findings: &mut Findings<'_>) -> Option<Span> {
    let text = text?;
    let span: Span = unit(text, findings)?;
    if span.0.is_zero() {
        findings
            .error(&text.span(), "a span of zero would delete every entry")
            .with_hint("write how long entries are kept, such as `\"7d\"`");
        return None;
    }
    Some(span)
}

fn positive_size(text: Option<&Text>, findings: &mut Findings<'_>) -> Option<ByteSize> {
    let text = text?;
    let size = size(text, findings)?;
    if size.0 == 0 {
        findings
            .error(&text.span(), "a budget of zero would delete every entry")
            .with_hint("write a size such as `\"9GB\"`");
        return None;
    }
    Some(size)
}

fn headroom(text: &Text, budget: Option<ByteSize>, findings: &mut Findings<'_>) -> Headroom {
    let Some(size) = size(text, findings) else { return Headroom::NextSave };
    match budget {
        None => {
            findings
                .warning(&text.span(), "`headroom` has no effect without a `budget`")
                .with_hint("add `budget = \"9GB\"`");
        }
        Some(budget) if size >= budget => {
            findings
                .error(&text.span(), format!("a headroom of {size} uses up the budget of {budget}"))
                .with_hint("write the size of one entry, or omit it");
        }
        Some(_) => {}
    }
    Headroom::Bytes(size)
}

/// How many are kept; fewer than one are reported with this reason.
pub(super) fn keep(number: &Spanned<i64>, why: &str, findings: &mut Findings<'_>) -> Option<NonZeroUsize> {
    let kept = usize::try_from(*number.get_ref()).ok().and_then(NonZeroUsize::new);
    if kept.is_none() {
        findings
            .error(&number.span(), format!("`keep` cannot be {}", number.get_ref()))
            .with_hint(format!("write at least 1; with 0, {why}"));
    }
    kept
}

fn guard(raw: &SizeGuard, findings: &mut Findings<'_>) -> Guard {
    let usual = Guard::default();
    let percent = raw.percent.as_ref().and_then(|percent| {
        let share = u8::try_from(*percent.get_ref()).ok().filter(|share| *share <= 100);
        if share.is_none() {
            findings
                .error(&percent.span(), "`percent` must be from 0 to 100")
                .with_hint("write `percent = 50`");
        }
        share
    });
    Guard {
        percent: percent.unwrap_or(usual.percent),
        lasts: raw.lasts.as_ref().and_then(|text| unit(text, findings)).unwrap_or(usual.lasts),
    }
}

/// The valid globs; reports an error for each invalid one.
fn protect(globs: &[Text], findings: &mut Findings<'_>) -> Protect {
    let mut sound = Vec::new();
    for text in globs {
        match Protect::new([text.get_ref()]) {
            Ok(_) => sound.push(text.get_ref()),
            Err(error) => findings.error(&text.span(), error.to_string()).with_hint(
                "write a glob for keys such as `externaldata-*`, or for refs such as `refs/tags/*`",
            ),
        }
    }
    Protect::new(sound).unwrap_or_default()
}
