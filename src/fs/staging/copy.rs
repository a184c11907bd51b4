//! Copies of staged trees, for where no rename reaches.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::error::StagingError;
use crate::fs::handle::Handle;
use crate::fs::path_error::PathError;
use crate::fs::{link, mode};

/// Where a staged tree has a directory, `relative` to the tree, that goes to a volume mounted at `mount`. No link on the way counts.
///
/// # Errors
/// It has something else there: a mount point cannot be replaced.
pub(super) fn staged_directory(
    tree: &Path,
    relative: &Path,
    mount: &Path,
) -> Result<Option<PathBuf>, StagingError> {
    let Some((parent, name)) = relative.parent().zip(relative.file_name()) else { return Ok(None) };
    let Ok(parent) = Handle::open(tree).and_then(|root| root.walk(parent)) else { return Ok(None) };
    let path = tree.join(relative);
    match parent.look(name).map_err(PathError::on("read", &path))? {
        None => Ok(None),
        Some(found) if found.is_dir => Ok(Some(path)),
        Some(found) => Err(StagingError::Conflict {
            path: mount.to_owned(),
            present: "a mount point",
            staged: if found.is_link { "a link" } else { "a file" },
        }),
    }
}

/// Copies a tree that no other process uses to a new place: files and links with modes and times.
pub(super) fn tree(from: &Path, to: &Path) -> Result<(), StagingError> {
    let mut directories = vec![(from.to_owned(), to.to_owned())];
    let mut made: Vec<(PathBuf, fs::Metadata)> = Vec::new();
    while let Some((from, to)) = directories.pop() {
        let before = fs::symlink_metadata(&from).map_err(PathError::on("read", &from))?;
        mode::give_owner_access(&from, &before).map_err(PathError::on("change", &from))?;
        fs::create_dir(&to).map_err(PathError::on("make", &to))?;
        for (name, kind) in entries(&from)? {
            let (from, to) = (from.join(&name), to.join(&name));
            if kind.is_dir() {
                directories.push((from, to));
            } else if kind.is_symlink() {
                link::copy(&from, &to).map_err(PathError::on("copy", &from))?;
            } else {
                copy_file(&from, &to).map_err(PathError::on("copy", &from))?;
            }
        }
        made.push((to, before));
    }
    // Innermost first: a directory that may not be written is filled by now, and keeps its time.
    for (path, before) in made.iter().rev() {
        let set = || {
            filetime::set_file_mtime(path, FileTime::from_last_modification_time(before))?;
            fs::set_permissions(path, before.permissions())
        };
        set().map_err(PathError::on("change", path))?;
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<(OsString, fs::FileType)>, PathError> {
    let read = || {
        fs::read_dir(directory)?
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
            .collect::<std::io::Result<Vec<_>>>()
    };
    read().map_err(PathError::on("read", directory))
}

/// Copies a file with its time; the mode comes with the content.
pub(super) fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    let before = fs::symlink_metadata(from)?;
    filetime::set_file_mtime(to, FileTime::from_last_modification_time(&before))
}
