//! Where one volume ends and another begins, and what kind of volume it is.

use std::path::{Path, PathBuf};

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

/// The places below a directory where volumes are mounted, outermost first, as far as the system lists them. `below` has no links
/// in it.
pub(super) fn mounts_below(below: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        mount_points().into_iter().filter(|point| point != below && point.starts_with(below)).collect();
    found.sort();
    found.dedup();
    found
}

/// Upper bound for the list of mounts, in bytes.
#[cfg(target_os = "linux")]
const MAX_MOUNTS: u64 = 16 << 20;

#[cfg(target_os = "linux")]
fn mount_points() -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let list =
        crate::fs::read::read_regular(Path::new("/proc/self/mountinfo"), MAX_MOUNTS).unwrap_or_default();
    let points = list.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points.map(|point| PathBuf::from(std::ffi::OsString::from_vec(unescaped(point)))).collect()
}

#[cfg(not(target_os = "linux"))]
fn mount_points() -> Vec<PathBuf> {
    Vec::new()
}

/// A name as the kernel lists it: blanks, line breaks and backslashes are written as `\` and three octal digits.
#[cfg(target_os = "linux")]
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        if let Some(digits) = digits.filter(|_| *first == b'\\') {
            let value = |sum: u8, digit: &u8| sum.wrapping_mul(8).wrapping_add(digit - b'0');
            bytes.push(digits.iter().fold(0, value));
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// Whether a directory lies on an overlay. A directory of a lower layer cannot be renamed there, and to link a file of one copies
/// it.
#[cfg(target_os = "linux")]
pub(super) fn is_overlay(path: &Path) -> bool {
    const OVERLAY: u64 = 0x794c_7630;
    // The field has another type on other architectures.
    #[allow(clippy::unnecessary_cast, trivial_numeric_casts, clippy::cast_sign_loss, reason = "see above")]
    rustix::fs::statfs(path).is_ok_and(|volume| volume.f_type as u64 == OVERLAY)
}

/// Only Linux has overlays.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_overlay(_: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::fs::testing::Mount;

    #[test]
    fn names_of_mounts_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescaped(br"/a\040b\134\011c\012"), b"/a b\\\tc\n");
        assert_eq!(unescaped(br"/plain\9x\04"), br"/plain\9x\04");
    }

    #[test]
    fn mounts_below_are_found_at_any_depth() {
        let place = tempfile::tempdir().expect("a place");
        let place = place.path().canonicalize().expect("resolved");
        let inner = place.join("target/deep er/volume");
        std::fs::create_dir_all(&inner).expect("made");
        assert_eq!(mounts_below(&place.join("target")), Vec::<PathBuf>::new());
        let Some(_mount) = Mount::tmpfs(&inner, "1m") else { return };
        assert_eq!(mounts_below(&place.join("target")), std::slice::from_ref(&inner));
        assert_eq!(mounts_below(&inner), Vec::<PathBuf>::new(), "itself does not count");
        assert_eq!(mounts_below(&place.join("tar")), Vec::<PathBuf>::new());
    }
}
