//! A walk over what a selection takes: sorted, parents first, in memory bounded by depth × directory size.
//!
//! Names are ordered by their raw bytes within a directory, so that every walk of one tree, on any machine,
//! yields the same order. Symbolic links are yielded, never followed, but for the root itself: a cache
//! directory may be a link to another volume. A root may be a file, which is then the only item.

use std::path::{Path, PathBuf};
use std::sync::Arc;

mod item;
mod listing;

pub(crate) use item::{FileIdentity, Revision, is_hard_linked, mode_of};
pub use item::{Item, ItemKind};
pub(crate) use item::{Modified, WalkError};
pub(crate) use listing::ListedAhead;

use super::selection::{Selection, Verdict};
use crate::fs::link;
use item::{FactKind, read_item};
use listing::{Ahead, FoundItem, Listing, root_of};

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
    /// A walk over what this selection takes; the root comes first.
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

#[cfg(all(test, unix))]
mod tests;
