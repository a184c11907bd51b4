//! Generations: entries of one ref, version and key pattern, newest first, and which of them replace which.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::decide::Candidate;
use super::elapsed::Elapsed;
use super::facts::ScopeState;
use super::policy::{Guard, Policy};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

/// Indices of candidates that are generations of one thing, newest first, as a lookup prefers them.
pub(super) type Group = Vec<usize>;

/// Groups candidates by ref, version and pattern.
pub(super) fn groups(candidates: &[Candidate<'_>]) -> Vec<Group> {
    let mut groups: BTreeMap<(&Scope, &Version, &str), Group> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let name = (&candidate.entry.scope, &candidate.entry.version, candidate.pattern.as_str());
        groups.entry(name).or_default().push(index);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by(|a, b| {
            let place = |index: usize| {
                let entry = candidates[index].entry;
                (entry.created_at, &entry.key, &entry.id)
            };
            place(*b).cmp(&place(*a))
        });
    }
    groups
}

/// Where an entry stands among the generations that the facts list; independent of what rules delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Whether it is among as many newest generations as are to be kept.
    pub(super) among_newest: bool,
    /// When as many newer generations as are to be kept were there.
    pub(super) superseded_at: Option<DateTime<Utc>>,
    /// Whether the default branch restores it, or would if the newer one were not suspiciously small.
    pub(super) current: Current,
}

/// Whether an entry is what the default branch restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Current {
    #[default]
    No,
    /// The newest generation.
    Newest,
    /// The newest of its size; newer ones have at most so many bytes.
    Guarded(ByteSize),
}

/// The standing of every candidate, by index.
pub(super) fn standings(
    candidates: &[Candidate<'_>],
    groups: &[Group],
    policy: &Policy,
    now: DateTime<Utc>,
) -> Vec<Standing> {
    let keep = policy.superseded.map_or(1, std::num::NonZeroUsize::get);
    let mut standings = vec![Standing::default(); candidates.len()];
    for group in groups {
        let superseded_at = group.get(keep - 1).map(|index| candidates[*index].entry.created_at);
        let idle = group.first().map(|newest| Elapsed::between(candidates[*newest].last_use, now));
        let abandoned = policy.abandoned_after.zip(idle).is_some_and(|(limit, idle)| idle.0 >= limit.0);
        let mut largest: Option<ByteSize> = None;
        for (rank, index) in group.iter().enumerate() {
            let candidate = &candidates[*index];
            let current = match largest {
                _ if abandoned || *candidate.state != ScopeState::DefaultBranch => Current::No,
                None => Current::Newest,
                Some(newer) if guards(policy.guard, newer, candidate, now) => Current::Guarded(newer),
                Some(_) => Current::No,
            };
            if current != Current::No {
                largest = largest.max(Some(candidate.entry.size));
            }
            let among_newest = rank < keep;
            standings[*index] =
                Standing { among_newest, superseded_at: superseded_at.filter(|_| !among_newest), current };
        }
    }
    standings
}

/// Whether an entry is spared because the newer one, of `newer` bytes, is too small to replace it.
fn guards(guard: Guard, newer: ByteSize, candidate: &Candidate<'_>, now: DateTime<Utc>) -> bool {
    !guard.replaces(newer, candidate.entry.size)
        && Elapsed::between(candidate.last_use, now).0 < guard.lasts.0
}

/// What the rule of superseded generations says of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Succession {
    /// It is generation so many of those to be kept, from 1.
    Kept(usize),
    /// There are enough newer ones, but some are too small; the largest has so many bytes.
    Guarded(ByteSize),
    /// These newer ones, which neither this rule nor one before deletes, replace it.
    Superseded(Vec<usize>),
}

/// Goes through a group and tells which generations are superseded.
///
/// `goes` are those that a rule before this one deletes: they replace nothing, and neither does what is
/// superseded itself. So for each superseded entry there are `keep` newer ones that both rules leave.
pub(super) fn succession(
    candidates: &[Candidate<'_>],
    group: &Group,
    keep: usize,
    guard: Guard,
    now: DateTime<Utc>,
    goes: impl Fn(usize) -> bool,
) -> Vec<(usize, Succession)> {
    let mut found = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    // The largest of those kept, at most `keep`, smallest first: enough to know whether `keep` of them are
    // large enough, without going through all of them for each entry.
    let mut largest: Vec<(ByteSize, usize)> = Vec::new();
    for &index in group.iter().filter(|index| !goes(**index)) {
        let candidate = &candidates[index];
        let succession = if kept.len() < keep {
            Succession::Kept(kept.len() + 1)
        } else if guards(guard, largest[0].0, candidate, now) {
            Succession::Guarded(largest[0].0)
        } else {
            let newest = &kept[..keep];
            let fits = |newer: &usize| guard.replaces(candidates[*newer].entry.size, candidate.entry.size);
            Succession::Superseded(if newest.iter().all(fits) {
                newest.to_vec()
            } else {
                largest.iter().rev().map(|(_, index)| *index).collect()
            })
        };
        if !matches!(succession, Succession::Superseded(_)) {
            kept.push(index);
            let place = largest.partition_point(|(size, _)| *size < candidate.entry.size);
            largest.insert(place, (candidate.entry.size, index));
            if largest.len() > keep {
                largest.remove(0);
            }
        }
        found.push((index, succession));
    }
    found
}
