//! Whether a plan is still valid: between planning and applying, pull requests are reopened and entries are used.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::decide::distinct;
use super::facts::{Facts, PullRequestState, RefState, ScopeState};
use super::parents::Parents;
use super::plan::{Decision, Plan, Rule};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::thin;

/// A change that invalidates a plan or one of its deletions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The facts do not list every entry.
    #[error("the entries cannot be listed completely, so the plan cannot be checked")]
    IncompleteListing,
    /// The facts are older than the plan.
    #[error("the plan was made at {planned}, after these facts")]
    FromTheFuture {
        /// When the plan was made.
        planned: DateTime<Utc>,
    },
    /// The id now identifies another entry.
    #[error("entry {id} has been replaced since the plan was made")]
    Replaced {
        /// The entry.
        id: EntryId,
    },
    /// It was used after the plan was made.
    #[error("entry {id} was used at {at}, after the plan was made")]
    Used {
        /// The entry.
        id: EntryId,
        /// Its last use.
        at: DateTime<Utc>,
    },
    /// It is being read.
    #[error("entry {id} is being read")]
    Leased {
        /// The entry.
        id: EntryId,
    },
    /// A reader needs its key.
    #[error("entry {id} has a key that is in use now")]
    KeyInUse {
        /// The entry.
        id: EntryId,
    },
    /// The pull request or ref has changed.
    #[error("entry {id} was planned for as of `{before}`; now it is `{after}`")]
    ScopeChanged {
        /// The entry.
        id: EntryId,
        /// The state in the plan.
        before: Box<ScopeState>,
        /// The state now.
        after: Box<ScopeState>,
    },
    /// An entry that stays takes content from it.
    #[error("entry {id} has content that entry {by} takes from it")]
    Needed {
        /// The entry.
        id: EntryId,
        /// The entry that needs it: it was saved after the plan was made, or stays for another change.
        by: EntryId,
    },
    /// A generation that supersedes it no longer exists.
    #[error("entry {id} was superseded by {by}, which no longer exists")]
    NoLongerSuperseded {
        /// The entry.
        id: EntryId,
        /// The newer generation.
        by: EntryId,
    },
}

impl Stale {
    /// The entry that it concerns; `None` for the plan as a whole.
    pub fn id(&self) -> Option<&EntryId> {
        match self {
            Stale::IncompleteListing | Stale::FromTheFuture { .. } => None,
            Stale::Replaced { id }
            | Stale::Used { id, .. }
            | Stale::Leased { id }
            | Stale::KeyInUse { id }
            | Stale::ScopeChanged { id, .. }
            | Stale::Needed { id, .. }
            | Stale::NoLongerSuperseded { id, .. } => Some(id),
        }
    }
}

impl Plan {
    /// The first change that invalidates this plan under these facts. Entries that have been deleted or added in the
    /// meantime, and changes to entries that are kept, do not.
    pub fn is_stale(&self, facts: &Facts) -> Option<Stale> {
        self.stale_entries(facts).into_iter().next()
    }

    /// All changes that invalidate deletions of this plan under these facts, in the order of the plan.
    pub fn stale_entries(&self, facts: &Facts) -> Vec<Stale> {
        if !facts.listing_complete {
            return vec![Stale::IncompleteListing];
        }
        if facts.now < self.now {
            return vec![Stale::FromTheFuture { planned: self.now }];
        }
        let mut present: BTreeMap<&EntryId, &Entry> = BTreeMap::new();
        for entry in &facts.entries {
            // If an entry is listed twice, the later use counts.
            let known = present.entry(&entry.id).or_insert(entry);
            if known.last_used_at < entry.last_used_at {
                *known = entry;
            }
        }
        let deletions: Vec<&Decision> = self.deletions().collect();
        let going: BTreeSet<&EntryId> = deletions.iter().map(|decision| &decision.entry.id).collect();
        let mut stale: BTreeMap<&EntryId, Stale> = BTreeMap::new();
        for decision in &deletions {
            if let Some(change) = changed(decision, &going, &present, facts) {
                stale.insert(&decision.entry.id, change);
            }
        }
        let needed = self.needed(facts, &going, &stale);
        let need = |id: &EntryId| Some(Stale::Needed { id: id.clone(), by: needed.get(id)?.clone() });
        let ids = deletions.iter().map(|decision| &decision.entry.id);
        ids.filter_map(|id| stale.get(id).cloned().or_else(|| need(id))).collect()
    }

