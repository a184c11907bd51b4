//! Eviction: beyond the limit of a repository the entries go that were not used for the longest time (GitHub, "Dependency caching
//! reference": caches are deleted "in order of last access date, from oldest to most recent").

use std::collections::HashMap;

use super::{Shelf, Storage};

/// What counts as the use of an entry. GitHub does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uses {
    /// That a lookup found it.
    #[default]
    Lookups,
    /// That its blob was read.
    Downloads,
    /// Nothing: what was saved first goes first.
    Nothing,
}

#[derive(Default)]
pub(super) struct Budget {
    bytes: Option<u64>,
    uses: Uses,
    /// Where the last use of each entry is in the order of everything.
    last: HashMap<u64, u64>,
    count: u64,
    pub(super) evicted: usize,
}

impl Budget {
    pub(super) fn limit(&mut self, bytes: u64, uses: Uses) {
        (self.bytes, self.uses) = (Some(bytes), uses);
    }

    fn note(&mut self, id: u64) {
        self.count += 1;
        self.last.insert(id, self.count);
    }
}

impl Shelf {
    pub(super) fn note_created(&mut self, id: u64, storage: &Storage) {
        self.budget.note(id);
        let Some(limit) = self.budget.bytes else { return };
        let sizes = self.entries.iter().filter(|kept| kept.finalized.is_some());
        let sizes = sizes.filter_map(|kept| Some((kept.id, storage.facts(&kept.blob)?.size)));
        let mut sizes: Vec<(u64, u64)> = sizes.collect();
        sizes.sort_by_key(|(id, _)| self.budget.last.get(id).copied());
        let mut total: u64 = sizes.iter().map(|(_, size)| size).sum();
        for (evicted, size) in sizes {
            if total <= limit {
                break;
            }
            let at = self.entries.iter().position(|kept| kept.id == evicted).expect("it was listed");
            storage.remove(&self.entries.remove(at).blob);
            self.budget.evicted += 1;
            total -= size;
        }
    }

    pub(super) fn note_lookup(&mut self, id: u64) {
        if self.budget.uses == Uses::Lookups {
            self.budget.note(id);
        }
    }

    pub(super) fn note_download(&mut self, blob: &str) {
        let found = self.entries.iter().find(|kept| kept.blob == blob && kept.finalized.is_some());
        if let Some(id) = found.map(|kept| kept.id).filter(|_| self.budget.uses != Uses::Nothing) {
            self.budget.note(id);
        }
    }
}
