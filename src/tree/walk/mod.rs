//! A walk over what a selection takes: sorted, parents first, in memory bounded by depth × directory size.
//!
//! Names are ordered by their raw bytes within a directory, so that every walk of one tree, on any machine,
//! yields the same order. Symbolic links are yielded, never followed, but for the root itself: a cache
//! directory may be a link to another volume. A root may be a file, which is then the only item.
//!
//! Several walks may share one listing of all directories ([`ListedAhead`]), which several threads make beforehand.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

mod item;

pub(crate) use item::{FileIdentity, Revision, is_hard_linked, mode_of};
pub use item::{Item, ItemKind};
pub(crate) use item::{Modified, WalkError};

use super::selection::{Selection, Verdict};
use crate::domain::names;
use crate::fs::cancel;
use crate::fs::link;
use crate::threads::start;
use item::{FactKind, PathFacts, read_item, unreadable};

/// Upper bound for the entries of [`ListedAhead`], of some 150 bytes each. Larger trees are listed by the walk.
const MOST_LISTED: usize = 128 << 10;

/// The walk: an iterator over items that ends after the first error.
#[derive(Debug)]
pub struct Walk<'a> {
    selection: &'a Selection,
    /// Directories that were listed before.
    ahead: Option<Ahead<'a>>,
    /// Directories being walked, outermost first; in each, the number of the next entry.
    open: Vec<(Arc<Listing>, usize)>,
    /// The path of the innermost open directory, below the root.
    directory: PathBuf,
    /// Directories that matter only if something below them is taken, outermost first.
    waiting: Vec<Item>,
    /// Items ready to be yielded, last first.
    ready: Vec<Item>,
    /// Temporary directories of this program that were passed over, below the root.
    temporary: Vec<PathBuf>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Root,
    Inside,
    Done,
}

/// Where an item lies. A root that is a link is named by what it leads to.
pub(crate) fn place_of(root: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() {
        link::resolved(root).unwrap_or_else(|| root.to_owned())
    } else {
        root.join(relative)
    }
}

impl<'a> Walk<'a> {
    /// A walk over what this selection takes: the root first, parents before what is in them, names sorted, links not followed.
    pub fn new(selection: &'a Selection) -> Self {
        Walk {
            selection,
            ahead: None,
            open: Vec::new(),
            directory: PathBuf::new(),
            waiting: Vec::new(),
            ready: Vec::new(),
            temporary: Vec::new(),
            state: State::Root,
        }
    }

    /// The same walk over directories that were listed before, if they were.
    pub(crate) fn over(selection: &'a Selection, listed: Option<&'a ListedAhead>) -> Self {
        Walk { ahead: listed.map(Ahead::new), ..Walk::new(selection) }
    }

    /// The same walk, with no items where the root does not exist, as in an archive of it.
    pub(crate) fn if_there(self) -> impl Iterator<Item = Result<Item, WalkError>> {
        self.take_while(|item| !matches!(item, Err(WalkError::Missing(_))))
    }

    /// Temporary directories of this program that the walk has passed over so far, relative to the root.
    pub(crate) fn temporary(&self) -> &[PathBuf] {
        &self.temporary
    }

    fn root(&mut self) -> Result<Item, WalkError> {
        let root = root_of(self.selection)?;
        self.state = State::Inside;
        if root.kind == ItemKind::Directory {
            self.enter(PathBuf::new())?;
        }
        Ok(root)
    }

    /// Goes into a directory, whose path is given below the root.
    fn enter(&mut self, relative: PathBuf) -> Result<(), WalkError> {
        let listing = match &mut self.ahead {
            Some(ahead) => ahead.next(self.open.len()),
            None => Arc::new(Listing::of(self.selection, &relative)?),
        };
        self.temporary.extend_from_slice(&listing.temporary);
        self.open.push((listing, 0));
        self.directory = relative;
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Item>, WalkError> {
        if self.state == State::Root {
            return self.root().map(Some);
        }
        loop {
            if let Some(item) = self.ready.pop() {
                return Ok(Some(item));
            }
            let Some((listing, next)) = self.open.last_mut() else { return Ok(None) };
            let Some(FoundItem { name, verdict, facts }) = listing.found.get(*next) else {
                self.open.pop();
                if self.waiting.last().is_some_and(|item| item.relative == self.directory) {
                    self.waiting.pop();
                }
                self.directory.pop();
                continue;
            };
            *next += 1;
            let (verdict, is_directory) = (*verdict, facts.kind == FactKind::Directory);
            let item = read_item(self.selection, self.directory.join(name), facts)?;
            if is_directory {
                self.enter(item.relative.clone())?;
            }
            if verdict == Verdict::Descend {
                self.waiting.push(item);
            } else {
                self.ready.push(item);
                self.ready.extend(self.waiting.drain(..).rev());
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Item, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.state = State::Done;
        }
        step
    }
}

/// Whether a selection takes neither a file nor a link: nothing that a build could use.
pub(crate) fn is_empty(selection: &Selection) -> Result<bool, WalkError> {
    for item in Walk::new(selection) {
        if matches!(item?.kind, ItemKind::File | ItemKind::Symlink { .. }) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entries of a directory.
#[derive(Debug, Default)]
struct Listing {
    /// Those that the selection does not skip, by name.
    found: Vec<FoundItem>,
    /// Temporary directories of this program, below the root.
    temporary: Vec<PathBuf>,
}

#[derive(Debug)]
struct FoundItem {
    name: OsString,
    verdict: Verdict,
    facts: PathFacts,
}

/// The root of a selection: a directory, or a file that is taken whole.
fn root_of(selection: &Selection) -> Result<Item, WalkError> {
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
    fn of(selection: &Selection, relative: &Path) -> Result<Self, WalkError> {
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
        ListedAhead::of_at_most(selection, workers, cancel, MOST_LISTED)
    }

    fn of_at_most(
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
struct Ahead<'a> {
    listed: &'a ListedAhead,
    /// How many listings of each depth.
    taken: Vec<usize>,
}

impl<'a> Ahead<'a> {
    fn new(listed: &'a ListedAhead) -> Self {
        Ahead { listed, taken: vec![0; listed.levels.len()] }
    }

    /// The next directory of this depth. Walks enter all directories of a depth in one order.
    fn next(&mut self, depth: usize) -> Arc<Listing> {
        let taken = &mut self.taken[depth];
        *taken += 1;
        Arc::clone(&self.listed.levels[depth][*taken - 1])
    }
}

#[cfg(all(test, unix))]
mod tests;
