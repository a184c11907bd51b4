//! Generations: entries of one ref, version and key pattern, and which of them supersede which.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::candidate::Candidate;
use super::elapsed::Elapsed;
use super::facts::ScopeState;
use super::policy::{Guard, Policy};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

/// Indices of candidates with the same ref, version and pattern, newest first, in the order that a lookup prefers.
pub(super) type Group = Vec<usize>;

/// Groups candidates by ref, version of full entries and pattern. An entry that no job can restore is not a generation.
pub(super) fn groups(candidates: &[Candidate<'_>]) -> Vec<Group> {
    let mut groups: BTreeMap<(&Scope, &Version, &str), Group> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| !candidate.is_broken) {
        let name = (&candidate.entry.scope, candidate.full_version, candidate.pattern.as_str());
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

/// The position of an entry among all listed generations, independent of what rules delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Whether it is among the newest generations that the policy keeps.
    pub(super) among_newest: bool,
    /// When the number of newer generations reached the number that the policy keeps.
    pub(super) superseded_at: Option<DateTime<Utc>>,
    /// Whether the default branch restores it, or would if the newer ones were not suspiciously small.
    pub(super) current: Current,
}

/// Whether an entry is the one that the default branch restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Current {
    #[default]
    No,
    /// The newest generation.
    Newest,
    /// The newest one of its size; the largest newer generation has this size.
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
                largest = largest.max(Some(candidate.whole));
            }
            let among_newest = rank < keep;
            standings[*index] =
                Standing { among_newest, superseded_at: superseded_at.filter(|_| !among_newest), current };
        }
    }
    standings
}

/// Whether an entry is kept because the newer one, of size `newer`, is too small to replace it.
fn guards(guard: Guard, newer: ByteSize, candidate: &Candidate<'_>, now: DateTime<Utc>) -> bool {
    !guard.replaces(newer, candidate.whole) && Elapsed::between(candidate.last_use, now).0 < guard.lasts.0
}

/// The result of the rule on superseded generations for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Succession {
    /// It is kept, as the generation with this number, counted from 1.
    Kept(usize),
    /// There are enough newer ones, but some are too small; the largest has this size.
    Guarded(ByteSize),
    /// It is superseded by these newer ones, which neither this rule nor an earlier one deletes.
    Superseded(Arc<[usize]>),
}

/// Determines which generations of a group are superseded.
///
/// `goes` tells whether an earlier rule deletes a candidate. Those supersede nothing, and neither do superseded
/// ones, so that each superseded entry has `keep` newer ones that are kept by both rules.
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
    // The largest kept generations, at most `keep`, smallest first: enough to decide whether `keep` of them are
    // large enough without scanning all of them for each entry.
    let mut largest: Vec<(ByteSize, usize)> = Vec::new();
    // Most superseded entries have the same successors: each list is made once.
    let mut newest: Option<Arc<[usize]>> = None;
    let mut largest_list: Option<Arc<[usize]>> = None;
    for &index in group.iter().filter(|index| !goes(**index)) {
        let candidate = &candidates[index];
        let succession = if kept.len() < keep {
            Succession::Kept(kept.len() + 1)
        } else if guards(guard, largest[0].0, candidate, now) {
            Succession::Guarded(largest[0].0)
        } else {
            let newest = newest.get_or_insert_with(|| kept[..keep].into());
            let fits = |newer: &usize| guard.replaces(candidates[*newer].whole, candidate.whole);
            let by_size = || largest.iter().rev().map(|(_, index)| *index).collect();
            Succession::Superseded(Arc::clone(if newest.iter().all(fits) {
                newest
            } else {
                largest_list.get_or_insert_with(by_size)
            }))
        };
        if !matches!(succession, Succession::Superseded(_)) {
            kept.push(index);
            let place = largest.partition_point(|(size, _)| *size < candidate.whole);
            largest.insert(place, (candidate.whole, index));
            if largest.len() > keep {
                largest.remove(0);
            }
            largest_list = None;
        }
        found.push((index, succession));
    }
    found
}
