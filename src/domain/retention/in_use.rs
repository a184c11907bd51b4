//! Keys that open pull requests use: an entry of the same key and version where such a job looks next is live as well.
//!
//! A job that hits in its own ref does not touch the entry behind it, in its base or on the default branch. That one
//! is what the next pull request restores, and this one, too, should its own be evicted.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Candidate;
use super::facts::{Facts, ScopeState};
use super::plan::{Reason, Rule};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;

/// Pull requests by what they look for, and where.
type Users<'a> = BTreeMap<(&'a Key, &'a Version, &'a Scope), u64>;

/// Holds what lies behind entries that pull requests have used recently. These are held themselves, so that what is
/// held does not depend on an entry that goes.
pub(super) fn hold(facts: &Facts, candidates: &mut [Candidate<'_>]) {
    let mut users = Users::new();
    for candidate in candidates.iter() {
        let ScopeState::PullRequest { number, .. } = candidate.state else { continue };
        if candidate.holds.iter().any(|reason| reason.rule == Rule::RecentlyUsed) {
            let entry = candidate.entry;
            let behind: BTreeSet<&Scope> =
                facts.bases.get(number).into_iter().chain([&facts.default_branch]).collect();
            for scope in behind {
                // Of several the first, whatever the order of the entries.
                let user = users.entry((&entry.key, &entry.version, scope)).or_insert(*number);
                *user = (*user).min(*number);
            }
        }
    }
    for candidate in candidates {
        let entry = candidate.entry;
        let is_held = candidate.holds.iter().any(|reason| reason.rule == Rule::KeyInUse);
        if let Some(number) = users.get(&(&entry.key, &entry.version, &entry.scope)).filter(|_| !is_held) {
            let text = format!("pull request {number} uses its key, and looks in {} as well", entry.scope);
            let place = candidate.holds.partition_point(|reason| reason.rule < Rule::KeyInUse);
            candidate.holds.insert(place, Reason::new(Rule::KeyInUse, text));
        }
    }
}
