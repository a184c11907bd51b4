//! The items of a selection in no order, directory by directory, on several threads: for sums over a tree.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{FactKind, Item, ItemKind, Listing, Verdict, WalkError, item, root_of};
use crate::threads::start;
use crate::tree::selection::Selection;

/// A directory that will be listed.
struct Directory {
    relative: PathBuf,
    waiting: Option<Arc<Waiting>>,
}

/// A directory that matters only if something below it is taken.
struct Waiting {
    item: Item,
    is_taken: AtomicBool,
    above: Option<Arc<Waiting>>,
}

impl Waiting {
    /// Takes it and those above it, if that was not done before.
    fn take(waiting: Option<&Arc<Waiting>>, items: &mut Vec<Item>) {
        let mut next = waiting;
        while let Some(waiting) = next.filter(|waiting| !waiting.is_taken.swap(true, Ordering::Relaxed)) {
            items.push(waiting.item.clone());
            next = waiting.above.as_ref();
        }
    }
}

/// Gives `visit` the items that [`super::Walk`] yields, those of a directory at once; on up to `workers` threads, one level of
/// directories after the other. Memory is bounded by the directories of a level. A root that does not exist has no items.
pub(crate) fn each_directory(
    selection: &Selection,
    workers: usize,
    visit: impl Fn(&[Item]) + Sync,
) -> Result<(), WalkError> {
    let root = match root_of(selection) {
        Err(WalkError::Missing(_)) => return Ok(()),
        root => root?,
    };
    let is_directory = root.kind == ItemKind::Directory;
    visit(&[root]);
    let mut level = Vec::new();
    if is_directory {
        level.push(Directory { relative: PathBuf::new(), waiting: None });
    }
    while !level.is_empty() {
        let lists = start::map(&level, "walk", workers, |directory| list(selection, directory, &visit));
        level = Vec::new();
        for below in lists {
            level.append(&mut below?);
        }
    }
    Ok(())
}

/// Visits what lies in a directory. Returns the directories in it.
fn list(
    selection: &Selection,
    Directory { relative, waiting }: &Directory,
    visit: &impl Fn(&[Item]),
) -> Result<Vec<Directory>, WalkError> {
    let (mut items, mut below) = (Vec::new(), Vec::new());
    for found in Listing::of(selection, relative)?.found {
        let path: &Path = found.name.as_ref();
        let item = item(selection, relative.join(path), &found.facts)?;
        let is_directory = found.facts.kind == FactKind::Directory;
        if found.verdict == Verdict::Descend {
            let (is_taken, above) = (AtomicBool::new(false), waiting.clone());
            let relative = item.relative.clone();
            let waiting = Some(Arc::new(Waiting { item, is_taken, above }));
            below.extend(is_directory.then_some(Directory { relative, waiting }));
            continue;
        }
        Waiting::take(waiting.as_ref(), &mut items);
        below.extend(is_directory.then(|| Directory { relative: item.relative.clone(), waiting: None }));
        items.push(item);
    }
    visit(&items);
    Ok(below)
}
