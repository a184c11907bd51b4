//! Permission bits, where the OS has them. Windows has only an attribute for files that are read-only; it is left alone,
//! since such files cannot be removed there.

use std::fs::{File, Metadata};
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::path::Path;

#[cfg(unix)]
use rustix::fs::{self as sys, AtFlags, Mode, OFlags, RawMode};
#[cfg(unix)]
use rustix::io::Errno;
#[cfg(unix)]
use rustix::path::Arg;

/// The permission bits that archives keep. The others (set-user-ID, set-group-ID and the sticky bit) would let the author of
/// an archive act as the user who unpacks it.
pub(crate) const PERMISSIONS: u32 = 0o777;

/// The bits that let an owner list, enter and change a directory.
#[cfg(unix)]
const OWNER_ACCESS: u32 = 0o700;

/// Sets the permission bits of a directory, through a handle of it: never through a link.
#[cfg(unix)]
#[cfg_attr(
    target_vendor = "apple",
    expect(
        clippy::cast_possible_truncation,
        reason = "permission bits fit into the 16 bits of a mode there"
    )
)]
pub(crate) fn set_of_directory(path: &Path, mode: u32) -> io::Result<()> {
    Ok(set_in(rustix::fs::CWD, path, Mode::from_raw_mode(mode as RawMode))?)
}

/// Sets the permission bits of a directory, through a handle of it: never through a link.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "other systems can fail; the lint passes over public functions")]
pub(crate) fn set_of_directory(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

/// The same for a directory by its name in another one.
#[cfg(unix)]
pub(super) fn set_in<P: Arg + Copy>(parent: BorrowedFd<'_>, name: P, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match sys::openat(parent, name, flags, Mode::empty()) {
        Ok(directory) => sys::fchmod(directory, mode),
        Err(Errno::ACCESS) => set_of_unreadable(parent, name, mode),
        Err(errno) => Err(errno),
    }
}

/// A directory that its owner may not read cannot be opened for `fchmod`; one that is opened as a mere path has a name under
/// `/proc` that leads to it and nowhere else.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_of_unreadable<P: Arg>(parent: BorrowedFd<'_>, name: P, mode: Mode) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = sys::openat(parent, name, flags, Mode::empty())?;
    sys::chmodat(sys::CWD, format!("/proc/self/fd/{}", directory.as_raw_fd()), mode, AtFlags::empty())
}

/// A directory that its owner may not read cannot be opened for `fchmod`; here the system has a call that follows no link.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn set_of_unreadable<P: Arg>(parent: BorrowedFd<'_>, name: P, mode: Mode) -> rustix::io::Result<()> {
    sys::chmodat(parent, name, mode, AtFlags::SYMLINK_NOFOLLOW)
}

/// Sets the permission bits of an open file.
#[cfg(unix)]
pub(crate) fn set_of_file(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Sets the permission bits of an open file.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "other systems can fail; the lint passes over public functions")]
pub(crate) fn set_of_file(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

/// The permission bits of what was found.
#[cfg(unix)]
pub(crate) fn of(found: &Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o7777
}

/// The permission bits of what was found: other systems have none.
#[cfg(not(unix))]
pub(crate) fn of(_: &Metadata) -> u32 {
    0
}

/// The mode without the bits that archives do not keep, if there are such bits.
#[cfg(unix)]
pub(crate) fn without_special_bits(found: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = found.permissions().mode() & 0o7777;
    (mode & !PERMISSIONS != 0).then_some(mode & PERMISSIONS)
}

/// The mode without the bits that archives do not keep, if there are such bits.
#[cfg(not(unix))]
pub(crate) fn without_special_bits(_: &Metadata) -> Option<u32> {
    None
}

/// Lets the owner list, enter and change a directory. Returns its mode of before if it had to be changed.
#[cfg(unix)]
pub(crate) fn give_owner_access(directory: &Path, metadata: &Metadata) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OWNER_ACCESS == OWNER_ACCESS {
        return Ok(None);
    }
    set_of_directory(directory, mode | OWNER_ACCESS)?;
    Ok(Some(mode))
}

/// Lets the owner list, enter and change a directory. Returns its mode of before if it had to be changed.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "other systems can fail; the lint passes over public functions")]
pub(crate) fn give_owner_access(_: &Path, _: &Metadata) -> io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn access_is_given_once_and_the_mode_of_before_is_returned() {
        let place = tempfile::tempdir().expect("a place");
        let mode = || place.path().metadata().expect("there").permissions().mode() & 0o7777;
        let give =
            || give_owner_access(place.path(), &place.path().metadata().expect("there")).expect("given");
        set_of_directory(place.path(), 0o550).expect("set");
        assert_eq!((give(), mode()), (Some(0o550), 0o750));
        assert_eq!((give(), mode()), (None, 0o750));
    }

    #[test]
    fn a_mode_is_set_of_directories_alone_and_never_through_a_link() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        let mode = |name: &str| at(name).metadata().expect("there").permissions().mode() & 0o7777;
        std::fs::create_dir(at("directory")).expect("made");
        std::fs::write(at("file"), "").expect("written");
        std::os::unix::fs::symlink("directory", at("link")).expect("linked");
        set_of_directory(&at("directory"), 0o300).expect("set");
        // Its owner cannot read it now.
        set_of_directory(&at("directory"), 0o711).expect("set");
        let before = mode("file");
        assert!(set_of_directory(&at("link"), 0o777).is_err());
        assert!(set_of_directory(&at("file"), 0o777).is_err());
        assert_eq!((mode("directory"), mode("file")), (0o711, before));
    }
}
