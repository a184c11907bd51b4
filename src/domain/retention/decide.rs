//! The engine: collects for each entry what holds it, what would delete it, and further notes, and decides.
//!
//! The order of the rules matters twice. Generations are counted only among entries that no earlier rule deletes,
//! so that an entry is never superseded by one that is deleted as well. The budget comes last, since it stops as
//! soon as the store fits. Planning is idempotent: after a plan was applied, a new one deletes nothing more,
//! because what keeps an entry never depends on an entry that is deleted (`docs/design/retention.md`).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::budget;
use super::candidate::Candidate;
use super::elapsed::Elapsed;
use super::facts::{Facts, PullRequestState, RefState, ScopeState, is_merge_queue};
use super::generation::{self, Current, Group, Standing, Succession};
use super::in_use;
use super::pattern::Pattern;
use super::plan::{Amount, BudgetOutcome, Decision, Plan, Reason, Rule, Verdict};
use super::policy::{Headroom, Policy};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;

/// The successors of an entry by their places, and their ids.
type SharedSuccessors = (Arc<[usize]>, Arc<[EntryId]>);

/// A use within this time after creation is the save itself, which some stores record slightly later.
const SAVING_TAKES: TimeDelta = TimeDelta::minutes(1);

impl Policy {
    /// Decides about every entry. Has no effects.
    pub fn plan(&self, facts: &Facts) -> Plan {
        let entries = distinct(&facts.entries);
        let states: BTreeMap<&Scope, ScopeState> =
            entries.iter().map(|e| &e.scope).map(|scope| (scope, facts.scope_state(scope))).collect();
        let mut candidates: Vec<Candidate<'_>> = entries
            .into_iter()
            .map(|entry| Candidate {
                entry,
                state: &states[&entry.scope],
                pattern: Pattern::of(&entry.key, &self.patterns),
                last_use: facts.last_use(entry),
                holds: Vec::new(),
                wants: Vec::new(),
                notes: Vec::new(),
                superseded_by: Arc::default(),
            })
            .collect();

        let groups = generation::groups(&candidates);
        let standings = generation::standings(&candidates, &groups, self, facts.now);
        for (candidate, standing) in candidates.iter_mut().zip(&standings) {
            candidate.holds = self.holds(facts, candidate, *standing);
        }
        in_use::hold(facts, &mut candidates);
        for candidate in &mut candidates {
            self.judge_scope(facts, candidate);
            self.judge_age(facts, candidate);
        }
        if let Some(keep) = self.superseded {
            self.judge_generations(facts, &mut candidates, &groups, keep);
        }
        let budget = self.budget.map(|budget| self.judge_budget(facts, &mut candidates, budget));
        Plan { now: facts.now, decisions: candidates.into_iter().map(decision).collect(), budget }
    }

    /// Reasons that keep an entry regardless of the rules, most important first.
    fn holds(&self, facts: &Facts, candidate: &Candidate<'_>, standing: Standing) -> Vec<Reason> {
        let entry = candidate.entry;
        let mut holds = Vec::new();
        let mut hold = |rule, text: String| holds.push(Reason::new(rule, text));
        if !facts.listing_complete {
            hold(Rule::IncompleteListing, "the listing of entries is not complete".to_owned());
        }
        if let Some(number) = self.only_pull_request
            && !matches!(candidate.state, ScopeState::PullRequest { number: own, .. } if *own == number)
        {
            hold(Rule::OtherPullRequest, format!("{} does not belong to pull request {number}", entry.scope));
        }
        if let Some(only) = self.only_ref.as_ref().filter(|only| **only != entry.scope) {
            hold(Rule::OtherRef, format!("{} is not {only}", entry.scope));
        }
        if let Some(why) = candidate.state.unknown() {
            hold(Rule::Unknown, format!("the state of {} is unknown: {why}", named(candidate)));
        }
        if let Some(glob) = self.protecting(&entry.key, &entry.scope) {
            hold(Rule::Protected, format!("protected by `{glob}`"));
        }
        if facts.leases.contains(&entry.id) {
            hold(Rule::Leased, "it is being read".to_owned());
        }
        if facts.keys_in_use.get(&entry.key).is_some_and(|scopes| scopes.contains(&entry.scope)) {
            hold(Rule::KeyInUse, format!("its key is in use by a reader of {}", entry.scope));
        }
        if !self.keeps_used {
            return holds;
        }
        match standing.current {
            Current::No => {}
            Current::Newest => {
                let pattern = &candidate.pattern;
                hold(Rule::Current, format!("newest generation of `{pattern}` on the default branch"));
            }
            Current::Guarded(newer) => hold(Rule::Guarded, self.guarded(entry.size, newer)),
        }
        if let Some(reason) = self.recent_use(facts, candidate, standing) {
            holds.push(reason);
        }
        holds
    }

