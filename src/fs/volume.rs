//! How much room a volume has: bytes and inodes, free and in all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::path_error::PathError;
use crate::domain::unit::ByteSize;

/// Identifies a volume: equal for all paths on it, and valid until the next reboot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VolumeId(String);

/// Inodes of a volume that has a fixed number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inodes {
    /// Those that this user may still use.
    pub free: u64,
    /// All there are.
    pub total: u64,
}

/// A volume at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Which volume it is.
    pub id: VolumeId,
    /// The nearest thing to the path asked for that exists.
    pub at: PathBuf,
    /// Bytes that this user may still use, without those reserved for root.
    pub free: ByteSize,
    /// All bytes.
    pub total: ByteSize,
    /// Inodes; `None` where there are as many as room allows (btrfs, NTFS).
    pub inodes: Option<Inodes>,
}

/// The volume that a path is on, or will be on once it is made.
///
/// Links are followed, as writing through them would.
pub(crate) fn volume_of(path: &Path) -> Result<Volume, PathError> {
    let at = nearest_existing(path)?;
    measure(&at).map_err(PathError::on("measure the volume of", path))
}

fn nearest_existing(path: &Path) -> Result<PathBuf, PathError> {
    let absolute = std::path::absolute(path).map_err(PathError::on("find", path))?;
    for ancestor in absolute.ancestors() {
        match fs::metadata(ancestor) {
            Ok(_) => return Ok(ancestor.to_owned()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(PathError::on("find the volume of", path)(error)),
        }
    }
    Err(PathError::on("find the volume of", path)(io::Error::from(io::ErrorKind::NotFound)))
}

#[cfg(unix)]
fn measure(at: &Path) -> io::Result<Volume> {
    use std::os::unix::fs::MetadataExt as _;
    let id = VolumeId(fs::metadata(at)?.dev().to_string());
    let volume = rustix::fs::statvfs(at)?;
    let bytes = |blocks: u64| ByteSize(blocks.saturating_mul(volume.f_frsize));
    let inodes = (volume.f_files > 0).then_some(Inodes { free: volume.f_favail, total: volume.f_files });
    Ok(Volume { id, at: at.to_owned(), free: bytes(volume.f_bavail), total: bytes(volume.f_blocks), inodes })
}

#[cfg(windows)]
fn measure(at: &Path) -> io::Result<Volume> {
    let stats = fs4::statvfs(at)?;
    // A volume mounted in a directory of another counts as that other: std knows no better name for it.
    let root = fs::canonicalize(at)?.components().next().map(|first| first.as_os_str().to_owned());
    Ok(Volume {
        id: VolumeId(root.unwrap_or_default().to_string_lossy().to_ascii_lowercase()),
        at: at.to_owned(),
        free: ByteSize(stats.available_space()),
        total: ByteSize(stats.total_space()),
        inodes: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_has_the_volume_of_what_is() {
        let place = tempfile::tempdir().expect("a place");
        let deep = volume_of(&place.path().join("not/there/yet")).expect("measured");
        let here = volume_of(place.path()).expect("measured");
        assert_eq!(deep.id, here.id);
        assert_eq!(deep.at, place.path());
        assert!(deep.total.0 > 0 && deep.free <= deep.total, "{deep:?}");
    }

    #[test]
    fn below_a_file_counts_as_not_there_yet() {
        let place = tempfile::tempdir().expect("a place");
        fs::write(place.path().join("file"), "").expect("written");
        assert!(volume_of(&place.path().join("file/x")).is_ok());
    }

    #[test]
    fn another_volume_has_another_identity_and_its_own_room() {
        let place = tempfile::tempdir().expect("a place");
        let over = place.path().join("volume");
        fs::create_dir(&over).expect("made");
        let Some(_mount) = crate::fs::testing::Mount::tmpfs(&over, "1m") else { return };
        let inner = volume_of(&over.join("x")).expect("measured");
        assert_ne!(inner.id, volume_of(place.path()).expect("measured").id);
        assert_eq!(inner.total, ByteSize(1 << 20));
        assert!(inner.inodes.is_some_and(|inodes| inodes.free > 0 && inodes.free <= inodes.total));
    }
}
