//! Handles as Unix has them: descriptors of directories, which no call here follows a link to.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    self as sys, Access, AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RawMode, Stat, Timespec, Timestamps,
    Uid,
};
use rustix::io::Errno;

use super::found::Found;
use crate::fs::mode;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Handle {
    /// Opens a directory; a link in its place is an error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        open_in(CWD, path)
    }

    /// Opens a directory in this one; a link in its place is an error.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<Self> {
        open_in(self.0.as_fd(), name)
    }

    /// Another handle of the same directory.
    pub(super) fn again(&self) -> io::Result<Self> {
        self.0.try_clone().map(Handle)
    }

    /// The names in it, but for those of itself and its parent.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        // A directory of its own, since two readers of one description share their place in it.
        for entry in Dir::new(sys::openat(&self.0, ".", FLAGS, Mode::empty())?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// What lies under a name, where there is something.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match sys::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(found(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What the directory itself is.
    pub(crate) fn itself(&self) -> io::Result<Found> {
        Ok(found(&sys::fstat(&self.0)?))
    }

    /// Whether this user can add and remove names in it. `true` where the system does not tell.
    pub(crate) fn is_writable(&self) -> bool {
        let denied = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
        sys::accessat(&self.0, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .err()
            .is_none_or(|errno| !denied.contains(&errno))
    }

    /// Renames; what has the new name is replaced.
    pub(crate) fn rename(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        Ok(sys::renameat(&self.0, name, &to.0, new_name)?)
    }

    /// Renames to a name that is free, and replaces nothing where the system can promise that.
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    pub(crate) fn rename_new(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        match sys::renameat_with(&self.0, name, &to.0, new_name, sys::RenameFlags::NOREPLACE) {
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => self.rename(name, to, new_name),
            renamed => Ok(renamed?),
        }
    }

    /// Renames to a name that is free, and replaces nothing where the system can promise that.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    pub(crate) fn rename_new(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        self.rename(name, to, new_name)
    }

    /// Gives a file one more name.
    pub(crate) fn link(&self, name: &OsStr, to: &Handle, new_name: &OsStr) -> io::Result<()> {
        Ok(sys::linkat(&self.0, name, &to.0, new_name, AtFlags::empty())?)
    }

    /// Makes a directory that only this user can enter.
    pub(crate) fn make_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(sys::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// Removes what is not a directory.
    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(sys::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes a directory that is empty.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(sys::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Sets the permission bits of a directory in this one.
    #[cfg_attr(
        target_vendor = "apple",
        expect(
            clippy::cast_possible_truncation,
            reason = "permission bits fit into the 16 bits of a mode there"
        )
    )]
    pub(crate) fn set_mode(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        Ok(mode::set_in(self.0.as_fd(), name, Mode::from_raw_mode(mode as RawMode))?)
    }

    /// Sets when something in this directory was last changed.
    pub(crate) fn set_modified(&self, name: &OsStr, (seconds, nanoseconds): (i64, u32)) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: sys::UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
        };
        Ok(sys::utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives something in this directory an owner and a group.
    pub(crate) fn set_owner(&self, name: &OsStr, (user, group): (u32, u32)) -> io::Result<()> {
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        Ok(sys::chownat(&self.0, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_in<P: rustix::path::Arg + Copy>(parent: std::os::fd::BorrowedFd<'_>, name: P) -> io::Result<Handle> {
    match sys::openat(parent, name, FLAGS, Mode::empty()) {
        // It can be used without being read.
        Err(Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(Handle(sys::openat(parent, name, flags, Mode::empty())?))
        }
        opened => Ok(Handle(opened?)),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_in<P: rustix::path::Arg + Copy>(parent: std::os::fd::BorrowedFd<'_>, name: P) -> io::Result<Handle> {
    Ok(Handle(sys::openat(parent, name, FLAGS, Mode::empty())?))
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    clippy::cast_sign_loss,
    clippy::cast_lossless,
    trivial_numeric_casts,
    reason = "these fields have other types on other systems"
)]
fn found(stat: &Stat) -> Found {
    let kind = FileType::from_raw_mode(stat.st_mode);
    Found {
        is_dir: kind == FileType::Directory,
        is_file: kind == FileType::RegularFile,
        is_link: kind == FileType::Symlink,
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        size: stat.st_size as u64,
        mode: Some(u32::from(stat.st_mode) & 0o7777),
        owner: Some((stat.st_uid, stat.st_gid)),
        modified: (stat.st_mtime as i64, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    }
}
