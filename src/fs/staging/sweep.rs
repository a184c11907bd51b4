//! Sweeping: what others put into an old tree at the last moment is moved into the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::fs::path_error::PathError;

/// Moves all that `old` has and `new` has not. What is different in both stays as it is in `new`.
///
/// `new` is in use: nothing in it is replaced. If it was removed, there is nothing to do.
pub(super) fn sweep(old: &Path, new: &Path) -> Result<(), PathError> {
    let mut pairs: Vec<(PathBuf, PathBuf)> = vec![(old.to_owned(), new.to_owned())];
    while let Some((old, new)) = pairs.pop() {
        if !(is_directory(&old)? && is_directory(&new)?) {
            continue;
        }
        for entry in fs::read_dir(&old).map_err(PathError::on("read", &old))? {
            let entry = entry.map_err(PathError::on("read", &old))?;
            let (old, new) = (entry.path(), new.join(entry.file_name()));
            let kind = entry.file_type().map_err(PathError::on("read", &old))?;
            match fs::symlink_metadata(&new) {
                Ok(found) if found.is_dir() && kind.is_dir() => pairs.push((old, new)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    move_over(&old, &new, kind.is_file()).map_err(PathError::on("keep", &new))?;
                }
                Err(error) => return Err(PathError::on("read", &new)(error)),
            }
        }
    }
    Ok(())
}

fn is_directory(path: &Path) -> Result<bool, PathError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::on("read", path)(error)),
    }
}

fn move_over(old: &Path, new: &Path, is_file: bool) -> io::Result<()> {
    // A hard link never replaces a file that another process just made; a rename is for what knows no links.
    let moved = match is_file.then(|| fs::hard_link(old, new)) {
        Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Some(Ok(())) => return Ok(()),
        _ => fs::rename(old, new),
    };
    match moved {
        // The source or the destination was removed meanwhile, on purpose: there is nothing to move.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
