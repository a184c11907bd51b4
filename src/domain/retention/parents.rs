//! Parents: the entries that a thin entry takes content from, found by what its key says alone ([`thin`](crate::domain::thin)).
//!
//! A key names its parents without their scopes. Where several scopes have an entry of that name, each of them is taken for the
//! parent: an entry too many is kept, and none too few.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, pull_request_of};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::scope::{Scope, Section};
use crate::domain::thin::{ShortId, ThinKey};

/// What entries take from each other, by their places in a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Parents {
    /// For each entry those that it takes content from; empty for one that is not thin.
    pub(super) of: Vec<Vec<usize>>,
    /// For each entry those that take content from it.
    pub(super) dependents: Vec<Vec<usize>>,
    /// Whether a parent is not in the list: no job can restore the entry.
    pub(super) is_broken: Vec<bool>,
}

impl Parents {
    /// The parents among all entries of a store.
    pub(super) fn find(entries: &[&Entry], facts: &Facts) -> Self {
        Parents::with(entries, |reader| readable(facts, reader))
    }

    /// The parents among these entries, where it is not known which scopes a job reads.
    pub(super) fn among(entries: &[&Entry]) -> Self {
        Parents::with(entries, |_| None)
    }

    fn with<'a>(entries: &[&'a Entry], readable: impl Fn(&'a Scope) -> Option<Vec<&'a Scope>>) -> Self {
        let count = entries.len();
        let mut found = Parents {
            of: vec![Vec::new(); count],
            dependents: vec![Vec::new(); count],
            is_broken: vec![false; count],
        };
        let thin: Vec<(usize, ThinKey)> = (entries.iter().enumerate())
            .filter_map(|(index, entry)| Some((index, ThinKey::parse(&entry.key)?)))
            .collect();
        let named: BTreeSet<ShortId> = thin.iter().flat_map(|(_, key)| key.parents.iter().copied()).collect();
        if named.is_empty() {
            return found;
        }
        let mut places: BTreeMap<ShortId, Vec<usize>> = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let id = ShortId::of(&entry.key, &entry.version);
            if named.contains(&id) {
                places.entry(id).or_default().push(index);
            }
        }
        for (index, key) in thin {
            let own = &entries[index].scope;
            let certain = readable(own);
            for id in &key.parents {
                let may_be = places.get(id).into_iter().flatten().copied();
                let may_be: Vec<usize> =
                    may_be.filter(|place| *place != index && may_read(own, &entries[*place].scope)).collect();
                let is_read = |place: &usize| {
                    certain.as_ref().is_some_and(|scopes| scopes.contains(&&entries[*place].scope))
                };
                let read: Vec<usize> = may_be.iter().copied().filter(is_read).collect();
                let parents = if read.is_empty() { may_be } else { read };
                found.is_broken[index] |= parents.is_empty();
                for parent in parents {
                    if !found.of[index].contains(&parent) {
                        found.of[index].push(parent);
                        found.dependents[parent].push(index);
                    }
                }
            }
        }
        found
    }

    /// All places, dependents before their parents, and otherwise in their order.
    pub(super) fn dependents_first(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.dependents.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<usize> = (0..waiting.len()).filter(|place| waiting[*place] == 0).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(place) = ready.pop_first() {
            order.push(place);
            for parent in &self.of[place] {
                waiting[*parent] -= 1;
                if waiting[*parent] == 0 {
                    ready.insert(*parent);
                }
            }
        }
        // Keys that were made up may name each other.
        order.extend((0..waiting.len()).filter(|place| waiting[*place] > 0));
        order
    }
}

/// The ids of the entries that each of these takes content from, as far as they are among them.
pub fn parents_among(entries: &[&Entry]) -> BTreeMap<EntryId, Vec<EntryId>> {
    let of = Parents::among(entries).of;
    let named = of.iter().enumerate().filter(|(_, parents)| !parents.is_empty());
    let id = |place: &usize| entries[*place].id.clone();
    named.map(|(place, parents)| (id(&place), parents.iter().map(id).collect())).collect()
}

