//! The engine: collects for each entry what holds it, what would delete it, and further notes, and decides.
//!
//! The order of the rules matters twice. Generations are counted only among entries that no earlier rule deletes,
//! so that an entry is never superseded by one that is deleted as well. The budget comes last, since it stops as
//! soon as the store fits. Planning is idempotent: after a plan was applied, a new one deletes nothing more,
//! because what keeps an entry never depends on an entry that is deleted (`docs/design/retention.md`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::budget;
use super::candidate::{self, Candidate};
use super::elapsed::Elapsed;
use super::facts::{Facts, PullRequestState, RefState, ScopeState, is_merge_queue};
use super::generation::{self, Current, Group, Standing, Succession};
use super::in_use;
use super::needs;
use super::plan::{Decision, Plan, Reason, Rule, Verdict};
use super::policy::Policy;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;

/// The successors of an entry by their places, and their ids.
type SharedSuccessors = (Arc<[usize]>, Arc<[EntryId]>);

/// How long after an entry was saved its parents may be missing from a listing that lags behind.
const LISTING_LAG: Elapsed = Elapsed(Duration::from_hours(1));

/// A use within this time after creation is the save itself, which some stores record slightly later.
const SAVING_TAKES: TimeDelta = TimeDelta::minutes(1);

impl Policy {
    /// Decides about every entry. Has no effects.
    pub fn plan(&self, facts: &Facts) -> Plan {
        let entries = distinct(&facts.entries);
        let states: BTreeMap<&Scope, ScopeState> =
            entries.iter().map(|e| &e.scope).map(|scope| (scope, facts.scope_state(scope))).collect();
        let mut candidates = candidate::all(&entries, &states, &self.patterns, facts);
        if self.only_pull_request.is_some() {
            // The facts may be about its entries alone: their parents are elsewhere.
            for candidate in &mut candidates {
                candidate.is_broken = false;
            }
        }
        let groups = generation::groups(&candidates);
        let standings = generation::standings(&candidates, &groups, self, facts.now);
        for (candidate, standing) in candidates.iter_mut().zip(&standings) {
            candidate.holds = self.holds(facts, candidate, *standing);
        }
        in_use::hold(facts, &mut candidates);
        for candidate in &mut candidates {
            judge_parents(facts, candidate);
            self.judge_scope(facts, candidate);
            self.judge_age(facts, candidate);
        }
        // Pull requests come last: their entries may go with those of other refs, and supersede nothing then.
        let (of_pulls, of_refs): (Vec<Group>, Vec<Group>) =
            groups.into_iter().partition(|group| candidates[group[0]].entry.scope.is_pull_request());
        self.judge_generations(facts, &mut candidates, &of_refs);
        let all = 0..candidates.len();
        needs::go_with_parents(&mut candidates, all);
        self.judge_generations(facts, &mut candidates, &of_pulls);
        let mut budget = self.budget.map(|budget| self.judge_budget(facts, &mut candidates, budget));
        needs::hold(&mut candidates);
        if let Some(outcome) = &mut budget {
            outcome.blocked = budget::blocked(outcome, &candidates);
        }
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
        if let Some(glob) = self.protecting(&candidate.key, &entry.scope) {
            hold(Rule::Protected, format!("protected by `{glob}`"));
        }
        if facts.leases.contains(&entry.id) {
            hold(Rule::Leased, "it is being read".to_owned());
        }
        if candidate.is_broken {
            // Neither its key nor a use matters, since no job can restore it.
            return holds;
        }
        if facts.keys_in_use.get(&candidate.key).is_some_and(|scopes| scopes.contains(&entry.scope)) {
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
            Current::Guarded(newer) => hold(Rule::Guarded, self.guarded(candidate.whole, newer)),
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

    fn judge_generations(&self, facts: &Facts, candidates: &mut [Candidate<'_>], groups: &[Group]) {
        let Some(keep) = self.superseded else { return };
        for group in groups {
            let goes = |index: usize| !candidates[index].is_kept();
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
                        let text = self.guarded(candidates[index].whole, newer);
                        candidates[index].notes.push(Reason::new(Rule::Guarded, text));
                    }
                    Succession::Superseded(by) => {
                        let newest = &candidates[by[0]];
                        let since = Elapsed::between(newest.entry.created_at, facts.now);
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
}

/// The sort key of an entry for eviction, least recently used first.
pub(super) fn eviction_place<'a>(
    facts: &Facts,
    entry: &'a Entry,
) -> (DateTime<Utc>, DateTime<Utc>, &'a EntryId) {
    (facts.last_use(entry), entry.created_at, &entry.id)
}

/// Deletes an entry that no job can restore, since a parent of it is gone.
fn judge_parents(facts: &Facts, candidate: &mut Candidate<'_>) {
    if !candidate.is_broken {
        return;
    }
    let age = Elapsed::between(candidate.entry.created_at, facts.now);
    if age.0 >= LISTING_LAG.0 {
        let text = "an entry that it takes content from is gone, so no job can restore it";
        candidate.wants.push(Reason::new(Rule::ParentGone, text));
    } else {
        let text = format!(
            "an entry that it takes content from is not listed; saved {age} ago (grace {LISTING_LAG})"
        );
        candidate.notes.push(Reason::new(Rule::Grace, text));
    }
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
    // What is needed is held by now.
    let goes = !candidate.is_kept();
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
