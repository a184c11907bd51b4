//! Keys that open pull requests use: entries with the same key and version in their fallback scopes are live as well.
//!
//! A job that hits in its own ref does not update the last use of the equal entry in its base or on the default branch.
//! Yet the next pull request restores that one, and so does this one once its own entry is evicted.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::Candidate;
use super::facts::{Facts, ScopeState};
use super::plan::{Reason, Rule};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;

/// Numbers of pull requests by the key, version and scope that their jobs look up.
type Users<'a> = BTreeMap<(Key, &'a Version, &'a Scope), u64>;

/// Holds the equal entries in the fallback scopes of entries that pull requests have used recently. The latter are held
/// as well, so no hold depends on an entry that is deleted.
pub(super) fn hold(facts: &Facts, candidates: &mut [Candidate<'_>]) {
    let mut users = Users::new();
    for candidate in candidates.iter() {
        let ScopeState::PullRequest { number, .. } = candidate.state else { continue };
        if candidate.holds.iter().any(|reason| reason.rule == Rule::RecentlyUsed) {
            let behind: BTreeSet<&Scope> =
                facts.bases.get(number).into_iter().chain([&facts.default_branch]).collect();
            for scope in behind {
                // The lowest number, independent of the order of the entries.
                let user =
                    users.entry((candidate.key.clone(), candidate.full_version, scope)).or_insert(*number);
                *user = (*user).min(*number);
            }
        }
    }
    for candidate in candidates {
        let scope = &candidate.entry.scope;
        let is_held = candidate.holds.iter().any(|reason| reason.rule == Rule::KeyInUse);
        let user = users.get(&(candidate.key.clone(), candidate.full_version, scope));
        if let Some(number) = user.filter(|_| !is_held && !candidate.is_broken) {
            let text = format!("pull request {number} uses its key, and also reads {scope}");
            let place = candidate.holds.partition_point(|reason| reason.rule < Rule::KeyInUse);
            candidate.holds.insert(place, Reason::new(Rule::KeyInUse, text));
        }
    }
}
