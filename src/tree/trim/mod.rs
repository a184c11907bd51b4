//! Trimming a directory: what is in it and when it was used, and the removal of what a plan names.

mod survey;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::selection::Selection;
use super::walk::{ItemKind, Walk, place_of};
use crate::domain::trim::{TrimPlan, TrimUnit, TrimUnits};
use crate::domain::unit::ByteSize;
use crate::fs::cancel;
use crate::fs::handle::Handle;
use crate::fs::link;
use crate::fs::path_error::PathError;
use crate::fs::remove;

pub(crate) use survey::{Survey, SurveyOptions, survey};

/// What a trim did.
#[derive(Debug, Default)]
pub(crate) struct Trimmed {
    /// Units removed.
    pub units: u64,
    /// Files removed.
    pub files: u64,
    /// Bytes that this freed.
    pub bytes: ByteSize,
    /// Units that could not be removed, or not as a whole; the others were.
    pub failed: Vec<(TrimUnit, PathError)>,
    /// Whether it was cancelled before all was done.
    pub cancelled: bool,
}

/// Removes what the plan names. What is gone already is fine; a unit that cannot be removed is reported and the rest goes
/// on.
pub(crate) fn apply(
    selections: &[Selection],
    units: TrimUnits,
    plan: TrimPlan,
    cancel: &CancellationToken,
) -> Trimmed {
    let mut trimmed = Trimmed::default();
    let mut remover = Remover { selections, root: None, parent: None };
    let mut inside = match units {
        TrimUnits::Files => BTreeMap::new(),
        TrimUnits::Children => partial_children(selections, &plan),
    };
    for (unit, _) in plan.remove {
        if cancel::is_cancelled(cancel) {
            trimmed.cancelled = true;
            break;
        }
        let done = match units {
            TrimUnits::Files => remover.remove_file(&unit),
            TrimUnits::Children => match inside.remove(&(unit.root, unit.path.clone())) {
                Some(items) => remover.remove_items(unit.root, items),
                None => remove_whole(&place_of(&selections[unit.root].root, &unit.path)),
            },
        };
        match done {
            Ok(()) => {
                trimmed.units += 1;
                trimmed.files += unit.files;
                trimmed.bytes.0 += unit.frees;
            }
            Err(error) => trimmed.failed.push((unit, error)),
        }
    }
    trimmed
}

fn remove_whole(path: &Path) -> Result<(), PathError> {
    remove::remove_tree(path).map(|_| ()).map_err(|error| error.first)
}

/// A file or directory below a root, and whether it is a directory.
type ListedItem = (PathBuf, bool);

/// What belongs to the cache in each planned unit of roots that hold other things as well, parents first.
fn partial_children(
    selections: &[Selection],
    plan: &TrimPlan,
) -> BTreeMap<(usize, PathBuf), Vec<ListedItem>> {
    let mut inside = BTreeMap::new();
    for (unit, _) in &plan.remove {
        if !selections[unit.root].is_everything() {
            inside.insert((unit.root, unit.path.clone()), Vec::new());
        }
    }
    for (root, selection) in selections.iter().enumerate().filter(|(_, selection)| !selection.is_everything())
    {
        // What cannot be read is not removed, and its directory is not empty then.
        for item in Walk::new(selection).map_while(Result::ok) {
            // A root that is a file is a unit by itself, and has no path below itself.
            let first = item.relative.components().next();
            let first = first.map(|name| PathBuf::from(name.as_os_str())).unwrap_or_default();
            if let Some(items) = inside.get_mut(&(root, first)) {
                items.push((item.relative, item.kind == ItemKind::Directory));
            }
        }
    }
    inside
}

/// Removes files by handles of the directories that they lie in, so that no link is followed but the root itself.
struct Remover<'a> {
    selections: &'a [Selection],
    /// The root that was opened last.
    root: Option<(usize, Handle)>,
    /// The directory that was opened last, with its root.
    parent: Option<(usize, PathBuf, Handle)>,
}

impl Remover<'_> {
    /// Removes every name of a file.
    fn remove_file(&mut self, unit: &TrimUnit) -> Result<(), PathError> {
        let first = std::iter::once((unit.root, &unit.path));
        let names = first.chain(unit.also.iter().map(|(root, path)| (*root, path)));
        names.into_iter().try_for_each(|(root, path)| self.remove(root, path, false))
    }

    /// Removes files, then directories that are empty by then.
    fn remove_items(&mut self, root: usize, items: Vec<ListedItem>) -> Result<(), PathError> {
        let mut first = None;
        for (path, is_directory) in items.into_iter().rev() {
            match self.remove(root, &path, is_directory) {
                // Something in it does not belong to the cache, or has to stay.
                Err(error) if is_directory && error.source.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => drop(first.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn remove(&mut self, root: usize, path: &Path, is_directory: bool) -> Result<(), PathError> {
        let place = place_of(&self.selections[root].root, path);
        let removed = match path.file_name() {
            Some(name) => self.open(root, path.parent().unwrap_or(Path::new(""))).and_then(|parent| {
                if is_directory { parent.remove_directory(name) } else { parent.remove_file(name) }
            }),
            None => remove_root(&place),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PathError::on("remove", &place)(error))
            }
            _ => Ok(()),
        }
    }

    /// The directory of a root, as it was opened last or anew.
    fn open(&mut self, root: usize, directory: &Path) -> io::Result<&Handle> {
        let is_open = |(of, path, _): &(usize, PathBuf, Handle)| *of == root && path == directory;
        if !self.parent.as_ref().is_some_and(is_open) {
            let handle = self.open_root(root)?.walk(directory)?;
            self.parent = Some((root, directory.to_owned(), handle));
        }
        let (_, _, handle) = self.parent.as_ref().expect("opened just now");
        Ok(handle)
    }

    fn open_root(&mut self, root: usize) -> io::Result<&Handle> {
        if self.root.as_ref().is_none_or(|(of, _)| *of != root) {
            let path = &self.selections[root].root;
            let handle = Handle::open(&link::resolved(path).unwrap_or_else(|| path.clone()))?;
            self.root = Some((root, handle));
        }
        let (_, handle) = self.root.as_ref().expect("opened just now");
        Ok(handle)
    }
}

/// Removes a root that is a file.
fn remove_root(place: &Path) -> io::Result<()> {
    let (parent, name) = place.parent().zip(place.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
    Handle::open(parent)?.remove_file(name)
}

#[cfg(test)]
mod tests;