/// The first parent that each thin entry's key names, its base, where it is among these entries.
pub fn bases_among<'a>(entries: &[&'a Entry]) -> BTreeMap<&'a EntryId, &'a Entry> {
    let of = Parents::among(entries).of;
    let base = |(place, parents): (usize, &Vec<usize>)| {
        let id = *ThinKey::parse(&entries[place].key)?.parents.first()?;
        let is_base = |parent: &&usize| ShortId::of(&entries[**parent].key, &entries[**parent].version) == id;
        let base = parents.iter().find(is_base)?;
        Some((&entries[place].id, entries[*base]))
    };
    of.iter().enumerate().filter_map(base).collect()
}

/// The scopes that jobs of a scope read, where that is certain.
fn readable<'a>(facts: &'a Facts, own: &'a Scope) -> Option<Vec<&'a Scope>> {
    if *own.section() != Section::Own {
        return None;
    }
    match pull_request_of(own) {
        Some(number) => facts.bases.get(&number).map(|base| vec![own, base, &facts.default_branch]),
        None if own.is_pull_request() => None,
        None => Some(vec![own, &facts.default_branch]),
    }
}

/// Whether a job of the scope `own` could read entries of `other`, for all that their names say.
fn may_read(own: &Scope, other: &Scope) -> bool {
    let is_same_request = || pull_request_of(own).is_some_and(|own| pull_request_of(other) == Some(own));
    own.section() == other.section() && (own == other || !other.is_pull_request() || is_same_request())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::retention::tests::{entry, facts, scope, thin};

    fn places(entries: &[Entry], facts: &Facts) -> (Vec<Vec<usize>>, Vec<bool>) {
        let entries: Vec<&Entry> = entries.iter().collect();
        let found = Parents::find(&entries, facts);
        (found.of, found.is_broken)
    }

    #[test]
    fn parents_are_found_in_the_scopes_that_the_job_reads() {
        let mut facts = facts();
        let base = entry("main", "k-1", 3.0, 100);
        let other = entry("topic", "k-1", 3.0, 100);
        let of_pull = thin("refs/pull/7/merge", "k-2", 1.0, 5, &[&base]);
        let entries = [base, other, of_pull];
        assert_eq!(places(&entries, &facts).0[2], [0, 1], "the base branch is not known");
        facts.bases.insert(7, scope("main"));
        assert_eq!(places(&entries, &facts).0[2], [0]);
        facts.bases.insert(7, scope("topic"));
        assert_eq!(places(&entries, &facts).0[2], [0, 1]);
        facts.bases.insert(7, scope("main"));
        let rest = [entries[1].clone(), entries[2].clone()];
        assert_eq!(places(&rest, &facts), (vec![vec![], vec![0]], vec![false, false]), "it may be the one");
    }

    #[test]
    fn an_entry_is_broken_if_any_parent_is_not_there_for_it() {
        let facts = facts();
        let (base, gone) = (entry("main", "k-1", 3.0, 100), entry("main", "k-0", 9.0, 100));
        let foreign = entry("refs/pull/8/merge", "k-3", 3.0, 100);
        let entries = [
            thin("main", "k-4", 1.0, 5, &[&base]),
            thin("main", "k-5", 1.0, 5, &[&base, &gone]),
            thin("main", "k-6", 1.0, 5, &[&foreign]),
            base,
            foreign,
        ];
        assert_eq!(places(&entries, &facts).1, [false, true, true, false, false]);
        let mut elsewhere = entries[3].clone();
        elsewhere.scope = elsewhere.scope.within(Section::Shared);
        let apart = [entries[0].clone(), elsewhere];
        assert_eq!(places(&apart, &facts).1, [true, false], "sections are apart");
    }

    #[test]
    fn dependents_come_before_their_parents_and_the_rest_keeps_its_order() {
        let base = entry("main", "k-1", 3.0, 100);
        let second = thin("main", "k-2", 2.0, 5, &[&base]);
        let third = thin("main", "k-3", 1.0, 5, &[&base, &second]);
        let entries = [entry("main", "a", 1.0, 1), base, second, third, entry("main", "z", 1.0, 1)];
        let entries: Vec<&Entry> = entries.iter().collect();
        assert_eq!(Parents::among(&entries).dependents_first(), [0, 3, 2, 1, 4]);
        assert_eq!(parents_among(&entries)[&entries[3].id], [entries[1].id.clone(), entries[2].id.clone()]);
        assert_eq!(bases_among(&entries)[&entries[3].id].key, entries[1].key);
    }
}
