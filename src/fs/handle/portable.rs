//! Handles where the OS has no calls for names in open directories: paths, each of which is checked when it is opened.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use filetime::FileTime;

use super::found::Found;
use crate::fs::{busy, link};

/// A directory that was none but a directory when it was opened.
#[derive(Debug)]
pub(crate) struct Handle(PathBuf);

impl Handle {
    /// Opens a directory; a link in its place is an error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path)?.is_dir() {
            Ok(Handle(path.to_owned()))
        } else {
            Err(io::Error::from(io::ErrorKind::NotADirectory))
        }
    }

    /// Opens a directory in this one; a link in its place is an error.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<Self> {
        Handle::open(&self.0.join(name))
    }

    /// Another handle of the same directory.
    #[expect(clippy::unnecessary_wraps, reason = "Unix can fail")]
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Handle(self.0.clone()))
    }

    /// The names in it.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    /// What lies under a name, where there is something.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match fs::symlink_metadata(self.0.join(name)) {
            Ok(metadata) => Ok(Some(found(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the directory itself is.
    pub(crate) fn itself(&self) -> io::Result<Found> {
        fs::symlink_metadata(&self.0).map(|metadata| found(&metadata))
    }

    /// Whether this user can add and remove names in it. `true` where the system does not tell.
    #[expect(clippy::unused_self, reason = "Unix asks")]
    pub(crate) fn is_writable(&self) -> bool {
        true
    }

    /// Renames; what has the new name is replaced.
    pub(crate) fn rename(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        busy::rename(&self.0.join(name), &to.0.join(new_name))
    }

    /// Renames to a name that is free.
    pub(crate) fn rename_new(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        if to.look(new_name)?.is_some() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        self.rename(name, to, new_name)
    }

    /// Gives a file one more name.
    pub(crate) fn link(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        fs::hard_link(self.0.join(name), to.0.join(new_name))
    }

    /// Makes a directory.
    pub(crate) fn make_directory(&self, name: &OsStr) -> io::Result<()> {
        fs::create_dir(self.0.join(name))
    }

    /// Removes what is not a directory.
    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        let path = self.0.join(name);
        busy::patiently(|| link::remove(&path))
    }

    /// Removes a directory that is empty.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    /// Permission bits are not kept here.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "Unix has modes")]
    pub(crate) fn set_mode(&self, _: &OsStr, _: u32) -> io::Result<()> {
        Ok(())
    }

    /// Sets when something in this directory was last changed.
    pub(crate) fn set_modified(&self, name: &OsStr, (seconds, nanoseconds): (i64, u32)) -> io::Result<()> {
        filetime::set_file_mtime(self.0.join(name), FileTime::from_unix_time(seconds, nanoseconds))
    }

    /// Owners are not kept here.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "Unix has owners")]
    pub(crate) fn set_owner(&self, _: &OsStr, _: (u32, u32)) -> io::Result<()> {
        Ok(())
    }
}

fn found(metadata: &Metadata) -> Found {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified
        .map_or((0, 0), |after| (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()));
    Found {
        is_dir: metadata.is_dir(),
        is_file: metadata.is_file(),
        is_link: metadata.is_symlink(),
        device: 0,
        inode: 0,
        size: metadata.len(),
        mode: None,
        owner: None,
        modified,
    }
}
