//! Whether there is room for what is about to be written, asked before anything is.

use std::path::{Path, PathBuf};

use super::volume::{Volume, volume_of};
use crate::domain::fault::Fault;
use crate::domain::unit::{ByteSize, SizeOrShare};

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
pub(crate) fn check(needs: &[Need], reserve: SizeOrShare) -> Result<(), Fault> {
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
    use crate::fs::volume::Inodes;

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
        assert!(check(&[need("a")], none).is_ok());
        let error = check(&[need("a"), need("b")], none).expect_err("twice is too much");
        assert!(error.to_string().contains(" needed and 0 B reserved"), "{error}");
        assert!(check(&[need("a")], SizeOrShare::Percent(100.0)).is_err());
    }

    #[test]
    fn needs_on_two_volumes_do_not() {
        let place = tempfile::tempdir().expect("a place");
        let Some(_mount) = crate::fs::testing::Mount::tmpfs(place.path(), "1m") else { return };
        let outer = std::path::absolute(".").expect("a directory");
        let need = |path: &Path| Need { path: path.to_owned(), bytes: ByteSize(700_000), inodes: 1 };
        let none = SizeOrShare::Percent(0.0);
        assert!(check(&[need(place.path()), need(&outer)], none).is_ok());
        let error = check(&[need(&outer), need(place.path()), need(&place.path().join("x"))], none)
            .expect_err("a megabyte is too small for both");
        assert!(
            error.to_string().starts_with(&format!("volume of `{}` has 1.0", place.path().display())),
            "{error}"
        );
    }
}
