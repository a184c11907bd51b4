//! How much room a volume has, and whether it is enough for what is about to be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::path_error::PathError;
use crate::domain::fault::Fault;
use crate::domain::unit::{ByteSize, SizeOrShare};

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

/// Whether reads of files at a path change their access times, as far as the system tells.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn keeps_access_times(path: &Path) -> bool {
    use rustix::fs::StatVfsMountFlags;
    rustix::fs::statvfs(path).map_or(true, |volume| !volume.f_flag.contains(StatVfsMountFlags::NOATIME))
}

/// Whether reads of files at a path change their access times, as far as the system tells.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn keeps_access_times(_: &Path) -> bool {
    true
}

/// What is about to be written at a path, which need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// Where.
    pub path: PathBuf,
    /// How many bytes.
    pub bytes: ByteSize,
    /// How many files, directories and links.
    pub inodes: u64,
}

/// Checks that every volume has room for all that is needed on it, and keeps `reserve` free besides.
///
/// A share is one of the volume's size. A volume on which nothing is needed passes, however full it is.
/// Other processes write as well, so ENOSPC must still be handled later.
pub(crate) fn check_room(needs: &[Need], reserve: SizeOrShare) -> Result<(), Fault> {
    let mut sums: Vec<(Volume, Need)> = Vec::new();
    for need in needs {
        let volume = volume_of(&need.path)?;
        match sums.iter_mut().find(|(known, _)| known.id == volume.id) {
            Some((_, sum)) => {
                sum.bytes = ByteSize(sum.bytes.0.saturating_add(need.bytes.0));
                sum.inodes = sum.inodes.saturating_add(need.inodes);
            }
            None => sums.push((volume, need.clone())),
        }
    }
    for (volume, need) in &sums {
        judge(volume, &need.path, need.bytes, need.inodes, reserve)?;
    }
    Ok(())
}

fn judge(
    volume: &Volume,
    path: &Path,
    needed: ByteSize,
    inodes_needed: u64,
    reserve: SizeOrShare,
) -> Result<(), Fault> {
    let reserved = reserve.of(volume.total);
    if needed.0 > 0 && needed.0.saturating_add(reserved.0) > volume.free.0 {
        let free = volume.free;
        let message = format!(
            "volume of `{}` has {free} free, {needed} needed and {reserved} reserved",
            path.display()
        );
        return Err(no_space(message, "free space on that volume, or lower `[disk] reserve`"));
    }
    match volume.inodes {
        Some(inodes) if inodes_needed > inodes.free => {
            let (free, path) = (inodes.free, path.display());
            let message = format!("volume of `{path}` has {free} inodes free, {inodes_needed} needed");
            Err(no_space(message, "remove small files from that volume, or make it with more inodes"))
        }
        _ => Ok(()),
    }
}

fn no_space(message: String, hint: &str) -> Fault {
    Fault::environment(message).with_hint(hint.to_owned())
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

    #[cfg(unix)]
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

    fn volume(free: u64, inodes: Option<u64>) -> Volume {
        let mut volume = volume_of(Path::new("/")).expect("measured");
        volume.free = ByteSize(free);
        volume.total = ByteSize(10_000_000_000);
        volume.inodes = inodes.map(|free| Inodes { free, total: 1_000 });
        volume
    }

    #[test]
    fn a_need_passes_only_beside_the_reserve() {
        let check = |free: u64, needed: u64, reserve: &str, expect: Option<&str>| {
            let reserve = reserve.parse().expect("a size or share");
            let judged = judge(&volume(free, None), Path::new("/x"), ByteSize(needed), 5, reserve);
            assert_eq!(judged.err().map(|error| error.to_string()).as_deref(), expect, "{free} {needed}");
        };
        check(1_000, 1_000, "0%", None);
        check(1_200_000_000, 700_000_000, "5%", None);
        check(1_000, 0, "5%", None);
        check(
            1_200_000_000,
            3_400_000_000,
            "5%",
            Some("volume of `/x` has 1.20 GB free, 3.40 GB needed and 500.0 MB reserved"),
        );
        check(1_000, 600, "401", Some("volume of `/x` has 1.00 kB free, 600 B needed and 401 B reserved"));
        check(
            1_000,
            u64::MAX,
            "5%",
            Some(&format!(
                "volume of `/x` has 1.00 kB free, {} needed and {} reserved",
                ByteSize(u64::MAX),
                ByteSize(500_000_000)
            )),
        );
    }

    #[test]
    fn inodes_count_where_there_is_a_number_of_them() {
        let none = SizeOrShare::Percent(0.0);
        let judged = |inodes, needed| judge(&volume(10, inodes), Path::new("/x"), ByteSize(1), needed, none);
        assert!(judged(Some(10), 10).is_ok());
        assert!(judged(None, u64::MAX).is_ok());
        let error = judged(Some(10), 11).expect_err("too many");
        assert_eq!(error.to_string(), "volume of `/x` has 10 inodes free, 11 needed");
    }

    #[test]
    fn needs_on_one_volume_add_up() {
        let place = tempfile::tempdir().expect("a place");
        let free = volume_of(place.path()).expect("measured").free.0;
        let need =
            |name: &str| Need { path: place.path().join(name), bytes: ByteSize(free / 5 * 3), inodes: 1 };
        let none = SizeOrShare::Percent(0.0);
        assert!(check_room(&[need("a")], none).is_ok());
        let error = check_room(&[need("a"), need("b")], none).expect_err("twice is too much");
        assert!(error.to_string().contains(" needed and 0 B reserved"), "{error}");
        assert!(check_room(&[need("a")], SizeOrShare::Percent(100.0)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn needs_on_two_volumes_do_not() {
        let place = tempfile::tempdir().expect("a place");
        let Some(_mount) = crate::fs::testing::Mount::tmpfs(place.path(), "1m") else { return };
        let outer = std::path::absolute(".").expect("a directory");
        let need = |path: &Path| Need { path: path.to_owned(), bytes: ByteSize(700_000), inodes: 1 };
        let none = SizeOrShare::Percent(0.0);
        assert!(check_room(&[need(place.path()), need(&outer)], none).is_ok());
        let error = check_room(&[need(&outer), need(place.path()), need(&place.path().join("x"))], none)
            .expect_err("a megabyte is too small for both");
        assert!(
            error.to_string().starts_with(&format!("volume of `{}` has 1.0", place.path().display())),
            "{error}"
        );
    }
}
