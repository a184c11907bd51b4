//! Facts: what is known about a store and its repository at one instant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::scope::{Access, Scope};
use crate::domain::unit::ByteSize;

/// The input of a plan besides the policy.
///
/// A pull request or ref that is missing from its map is unknown, and entries of unknown scopes are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The entries of the store, in any order. Duplicates, which occur when pages shift during listing, count once.
    pub entries: Vec<Entry>,
    /// Whether `entries` is complete. If not, nothing is deleted, since the newest generation is not known.
    pub listing_complete: bool,
    /// States of pull requests by number.
    pub pull_requests: BTreeMap<u64, PullRequestState>,
    /// The base branches of pull requests, as far as known; jobs of the pull requests read those as well.
    pub bases: BTreeMap<u64, Scope>,
    /// States of branches, tags and merge-queue refs.
    pub refs: BTreeMap<Scope, RefState>,
    /// The default branch; it exists by definition.
    pub default_branch: Scope,
    /// Keys in use, each with the scopes that its users read ([`Facts::use_key`]).
    pub keys_in_use: BTreeMap<Key, BTreeSet<Scope>>,
    /// Entries that a live process is reading.
    pub leases: BTreeSet<EntryId>,
    /// Size at which the store itself starts to evict, if known.
    pub limit: Option<ByteSize>,
    /// The time of the plan.
    pub now: DateTime<Utc>,
}

/// The state of a pull request, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullRequestState {
    /// Open or reopened.
    Open,
    /// Closed or merged.
    Closed {
        /// When it was last closed.
        at: DateTime<Utc>,
    },
    /// The query gave no reliable answer: its entries are kept.
    Unknown {
        /// The cause, for messages.
        why: String,
    },
    /// There is no forge to query: rules on pull requests do not apply, all others do.
    Untracked,
}

impl PullRequestState {
    /// The state of a pull request that `forge` reports as closed at `at`, in the form of RFC 3339.
    pub fn closed(forge: &str, at: Option<&str>) -> Self {
        match at.map(DateTime::parse_from_rfc3339) {
            Some(Ok(at)) => PullRequestState::Closed { at: at.with_timezone(&Utc) },
            Some(Err(_)) => {
                PullRequestState::Unknown { why: format!("{forge} reports an invalid closing time") }
            }
            None => PullRequestState::Unknown { why: format!("{forge} does not report when it was closed") },
        }
    }
}

/// The state of a branch, tag or merge-queue ref, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefState {
    /// It exists.
    Exists,
    /// It does not exist.
    DeletedOrAbsent {
        /// When it was deleted, if known.
        since: Option<DateTime<Utc>>,
    },
    /// The query gave no reliable answer: its entries are kept.
    Unknown {
        /// The cause, for messages.
        why: String,
    },
    /// There is no forge to query: rules on deleted refs do not apply, all others do.
    Untracked,
}

/// The state of an entry's scope, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeState {
    /// It is the default branch.
    DefaultBranch,
    /// It is the merge or head ref of a pull request.
    PullRequest {
        /// The number of the pull request.
        number: u64,
        /// Its state.
        state: PullRequestState,
    },
    /// It is another ref.
    Ref(RefState),
}

impl Facts {
    /// Facts about an empty store, to be filled in.
    pub fn new(default_branch: Scope, now: DateTime<Utc>) -> Self {
        Facts {
            entries: Vec::new(),
            listing_complete: true,
            pull_requests: BTreeMap::new(),
            bases: BTreeMap::new(),
            refs: BTreeMap::new(),
            default_branch,
            keys_in_use: BTreeMap::new(),
            leases: BTreeSet::new(),
            limit: None,
            now,
        }
    }

    /// Records that a job with this access needs this key: entries with it in any scope that the job reads are kept.
    pub fn use_key(&mut self, key: Key, access: &Access) {
        self.keys_in_use.entry(key).or_default().extend(access.readable.iter().cloned());
    }