    /// Entries that are to be deleted and from which others take content that this plan did not know, or that stay now; each
    /// with one of those.
    fn needed(
        &self,
        facts: &Facts,
        going: &BTreeSet<&EntryId>,
        stale: &BTreeMap<&EntryId, Stale>,
    ) -> BTreeMap<EntryId, EntryId> {
        let known: BTreeSet<&EntryId> = self.decisions.iter().map(|decision| &decision.entry.id).collect();
        let entries = distinct(&facts.entries);
        let parents = Parents::find(&entries, facts).of;
        let mut needed = BTreeMap::new();
        for (entry, parents) in entries.iter().zip(parents) {
            let stays = if going.contains(&entry.id) {
                stale.contains_key(&entry.id)
            } else {
                !known.contains(&entry.id)
            };
            for parent in parents.into_iter().filter(|_| stays) {
                needed.insert(entries[parent].id.clone(), entry.id.clone());
            }
        }
        needed
    }
}

fn changed(
    decision: &Decision,
    going: &BTreeSet<&EntryId>,
    present: &BTreeMap<&EntryId, &Entry>,
    facts: &Facts,
) -> Option<Stale> {
    let planned = &decision.entry;
    let id = || planned.id.clone();
    let entry = present.get(&planned.id)?;
    let identity = |e: &Entry| (e.scope.clone(), e.key.clone(), e.version.clone(), e.created_at, e.size);
    if identity(entry) != identity(planned) {
        return Some(Stale::Replaced { id: id() });
    }
    // What was chosen by hand goes whatever its ref is and who uses it, unless unused entries were asked for.
    let has = |rule: Rule| decision.reasons.iter().any(|reason| reason.rule == rule);
    let by_hand = has(Rule::Chosen);
    let use_matters = !by_hand || has(Rule::Unused);
    let is_later = |at: &DateTime<Utc>| planned.last_used_at.is_none_or(|before| *at > before);
    if let Some(at) = entry.last_used_at.filter(|at| use_matters && is_later(at)) {
        return Some(Stale::Used { id: id(), at });
    }
    if facts.leases.contains(&planned.id) {
        return Some(Stale::Leased { id: id() });
    }
    if by_hand {
        return None;
    }
    if facts
        .keys_in_use
        .get(&thin::saved_for(&planned.key))
        .is_some_and(|scopes| scopes.contains(&planned.scope))
    {
        return Some(Stale::KeyInUse { id: id() });
    }
    let after = facts.scope_state(&planned.scope);
    if !same(&decision.scope_state, &after) {
        let before = Box::new(decision.scope_state.clone());
        return Some(Stale::ScopeChanged { id: id(), before, after: Box::new(after) });
    }
    // If another rule deletes it as well, a newer generation is not needed. Newer generations that this plan deletes
    // do not count as missing, so that a plan that was applied in part can be continued.
    if decision.reasons.iter().all(|reason| reason.rule == Rule::Superseded) {
        let gone = decision.superseded_by.iter().find(|by| !present.contains_key(by) && !going.contains(by));
        return gone.map(|by| Stale::NoLongerSuperseded { id: id(), by: by.clone() });
    }
    None
}

/// Whether two states of a scope are equivalent. The deletion time of a ref may become known later; the grace period
/// of a pull request that was reopened and closed again starts anew.
fn same(before: &ScopeState, after: &ScopeState) -> bool {
    use {PullRequestState as P, RefState as R, ScopeState as S};
    match (before, after) {
        (S::DefaultBranch, S::DefaultBranch) => true,
        (
            S::PullRequest { state: P::Closed { at }, .. },
            S::PullRequest { state: P::Closed { at: now }, .. },
        ) => at == now,
        (S::Ref(R::DeletedOrAbsent { since }), S::Ref(R::DeletedOrAbsent { since: now })) => {
            since.is_none() || now.is_none() || since == now
        }
        _ => before == after,
    }
}
