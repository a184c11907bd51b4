//! The directories of a selection, listed on several threads before a walk asks for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{FactKind, FoundItem, Listing, root_of};
use crate::threads::start;
use crate::tree::selection::Selection;

/// Upper bound for the entries that are kept, of some 150 bytes each. Larger trees are listed by the walk.
const MOST: usize = 128 << 10;

/// The listings of all directories of a selection, which several walks may use. Each of them sees the tree as it was listed.
#[derive(Debug)]
pub(crate) struct ListedAhead {
    /// By depth; within one, in the order of a walk.
    levels: Vec<Vec<Arc<Listing>>>,
}

impl ListedAhead {
    /// Lists a selection on up to `workers` threads; `None` where there is too much to keep, or nothing, or something that cannot be
    /// read, which a walk meets in its place.
    pub(crate) fn of(selection: &Selection, workers: usize) -> Option<Self> {
        ListedAhead::of_at_most(selection, workers, MOST)
    }

    pub(super) fn of_at_most(selection: &Selection, workers: usize, most: usize) -> Option<Self> {
        root_of(selection).ok()?;
        let kept = AtomicUsize::new(0);
        let list = |relative: &PathBuf| {
            let before = kept.load(Ordering::Relaxed);
            let listing = (before <= most).then(|| Listing::of(selection, relative).ok()).flatten()?;
            let kept = kept.fetch_add(listing.found.len(), Ordering::Relaxed) + listing.found.len();
            (kept <= most).then(|| Arc::new(listing))
        };
        let mut levels = Vec::new();
        let mut directories = vec![PathBuf::new()];
        while !directories.is_empty() {
            let listings = start::map(&directories, "walk", workers, list);
            let listings = listings.into_iter().collect::<Option<Vec<_>>>()?;
            let below = directories.iter().zip(&listings).flat_map(|(directory, listing)| {
                let is_directory = |found: &&FoundItem| found.facts.kind == FactKind::Directory;
                listing.found.iter().filter(is_directory).map(|found| directory.join(&found.name))
            });
            directories = below.collect();
            levels.push(listings);
        }
        Some(ListedAhead { levels })
    }
}

/// What a walk has taken of it.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    listed: &'a ListedAhead,
    /// How many listings of each depth.
    taken: Vec<usize>,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(listed: &'a ListedAhead) -> Self {
        Ahead { listed, taken: vec![0; listed.levels.len()] }
    }

    /// The next directory of this depth. Walks enter all directories of a depth in one order.
    pub(super) fn next(&mut self, depth: usize) -> Arc<Listing> {
        let taken = &mut self.taken[depth];
        *taken += 1;
        Arc::clone(&self.listed.levels[depth][*taken - 1])
    }
}
