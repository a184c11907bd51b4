//! Directories of a selection, one by one and all at once: listed on several threads before a walk asks for them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::item::{FactKind, Item, PathFacts, WalkError, read_item, unreadable};
use crate::domain::names;
use crate::fs::cancel;
use crate::threads::start;
use crate::tree::selection::{Selection, Verdict};

/// The entries of a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those that the selection does not skip, by name.
    pub(super) found: Vec<FoundItem>,
    /// Temporary directories of this program, below the root.
    pub(super) temporary: Vec<PathBuf>,
}

#[derive(Debug)]
pub(super) struct FoundItem {
    pub(super) name: OsString,
    pub(super) verdict: Verdict,
    pub(super) facts: PathFacts,
}

/// The root of a selection: a directory, or a file that is taken whole.
pub(super) fn root_of(selection: &Selection) -> Result<Item, WalkError> {
    let root = &selection.root;
    let metadata = fs::metadata(root).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => WalkError::Missing(root.clone()),
        _ => unreadable("read", root)(source),
    })?;
    if !metadata.is_dir() {
        if !metadata.is_file() {
            return Err(WalkError::Special(root.clone()));
        }
        if selection.verdict(Path::new(""), true) == Verdict::Descend {
            return Err(WalkError::NotADirectory(root.clone()));
        }
    }
    read_item(selection, PathBuf::new(), &PathFacts::of(&metadata))
}

impl Listing {
    pub(super) fn of(selection: &Selection, relative: &Path) -> Result<Self, WalkError> {
        let directory = selection.root.join(relative);
        let mut listing = Listing::default();
        for entry in fs::read_dir(&directory).map_err(unreadable("list", &directory))? {
            let entry = entry.map_err(unreadable("list", &directory))?;
            let name = entry.file_name();
            if names::is_temporary(name.as_encoded_bytes()) {
                listing.temporary.push(relative.join(name));
                continue;
            }
            let is_dir = entry.file_type().map_err(unreadable("read", &entry.path()))?.is_dir();
            let verdict = selection.verdict(&relative.join(&name), is_dir);
            if verdict == Verdict::Skip {
                continue;
            }
            let facts = match entry.metadata() {
                Ok(metadata) => PathFacts::of(&metadata),
                // Removed since it was listed: as if it had never been there.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(unreadable("read", &entry.path())(source)),
            };
            listing.found.push(FoundItem { name, verdict, facts });
        }
        listing.found.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
        Ok(listing)
    }
}

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
    /// read, which a walk meets in its place, and where it was cancelled.
    pub(crate) fn of(selection: &Selection, workers: usize, cancel: &CancellationToken) -> Option<Self> {
        ListedAhead::of_at_most(selection, workers, cancel, MOST)
    }

    pub(super) fn of_at_most(
        selection: &Selection,
        workers: usize,
        cancel: &CancellationToken,
        most: usize,
    ) -> Option<Self> {
        root_of(selection).ok()?;
        let kept = AtomicUsize::new(0);
        let list = |relative: &PathBuf| {
            let before = kept.load(Ordering::Relaxed);
            let goes_on = before <= most && !cancel::is_cancelled(cancel);
            let listing = goes_on.then(|| Listing::of(selection, relative).ok()).flatten()?;
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
