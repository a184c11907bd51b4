//! What entries need of each other while a plan is made.
//!
//! An entry that stays for its own sake keeps the entries that it takes content from. It names all of them, so need goes one
//! step: an entry that stays only because it is needed needs nothing itself, and is not restored any more.

use super::candidate::Candidate;
use super::plan::{Reason, Rule};

/// Whether an entry that stays for its own sake takes content from this one.
pub(super) fn is_needed(candidates: &[Candidate<'_>], place: usize) -> bool {
    candidates[place].dependents.iter().any(|dependent| candidates[*dependent].is_kept())
}

/// Whether this entry is deleted, as far as was found out.
pub(super) fn goes(candidates: &[Candidate<'_>], place: usize) -> bool {
    !candidates[place].is_kept() && !is_needed(candidates, place)
}

/// Has entries of pull requests go together with those of these parents that a rule deletes and nothing else needs: a pull
/// request does not keep the base that its target branch has replaced, and restores the newer one. Returns the places of the entries.
pub(super) fn go_with_parents(
    candidates: &mut [Candidate<'_>],
    parents: impl IntoIterator<Item = usize>,
) -> Vec<usize> {
    let mut going = Vec::new();
    for parent in parents {
        if candidates[parent].is_kept() {
            continue;
        }
        let dependents = candidates[parent].dependents.iter().copied();
        let kept: Vec<usize> = dependents.filter(|place| candidates[*place].is_kept()).collect();
        if !kept.iter().all(|place| gives_way(&candidates[*place], &candidates[parent])) {
            continue;
        }
        let text = format!("`{}`, which it takes content from, is deleted as well", candidates[parent].key);
        for place in kept {
            candidates[place].wants.insert(0, Reason::new(Rule::ParentGone, text.clone()));
            going.push(place);
        }
    }
    going
}

/// Whether an entry does not keep a parent that a rule deletes.
fn gives_way(entry: &Candidate<'_>, parent: &Candidate<'_>) -> bool {
    let scope = &entry.entry.scope;
    entry.holds.is_empty() && scope.is_pull_request() && *scope != parent.entry.scope
}

/// Notes on every entry that is needed which one needs it: the newest.
pub(super) fn hold(candidates: &mut [Candidate<'_>]) {
    let needed_by = |candidate: &Candidate<'_>| {
        let kept = candidate.dependents.iter().map(|at| &candidates[*at]).filter(|c| c.is_kept());
        let newest = kept.max_by_key(|kept| (kept.entry.created_at, &kept.entry.id))?;
        Some(format!("needed by `{}`", newest.key))
    };
    // All of them before the first is held, since what is held counts as one that stays for its own sake.
    let texts: Vec<Option<String>> = candidates.iter().map(needed_by).collect();
    for (candidate, text) in candidates.iter_mut().zip(texts) {
        if let Some(text) = text {
            let at = candidate.holds.partition_point(|reason| reason.rule < Rule::Needed);
            candidate.holds.insert(at, Reason::new(Rule::Needed, text));
        }
    }
}
