//! Small files that are there in whole or not at all, and leave nothing behind when their writer is killed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::busy;
use super::lease::LeasedDirectory;
#[cfg(unix)]
use super::open;
use super::path_error::PathError;

/// Writes a file, replacing what is there: readers see the old content or the new one.
///
/// The bytes reach the disk before the name does. The half-written file lies in a leased directory
/// beside the target, where [`recover`](super::recover::recover) finds it after a kill. A link at `path`
/// is replaced, not followed.
pub(crate) fn write(path: &Path, bytes: &[u8], now: DateTime<Utc>) -> Result<(), PathError> {
    let absolute = std::path::absolute(path).map_err(PathError::on("write", path))?;
    let parent = absolute.parent().unwrap_or(&absolute);
    let leased = LeasedDirectory::create_in(parent, &format!("writing `{}`", path.display()), now)?;
    let written = leased.payload().join("file");
    let mut file = File::create_new(&written).map_err(PathError::on("write", path))?;
    file.write_all(bytes).map_err(PathError::on("write", path))?;
    file.sync_all().map_err(PathError::on("write", path))?;
    drop(file);
    busy::rename(&written, &absolute).map_err(PathError::on("write", path))?;
    sync_directory(parent);
    leased.close()
}

/// The same below a directory that is made, with those above it, where it is missing.
pub(crate) fn write_below(path: &Path, bytes: &[u8], now: DateTime<Utc>) -> Result<(), PathError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(PathError::on("make", parent))?;
    write(path, bytes, now)
}

/// Asks for a directory's names to be kept over a power cut; systems that cannot do so are not asked twice.
#[cfg_attr(not(unix), expect(unused_variables, reason = "only Unix opens directories"))]
pub(super) fn sync_directory(path: &Path) {
    #[cfg(unix)]
    let _ = open::directory(path).and_then(|directory| directory.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn a_file_is_made_and_replaced_with_nothing_left_beside_it() {
        let place = tempfile::tempdir().expect("a place");
        let path = place.path().join("file");
        for text in ["first", "second, which is longer", ""] {
            write(&path, text.as_bytes(), now()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
            assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1);
        }
    }

    #[test]
    fn a_directory_in_the_way_stays_and_is_named() {
        let place = tempfile::tempdir().expect("a place");
        let path = place.path().join("taken");
        fs::create_dir(&path).expect("made");
        let error = write(&path, b"x", now()).expect_err("a directory is there");
        assert!(error.to_string().starts_with(&format!("cannot write `{}`: ", path.display())), "{error}");
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_full_volume_leaves_the_old_content_and_says_so() {
        let place = tempfile::tempdir().expect("a place");
        let Some(_mount) = crate::fs::testing::Mount::tmpfs(place.path(), "64k") else { return };
        let path = place.path().join("file");
        write(&path, b"old", now()).expect("written");
        let error = write(&path, &vec![1; 1 << 20], now()).expect_err("too large");
        assert!(error.is_no_space(), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
        assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_can_be_read_as_any_other() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().expect("a place");
        fs::write(place.path().join("ordinary"), "x").expect("written");
        write(&place.path().join("atomic"), b"x", now()).expect("written");
        let mode = |name: &str| fs::metadata(place.path().join(name)).expect("there").permissions().mode();
        assert_eq!(mode("atomic"), mode("ordinary"));
    }
}