    /// The state of a scope.
    pub fn scope_state(&self, scope: &Scope) -> ScopeState {
        if *scope == self.default_branch {
            return ScopeState::DefaultBranch;
        }
        if let Some(number) = pull_request_of(scope) {
            let state = self.pull_requests.get(&number).cloned();
            let state = state.unwrap_or_else(|| PullRequestState::Unknown { why: NOT_ASKED.to_owned() });
            return ScopeState::PullRequest { number, state };
        }
        let state = self.refs.get(scope).cloned();
        ScopeState::Ref(state.unwrap_or_else(|| RefState::Unknown { why: NOT_ASKED.to_owned() }))
    }

    /// When an entry was last used, clamped to `now`; saving it counts as a use.
    pub fn last_use(&self, entry: &Entry) -> DateTime<Utc> {
        entry.last_used_at.map_or(entry.created_at, |used| used.max(entry.created_at)).min(self.now)
    }
}

const NOT_ASKED: &str = "its state was not queried";

/// The number of the pull request, or of the merge request of GitLab, whose merge or head ref this is.
pub fn pull_request_of(scope: &Scope) -> Option<u64> {
    let request =
        ["refs/pull/", "refs/merge-requests/"].iter().find_map(|start| scope.as_str().strip_prefix(start))?;
    let (number, kind) = request.split_once('/')?;
    matches!(kind, "merge" | "head").then(|| number.parse().ok()).flatten()
}

/// Whether this is a temporary branch of GitHub's merge queue.
pub fn is_merge_queue(scope: &Scope) -> bool {
    scope.as_str().starts_with("refs/heads/gh-readonly-queue/")
}

impl ScopeState {
    /// Why the state is not known, if it is unknown.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            ScopeState::PullRequest { state: PullRequestState::Unknown { why }, .. }
            | ScopeState::Ref(RefState::Unknown { why }) => Some(why),
            _ => None,
        }
    }

    /// Whether recent use in this scope keeps an entry: true for the default branch and open pull requests.
    pub fn keeps_used(&self) -> bool {
        match self {
            ScopeState::DefaultBranch => true,
            ScopeState::PullRequest { state, .. } => {
                matches!(state, PullRequestState::Open | PullRequestState::Untracked)
            }
            ScopeState::Ref(_) => false,
        }
    }
}

impl fmt::Display for ScopeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScopeState::DefaultBranch => f.write_str("default branch"),
            ScopeState::PullRequest { number, state } => match state {
                PullRequestState::Open => write!(f, "pull request {number}, open"),
                PullRequestState::Closed { at } => {
                    write!(f, "pull request {number}, closed at {}", at.to_rfc3339())
                }
                PullRequestState::Unknown { why } => write!(f, "pull request {number}, unknown: {why}"),
                PullRequestState::Untracked => write!(f, "pull request {number}, not tracked"),
            },
            ScopeState::Ref(state) => match state {
                RefState::Exists => f.write_str("existing ref"),
                RefState::DeletedOrAbsent { since: Some(at) } => {
                    write!(f, "ref deleted at {}", at.to_rfc3339())
                }
                RefState::DeletedOrAbsent { since: None } => f.write_str("deleted ref"),
                RefState::Unknown { why } => write!(f, "unknown ref: {why}"),
                RefState::Untracked => f.write_str("ref that is not tracked"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_and_head_refs_belong_to_their_pull_request() {
        let check = |name: &str, number| {
            assert_eq!(pull_request_of(&Scope::new(name).expect(name)), number, "{name}");
        };
        check("refs/pull/12/merge", Some(12));
        check("refs/pull/12/head", Some(12));
        check("refs/pull/12", None);
        check("refs/pull/x/merge", None);
        check("refs/pull/12/other", None);
        check("refs/heads/pull/12/merge", None);
    }

    #[test]
    fn a_scope_that_is_missing_from_the_maps_is_unknown() {
        let now = DateTime::from_timestamp(0, 0).expect("a time");
        let facts = Facts::new(Scope::new("main").expect("a scope"), now);
        let state = |name: &str| facts.scope_state(&Scope::new(name).expect(name));
        assert_eq!(state("main"), ScopeState::DefaultBranch);
        assert!(state("topic").unknown().is_some());
        assert!(state("refs/pull/1/merge").unknown().is_some());
    }
}