    /// The reason to keep an entry that the default branch or an open pull request has used recently.
    ///
    /// For a superseded generation only a use counts that shows continued demand: one after it was superseded, or any
    /// use of a key that names contents.
    fn recent_use(&self, facts: &Facts, candidate: &Candidate<'_>, standing: Standing) -> Option<Reason> {
        let ago = Elapsed::between(candidate.last_use, facts.now);
        if !candidate.state.keeps_used() || ago.0 > self.recent.0 {
            return None;
        }
        let restored = candidate.last_use - candidate.entry.created_at > SAVING_TAKES;
        let asked_for = standing.among_newest
            || restored
                && (candidate.pattern.comes_back()
                    || standing.superseded_at.is_some_and(|at| candidate.last_use > at));
        let what = if restored { "restored" } else { "saved" };
        asked_for
            .then(|| Reason::new(Rule::RecentlyUsed, format!("{what} {ago} ago for {}", named(candidate))))
    }

    fn guarded(&self, size: ByteSize, newer: ByteSize) -> String {
        let percent = self.guard.percent;
        format!(
            "the newer generation of {newer} is under {percent} % of its {size}, perhaps from a broken build"
        )
    }

    /// Applies the rules on closed pull requests and deleted refs.
    fn judge_scope(&self, facts: &Facts, candidate: &mut Candidate<'_>) {
        let scope = &candidate.entry.scope;
        let (rule, grace, since, event) = match candidate.state {
            ScopeState::PullRequest { number, state } => match state {
                PullRequestState::Closed { at } => {
                    let event = format!("pull request {number} closed");
                    (Rule::ClosedPullRequest, self.closed_pull_requests, *at, event)
                }
                PullRequestState::Open => {
                    candidate.notes.push(Reason::new(Rule::NoRule, format!("pull request {number} is open")));
                    return;
                }
                PullRequestState::Unknown { .. } | PullRequestState::Untracked => return,
            },
            ScopeState::Ref(RefState::DeletedOrAbsent { since }) => {
                let kind = if is_merge_queue(scope) { "merge-queue ref " } else { "" };
                let event = match since {
                    Some(_) => format!("{kind}{scope} was deleted"),
                    None => format!("{kind}{scope} does not exist and this was last used"),
                };
                (Rule::DeletedRef, self.deleted_refs, since.unwrap_or(candidate.last_use), event)
            }
            ScopeState::DefaultBranch | ScopeState::Ref(_) => return,
        };
        let Some(grace) = grace else { return };
        let ago = Elapsed::between(since, facts.now);
        let text = format!("{event} {ago} ago (grace {})", Elapsed(grace.0));
        if ago.0 >= grace.0 {
            candidate.wants.push(Reason::new(rule, text));
        } else {
            candidate.notes.push(Reason::new(Rule::Grace, text));
        }
    }

    fn judge_age(&self, facts: &Facts, candidate: &mut Candidate<'_>) {
        let idle = Elapsed::between(candidate.last_use, facts.now);
        if let Some(limit) = self.unused_for.filter(|limit| idle.0 >= limit.0) {
            let text = format!("unused for {idle} (limit {})", Elapsed(limit.0));
            candidate.wants.push(Reason::new(Rule::Unused, text));
        }
        let age = Elapsed::between(candidate.entry.created_at, facts.now);
        if let Some(limit) = self.older_than.filter(|limit| age.0 >= limit.0) {
            let text = format!("saved {age} ago (limit {})", Elapsed(limit.0));
            candidate.wants.push(Reason::new(Rule::Old, text));
        }
    }

