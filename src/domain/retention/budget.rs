//! The budget: entries are deleted, least recently used first, until the store fits and the next save has room.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::candidate::Candidate;
use super::elapsed::Elapsed;
use super::facts::{Facts, ScopeState};
use super::needs;
use super::parents::Parents;
use super::plan::{Amount, BudgetOutcome, Reason, Rule};
use super::policy::{Headroom, Policy};
use crate::domain::unit::ByteSize;

/// The target size of a store. Headroom is left below the store's limit, or below the budget if the limit is not
/// known.
pub(super) fn target(budget: ByteSize, limit: Option<ByteSize>, headroom: ByteSize) -> ByteSize {
    let roof = limit.unwrap_or(budget).0.saturating_sub(headroom.0);
    ByteSize(budget.0.min(roof))
}

impl Policy {
    /// Marks the least recently used entries for deletion until the rest fits.
    pub(super) fn judge_budget(
        &self,
        facts: &Facts,
        candidates: &mut [Candidate<'_>],
        budget: ByteSize,
    ) -> BudgetOutcome {
        let headroom = match self.headroom {
            Headroom::Bytes(size) => size,
            Headroom::NextSave => largest_full(candidates),
        };
        let target = target(budget, facts.limit, headroom);
        let order = eviction_order(candidates);
        let mut eviction = Eviction::of(candidates);
        let before = eviction.stored;
        let low = self.low_mark.map_or(target.0, |low| low.0.min(target.0));
        let is_over = before > target.0;
        for place in order {
            if eviction.is_gone[place] {
                continue;
            }
            let size = eviction.size(place);
            if eviction.stored <= target.0 && !(is_over && eviction.stored.saturating_sub(size) >= low) {
                break;
            }
            // Deleting an empty entry frees nothing.
            if size == 0 {
                continue;
            }
            let idle = Elapsed::between(eviction.candidates[place].last_use, facts.now);
            let over = ByteSize(eviction.stored);
            let text = format!("least recently used ({idle} ago) while {over} had to fit in {target}");
            eviction.evict(place, Reason::new(Rule::Budget, text));
        }
        let after = ByteSize(eviction.stored);
        BudgetOutcome { target, headroom, before: ByteSize(before), after, blocked: BTreeMap::new() }
    }
}

/// The size of the largest full entry of the default branch that stays.
fn largest_full(candidates: &[Candidate<'_>]) -> ByteSize {
    let stays = |(place, candidate): &(usize, &Candidate<'_>)| {
        *candidate.state == ScopeState::DefaultBranch
            && !candidate.is_thin
            && !needs::goes(candidates, *place)
    };
    let left = candidates.iter().enumerate().filter(stays);
    left.map(|(_, candidate)| candidate.entry.size).max().unwrap_or_default()
}

/// The places of all entries, least recently used first. A use of an entry is one of all that it takes content from, so those
/// come after it.
fn eviction_order(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let related = Parents {
        of: candidates.iter().map(|candidate| candidate.parents.clone()).collect(),
        dependents: candidates.iter().map(|candidate| candidate.dependents.clone()).collect(),
        ..Parents::default()
    };
    let mut places: Vec<(DateTime<Utc>, usize)> = candidates.iter().map(|c| (c.last_use, 0)).collect();
    for place in related.dependents_first() {
        let (last_use, depth) = places[place];
        for parent in &related.of[place] {
            let of_parent = &mut places[*parent];
            *of_parent = (of_parent.0.max(last_use), of_parent.1.max(depth + 1));
        }
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|place| {
        let entry = candidates[*place].entry;
        (places[*place], entry.created_at, &entry.id)
    });
    order
}

/// Entries that are marked for deletion one by one.
struct Eviction<'a, 'b> {
    candidates: &'a mut [Candidate<'b>],
    is_gone: Vec<bool>,
    /// Bytes of what is left.
    stored: u64,
}

impl<'a, 'b> Eviction<'a, 'b> {
    fn of(candidates: &'a mut [Candidate<'b>]) -> Self {
        let is_gone: Vec<bool> = (0..candidates.len()).map(|place| needs::goes(candidates, place)).collect();
        let left = candidates.iter().zip(&is_gone).filter(|(_, is_gone)| !**is_gone);
        let stored = left.map(|(candidate, _)| candidate.entry.size.0).fold(0, u64::saturating_add);
        Eviction { candidates, is_gone, stored }
    }

    /// The size of an entry and of those that stay for its sake alone.
    fn size(&self, place: usize) -> u64 {
        let is_only_for_it = |parent: &&usize| {
            let parent = &self.candidates[**parent];
            let mut kept = parent.dependents.iter().filter(|at| self.candidates[**at].is_kept());
            !parent.is_kept() && kept.all(|at| *at == place)
        };
        let candidate = &self.candidates[place];
        let needed = candidate.parents.iter().filter(is_only_for_it).filter(|at| !self.is_gone[**at]);
        let needed = needed.map(|at| self.candidates[*at].entry.size.0);
        needed.fold(candidate.entry.size.0, u64::saturating_add)
    }

    fn evict(&mut self, place: usize, reason: Reason) {
        self.candidates[place].wants.push(reason);
        let parents = self.candidates[place].parents.clone();
        let mut changed = needs::go_with_parents(self.candidates, parents);
        changed.push(place);
        for place in changed {
            self.note(place);
            for at in 0..self.candidates[place].parents.len() {
                self.note(self.candidates[place].parents[at]);
            }
        }
    }

    /// Counts an entry out if it is deleted now.
    fn note(&mut self, place: usize) {
        if !self.is_gone[place] && needs::goes(self.candidates, place) {
            self.is_gone[place] = true;
            self.stored = self.stored.saturating_sub(self.candidates[place].entry.size.0);
        }
    }
}

/// The entries that may not be deleted though the store is too large, by the reason.
pub(super) fn blocked(outcome: &BudgetOutcome, candidates: &[Candidate<'_>]) -> BTreeMap<Rule, Amount> {
    let mut blocked: BTreeMap<Rule, Amount> = BTreeMap::new();
    if !outcome.is_met() {
        for candidate in candidates.iter().filter(|c| c.entry.size.0 > 0) {
            if let Some(hold) = candidate.holds.first() {
                blocked.entry(hold.rule).or_default().add(candidate.entry.size);
            }
        }
    }
    blocked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_left_below_the_limit_or_else_below_the_budget() {
        let check = |budget, limit: Option<u64>, headroom, expect| {
            let found = target(ByteSize(budget), limit.map(ByteSize), ByteSize(headroom));
            assert_eq!(found, ByteSize(expect));
        };
        check(9, Some(10), 1, 9);
        check(9, Some(10), 3, 7);
        check(9, None, 3, 6);
        check(9, Some(10), 20, 0);
        check(12, Some(10), 0, 10);
    }
}
