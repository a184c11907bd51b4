//! Directories and links made below a destination.
use std::fs;
use std::io;
use std::path::Path;

use crate::archive::format::error::ArchiveError;

/// Makes a directory, with those above it that are missing.
pub(super) fn make_directory(path: &Path) -> Result<(), ArchiveError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(ArchiveError::write("create", path))
        }
        // It was made for an entry below it, or is the destination itself.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            _ => Err(ArchiveError::write("create", path)(error)),
        },
        Err(error) => Err(ArchiveError::write("create", path)(error)),
    }
}

/// Makes a directory that does not exist, with those above it that are missing.
pub(super) fn make_new_directory(path: &Path) -> Result<(), ArchiveError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_directory(path),
        made => made.map_err(ArchiveError::write("create", path)),
    }
}

/// Removes what is in the place of an entry, if it has the kind that may be replaced.
pub(super) fn clear_for(path: &Path, same: impl Fn(fs::FileType) -> bool) -> Result<(), ArchiveError> {
    let metadata = fs::symlink_metadata(path).map_err(ArchiveError::write("replace", path))?;
    if same(metadata.file_type()) {
        return fs::remove_file(path).map_err(ArchiveError::write("replace", path));
    }
    let name = path.as_os_str().as_encoded_bytes();
    Err(ArchiveError::refused(name, "is in the archive twice, as different things"))
}

/// Copies a file with its mode and time, in place of a hard link.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    let metadata = fs::metadata(from).map_err(ArchiveError::write("read", from))?;
    fs::copy(from, to).map_err(ArchiveError::write("copy", to))?;
    filetime::set_file_mtime(to, filetime::FileTime::from_last_modification_time(&metadata))
        .map_err(ArchiveError::write("set the time of", to))
}
