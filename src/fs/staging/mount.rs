//! Where one volume ends and another begins.

use std::path::Path;

/// Whether a directory is where a volume begins, and so cannot be renamed. `false` for a path that does not exist.
///
/// Device numbers tell most, but not a directory that is shown at a second place (a bind mount, as
/// containers use); Linux tells that as well.
#[cfg(unix)]
pub(super) fn is_volume_root(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(own) = path.symlink_metadata() else { return false };
    let Some(parent) = path.parent() else { return true };
    own.is_dir() && (parent.metadata().is_ok_and(|parent| parent.dev() != own.dev()) || is_mount_root(path))
}

#[cfg(target_os = "linux")]
fn is_mount_root(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    statx(CWD, path, flags, StatxFlags::empty()).is_ok_and(|found| {
        (found.stx_attributes & found.stx_attributes_mask).contains(StatxAttributes::MOUNT_ROOT)
    })
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_mount_root(_: &Path) -> bool {
    false
}

/// Recognizes only roots of drives: std has no names for volumes that are mounted in directories.
#[cfg(not(unix))]
pub(super) fn is_volume_root(path: &Path) -> bool {
    path.parent().is_none()
}
