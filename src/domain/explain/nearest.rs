//! Near matches of a lookup, and the cause that the nearest of them demonstrates.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{Candidate, Cause, Differing, GoneParent, Nearness, Question, Remembered};
use crate::domain::entry::Entry;
use crate::domain::key::Key;
use crate::domain::retention::{Elapsed, Facts};
use crate::domain::thin::{self, ShortId, ThinKey};
use crate::domain::unit::ByteSize;

/// GitHub evicts entries that were not used for this long.
const UNUSED: TimeDelta = TimeDelta::days(7);

impl Question {
    /// The entries that match or almost do, nearest first.
    pub(super) fn candidates(&self, entries: &[Entry]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> =
            entries.iter().filter_map(|entry| self.candidate(entry)).collect();
        let place = |candidate: &Candidate| {
            let entry = &candidate.entry;
            let differing = candidate.differing.names().len();
            (candidate.nearness, differing, Reverse(entry.created_at), entry.key.clone(), entry.id.clone())
        };
        candidates.sort_by_cached_key(place);
        candidates.dedup_by(|a, b| a.entry.id == b.entry.id);
        candidates
    }

    pub(super) fn candidate(&self, entry: &Entry) -> Option<Candidate> {
        let key = thin::saved_for(&entry.key);
        let version = if key == entry.key { &self.version } else { &self.thin_version };
        let nearness = if key == self.key {
            Nearness::Same
        } else if spelled_alike(&key, &self.key) {
            Nearness::Spelling
        } else if self.is_prefix_of(&key) {
            Nearness::Prefix
        } else if self.shape.resembles(&key) {
            Nearness::Similar
        } else {
            return None;
        };
        let differing = Differing {
            key: matches!(nearness, Nearness::Spelling | Nearness::Similar),
            version: self.version.is_some() && version.as_ref() != Some(&entry.version),
            scope: !self.scopes.contains(&entry.scope),
            paths: false,
        };
        Some(Candidate { entry: entry.clone(), nearness, differing })
    }

    /// Why the primary key is not found, and the entry that demonstrates it.
    pub(super) fn cause<'a>(
        &self,
        facts: &Facts,
        found: Option<&'a Entry>,
        candidates: &'a [Candidate],
    ) -> (Option<Cause>, Option<&'a Entry>) {
        let first = |nearness: Nearness| candidates.iter().find(|c| c.nearness == nearness);
        let by_field = |candidate: &'a Candidate| {
            let cause = if candidate.differing.version { Cause::Version } else { Cause::Scope };
            (Some(cause), Some(&candidate.entry))
        };
        if let Some(same) = first(Nearness::Same) {
            return by_field(same);
        }
        if let Some(alike) = first(Nearness::Spelling) {
            return (Some(Cause::Spelling), Some(&alike.entry));
        }
        if let Some(gone) = self.remembered.iter().find(|r| self.is_of_version(r) && r.key == self.key) {
            return (Some(evicted(gone, facts)), None);
        }
        let by_key = |entry: &'a Entry| (Some(self.key_part(entry)), Some(entry));
        if let Some(found) = found {
            return by_key(found);
        }
        // The lookup found nothing, so an entry that a prefix matches must differ in another field.
        if let Some(prefixed) = first(Nearness::Prefix) {
            return by_field(prefixed);
        }
        let gone = self.remembered.iter().find(|r| self.is_of_version(r) && self.is_prefix_of(&r.key));
        if let Some(gone) = gone {
            return (Some(evicted(gone, facts)), None);
        }
        let similar = candidates.iter().filter(|c| c.nearness == Nearness::Similar);
        let readable = similar.clone().find(|c| !c.differing.version && !c.differing.scope);
        match readable {
            Some(candidate) => by_key(&candidate.entry),
            None => (Some(Cause::NothingSaved), similar.map(|c| &c.entry).next()),
        }
    }

    fn key_part(&self, entry: &Entry) -> Cause {
        Cause::KeyPart(self.shape.difference(&thin::saved_for(&entry.key)))
    }

    /// Why a thin entry cannot be restored; `None` for one that can, and for a full one.
    pub(super) fn gone_parent(&self, entry: &Entry, facts: &Facts) -> Option<Cause> {
        let parents = ThinKey::parse(&entry.key)?.parents;
        let readable = facts.entries.iter().filter(|other| self.scopes.contains(&other.scope));
        let there: BTreeSet<ShortId> =
            readable.map(|other| ShortId::of(&other.key, &other.version)).collect();
        let (place, id) = parents.iter().enumerate().find(|(_, id)| !there.contains(id))?;
        let is_it = |record: &&Remembered| ShortId::of(&record.key, &record.version) == *id;
        let parent = match self.remembered.iter().find(is_it) {
            Some(remembered) => {
                GoneParent::Remembered { remembered: remembered.clone(), why: why_evicted(remembered, facts) }
            }
            None => GoneParent::Unknown { id: *id },
        };
        Some(Cause::ParentGone { is_base: place == 0, parent })
    }

    fn is_of_version(&self, remembered: &Remembered) -> bool {
        self.version.as_ref().is_none_or(|version| *version == remembered.version)
    }
}

/// Whether two keys differ only in letter case and whitespace.
fn spelled_alike(one: &Key, other: &Key) -> bool {
    let plain = |key: &Key| -> String {
        key.as_str().chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
    };
    plain(one) == plain(other)
}

/// The cause for an entry that was recorded and no longer exists.
fn evicted(remembered: &Remembered, facts: &Facts) -> Cause {
    Cause::Evicted { remembered: remembered.clone(), why: why_evicted(remembered, facts) }
}

/// What may have deleted an entry that was recorded and no longer exists.
fn why_evicted(remembered: &Remembered, facts: &Facts) -> String {
    let idle = Elapsed::between(remembered.at, facts.now);
    let held: ByteSize = facts.entries.iter().map(|entry| entry.size).sum();
    match facts.limit {
        Some(_) if facts.now - remembered.at > UNUSED => {
            format!(
                "GitHub evicts entries that are not used for 7 d, and the last use known here was {idle} ago"
            )
        }
        // Eviction stops just below the limit, so a store that was over it still looks full.
        Some(limit) if u128::from(held.0) * 100 >= u128::from(limit.0) * 90 => format!(
            "the store holds {held} of {limit}, and GitHub evicts the least recently used to stay below that"
        ),
        Some(limit) => format!(
            "it was deleted: the last use known here was {idle} ago, within 7 d, and the store holds {held} of {limit}"
        ),
        None => {
            "it was deleted, by `cachekeep clean` or manually; this store evicts nothing itself".to_owned()
        }
    }
}