    fn judge_generations(
        &self,
        facts: &Facts,
        candidates: &mut [Candidate<'_>],
        groups: &[Group],
        keep: NonZeroUsize,
    ) {
        for group in groups {
            let goes = |index: usize| candidates[index].goes();
            let found = generation::succession(candidates, group, keep.get(), self.guard, facts.now, goes);
            let mut shared: Option<SharedSuccessors> = None;
            for (index, succession) in found {
                let of = format!("`{}` in {}", candidates[index].pattern, candidates[index].entry.scope);
                match succession {
                    Succession::Kept(number) => {
                        let text = if number == 1 {
                            format!("newest generation of {of}")
                        } else {
                            format!("generation {number} of the {keep} newest of {of}")
                        };
                        candidates[index].notes.push(Reason::new(Rule::Generation, text));
                    }
                    Succession::Guarded(newer) => {
                        let text = self.guarded(candidates[index].entry.size, newer);
                        candidates[index].notes.push(Reason::new(Rule::Guarded, text));
                    }
                    Succession::Superseded(by) => {
                        let newest = candidates[by[0]].entry;
                        let since = Elapsed::between(newest.created_at, facts.now);
                        let text = format!("superseded by `{}`, saved {since} ago (keep {keep})", newest.key);
                        let ids = match shared.take() {
                            Some((of, ids)) if Arc::ptr_eq(&of, &by) => ids,
                            _ => by.iter().map(|index| candidates[*index].entry.id.clone()).collect(),
                        };
                        candidates[index].wants.push(Reason::new(Rule::Superseded, text));
                        candidates[index].superseded_by = Arc::clone(&ids);
                        shared = Some((by, ids));
                    }
                }
            }
        }
    }

    /// Marks the least recently used entries for deletion until the rest fits.
    fn judge_budget(
        &self,
        facts: &Facts,
        candidates: &mut [Candidate<'_>],
        budget: ByteSize,
    ) -> BudgetOutcome {
        let headroom = match self.headroom {
            Headroom::Bytes(size) => size,
            Headroom::NextSave => {
                let left = candidates.iter().filter(|c| *c.state == ScopeState::DefaultBranch && !c.goes());
                left.map(|candidate| candidate.entry.size).max().unwrap_or_default()
            }
        };
        let target = budget::target(budget, facts.limit, headroom);
        let before =
            candidates.iter().filter(|c| !c.goes()).map(|c| c.entry.size.0).fold(0, u64::saturating_add);
        let mut after = before;
        let mut order: Vec<usize> =
            (0..candidates.len()).filter(|index| !candidates[*index].goes()).collect();
        order.sort_by_key(|index| eviction_place(facts, candidates[*index].entry));
        let low = self.low_mark.map_or(target.0, |low| low.0.min(target.0));
        let is_over = before > target.0;
        for index in order {
            let candidate = &mut candidates[index];
            let size = candidate.entry.size;
            if after <= target.0 && !(is_over && after.saturating_sub(size.0) >= low) {
                break;
            }
            // Deleting an empty entry frees nothing.
            if size.0 == 0 {
                continue;
            }
            let idle = Elapsed::between(candidate.last_use, facts.now);
            let over = ByteSize(after);
            let text = format!("least recently used ({idle} ago) while {over} had to fit in {target}");
            candidate.wants.push(Reason::new(Rule::Budget, text));
            if candidate.goes() {
                after = after.saturating_sub(size.0);
            }
        }
        let mut blocked: BTreeMap<Rule, Amount> = BTreeMap::new();
        if after > target.0 {
            for candidate in candidates.iter().filter(|c| c.entry.size.0 > 0) {
                if let Some(hold) = candidate.holds.first() {
                    blocked.entry(hold.rule).or_default().add(candidate.entry.size);
                }
            }
        }
        BudgetOutcome { target, headroom, before: ByteSize(before), after: ByteSize(after), blocked }
    }
}

/// The sort key of an entry for eviction, least recently used first.
pub(super) fn eviction_place<'a>(
    facts: &Facts,
    entry: &'a Entry,
) -> (DateTime<Utc>, DateTime<Utc>, &'a EntryId) {
    (facts.last_use(entry), entry.created_at, &entry.id)
}

/// The scope for messages.
fn named(candidate: &Candidate<'_>) -> String {
    match candidate.state {
        ScopeState::PullRequest { number, .. } => format!("pull request {number}"),
        _ => candidate.entry.scope.to_string(),
    }
}

/// The entries sorted by scope, key, version and id, without duplicates: if an entry is listed twice, the later use
/// counts.
pub(super) fn distinct(entries: &[Entry]) -> Vec<&Entry> {
    let place = |e: &Entry| (e.last_used_at, e.created_at, e.size);
    let mut by_id: BTreeMap<&EntryId, &Entry> = BTreeMap::new();
    for entry in entries {
        let known = by_id.entry(&entry.id).or_insert(entry);
        let newer = place(known).cmp(&place(entry));
        if newer.then_with(|| names(known).cmp(&names(entry))).is_lt() {
            *known = entry;
        }
    }
    let mut distinct: Vec<&Entry> = by_id.into_values().collect();
    distinct.sort_by(|a, b| names(a).cmp(&names(b)).then_with(|| a.id.cmp(&b.id)));
    distinct
}

fn names(entry: &Entry) -> (&Scope, &str, &str) {
    (&entry.scope, entry.key.as_str(), entry.version.as_str())
}

fn decision(candidate: Candidate<'_>) -> Decision {
    let goes = candidate.goes();
    let (verdict, mut reasons, despite) = if goes {
        (Verdict::Delete, candidate.wants, Vec::new())
    } else {
        let mut reasons = candidate.holds;
        reasons.extend(candidate.notes);
        (Verdict::Keep, reasons, candidate.wants)
    };
    if reasons.is_empty() {
        reasons.push(Reason::new(Rule::NoRule, "no rule asks for its deletion"));
    }
    Decision {
        entry: candidate.entry.clone(),
        scope_state: candidate.state.clone(),
        pattern: candidate.pattern,
        verdict,
        reasons,
        despite,
        superseded_by: if goes { candidate.superseded_by } else { Arc::default() },
    }
}
