//! Symbolic links: made by one rule on each OS, and followed.
//!
//! Unix has one kind of link. Windows has links to files and links to directories and asks for the kind when a link is
//! made: a copy is of the kind of its original, a new link of the kind of what its target is at that moment, and a
//! target that does not exist counts as a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The path without links in what exists of it; `None` if no part of it can be resolved.
pub(crate) fn resolved(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|existing| {
        let real = fs::canonicalize(existing).ok()?;
        let rest = path.strip_prefix(existing).ok()?;
        // Joining an empty path would add a separator, and no file has one behind its name.
        Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
    })
}

/// Makes a symbolic link at `path`; a relative target counts from the directory of `path`.
#[cfg(unix)]
pub(crate) fn make(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Makes a symbolic link at `path`; a relative target counts from the directory of `path`, and may be written with `/`.
#[cfg(windows)]
pub(crate) fn make(target: &Path, path: &Path) -> io::Result<()> {
    // Links made with `/` do not resolve.
    let target = std::path::PathBuf::from(target.to_string_lossy().replace('/', "\\"));
    let resolved = path.parent().unwrap_or(path).join(&target);
    make_of_kind(&target, path, resolved.is_dir())
}

/// Makes a link at `path` that has the target of the link `original`, and its kind.
#[cfg(unix)]
pub(crate) fn copy(original: &Path, path: &Path) -> io::Result<()> {
    make(&fs::read_link(original)?, path)
}

/// Makes a link at `path` that has the target of the link `original`, and its kind.
#[cfg(windows)]
pub(crate) fn copy(original: &Path, path: &Path) -> io::Result<()> {
    use std::os::windows::fs::FileTypeExt as _;
    let is_directory = fs::symlink_metadata(original)?.file_type().is_symlink_dir();
    make_of_kind(&fs::read_link(original)?, path, is_directory)
}

/// Removes a file or a link, whatever it leads to.
#[cfg(unix)]
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Removes a file or a link, whatever it leads to. Links to directories, and junctions, go as directories do.
#[cfg(windows)]
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    use std::os::windows::fs::FileTypeExt as _;
    let is_directory = fs::symlink_metadata(path)?.file_type().is_symlink_dir();
    if is_directory { fs::remove_dir(path) } else { fs::remove_file(path) }
}

#[cfg(windows)]
fn make_of_kind(target: &Path, path: &Path, is_directory: bool) -> io::Result<()> {
    if is_directory {
        std::os::windows::fs::symlink_dir(target, path)
    } else {
        std::os::windows::fs::symlink_file(target, path)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_target_as_it_was_written() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        make(Path::new("../missing/./x"), &at("original")).expect("made");
        copy(&at("original"), &at("copy")).expect("copied");
        assert_eq!(fs::read_link(at("copy")).expect("a link"), Path::new("../missing/./x"));
        let taken = copy(&at("original"), &at("copy")).expect_err("the name is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    }
}

/// Whether what lies at a path is a link; `None` if nothing does.
pub(crate) fn is_link(path: &Path) -> std::io::Result<Option<bool>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found.is_symlink())),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
