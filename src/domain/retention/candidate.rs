//! An entry while a plan is made: what was collected about it so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::facts::{Facts, ScopeState};
use super::parents::Parents;
use super::pattern::{DeclaredPattern, Pattern};
use super::plan::Reason;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::thin::{self, ThinKey};
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

/// An entry with what was collected about it so far.
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a Entry,
    pub(super) state: &'a ScopeState,
    /// The key that it was saved for.
    pub(super) key: Key,
    /// The version that full entries of its cache have: full and thin entries are generations of the same thing.
    pub(super) full_version: &'a Version,
    pub(super) is_thin: bool,
    /// The size that an archive of the whole tree has or would have.
    pub(super) whole: ByteSize,
    pub(super) pattern: Pattern,
    /// The last use, clamped to the time of the plan.
    pub(super) last_use: DateTime<Utc>,
    /// The entries that it takes content from, by place.
    pub(super) parents: Vec<usize>,
    /// The entries that take content from it, by place.
    pub(super) dependents: Vec<usize>,
    /// Whether a parent is gone: no job can restore it.
    pub(super) is_broken: bool,
    /// Reasons that keep it regardless of the rules, most important first.
    pub(super) holds: Vec<Reason>,
    /// Reasons to delete it.
    pub(super) wants: Vec<Reason>,
    /// Reasons to keep it that do not override a rule.
    pub(super) notes: Vec<Reason>,
    pub(super) superseded_by: Arc<[EntryId]>,
}

impl Candidate<'_> {
    /// Whether it stays for its own sake: something holds it, or no rule deletes it. Any other entry stays as long as such an
    /// entry takes content from it ([`super::needs`]).
    pub(super) fn is_kept(&self) -> bool {
        !self.holds.is_empty() || self.wants.is_empty()
    }
}

/// The candidates for entries in their order, about which nothing was collected yet.
pub(super) fn all<'a>(
    entries: &[&'a Entry],
    states: &'a BTreeMap<&Scope, ScopeState>,
    declared: &[DeclaredPattern],
    facts: &Facts,
) -> Vec<Candidate<'a>> {
    let Parents { of, dependents, is_broken } = Parents::find(entries, facts);
    let full_versions = full_versions(entries, &of);
    let related = of.into_iter().zip(dependents).zip(is_broken);
    (entries.iter().zip(related))
        .map(|(entry, ((parents, dependents), is_broken))| {
            let key = thin::saved_for(&entry.key);
            Candidate {
                entry,
                state: &states[&entry.scope],
                pattern: Pattern::of(&key, declared),
                is_thin: key != entry.key,
                key,
                full_version: full_versions.get(&entry.version).copied().unwrap_or(&entry.version),
                whole: thin::whole_size(entry),
                last_use: facts.last_use(entry),
                parents,
                dependents,
                is_broken,
                holds: Vec::new(),
                wants: Vec::new(),
                notes: Vec::new(),
                superseded_by: Arc::default(),
            }
        })
        .collect()
}

/// The versions of full entries by those of the thin entries that take content from them: one is not computed from the other,
/// and each thin entry that can be restored takes content from a full one.
fn full_versions<'a>(entries: &[&'a Entry], parents: &[Vec<usize>]) -> BTreeMap<&'a Version, &'a Version> {
    let mut versions = BTreeMap::new();
    for (entry, parents) in entries.iter().zip(parents) {
        let mut parents = parents.iter().map(|place| entries[*place]);
        if let Some(full) = parents.find(|parent| ThinKey::parse(&parent.key).is_none()) {
            versions.entry(&entry.version).or_insert(&full.version);
        }
    }
    versions
}
