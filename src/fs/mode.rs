//! Permission bits, where the OS has them. Windows has only an attribute for files that are read-only; it is left alone,
//! since such files cannot be removed there.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// The bits that let an owner list, enter and change a directory.
#[cfg(unix)]
const OWNER_ACCESS: u32 = 0o700;

/// Sets the permission bits of what is at a path, a link followed.
#[cfg(unix)]
pub(crate) fn set(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Sets the permission bits of what is at a path, a link followed.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "other systems can fail; the lint passes over public functions")]
pub(crate) fn set(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
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

/// Lets the owner list, enter and change a directory. Returns its mode of before if it had to be changed.
#[cfg(unix)]
pub(crate) fn give_owner_access(directory: &Path, metadata: &Metadata) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OWNER_ACCESS == OWNER_ACCESS {
        return Ok(None);
    }
    set(directory, mode | OWNER_ACCESS)?;
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
        set(place.path(), 0o550).expect("set");
        assert_eq!((give(), mode()), (Some(0o550), 0o750));
        assert_eq!((give(), mode()), (None, 0o750));
    }
}
