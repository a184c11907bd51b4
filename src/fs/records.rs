//! Records: what this user has begun to publish, kept where other users cannot write.
//!
//! A journal beside a target steers the next start, and an archive, a seed or a checkout could have brought it. So each
//! journal has a counterpart here: a record with the path of its temporary directory and the digest of the journal. A
//! journal without a record is not obeyed.
//!
//! The record is durable before the journal appears and is removed after it: a kill in between leaves a record without
//! a journal, which has no effect and is removed with its directory. Recovery looks for half-written records as well.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::atomic::{self, sync_directory};
use super::path_error::PathError;
use super::read::read_regular;
use super::time;

/// Upper bound for a record, in bytes: it holds a path and a digest.
const MAX_RECORD: u64 = 64 << 10;

/// How long a record outlives its temporary directory, which may be on a volume that is not mounted now.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Directories for records, the preferred one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    directories: Vec<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// The temporary directory, links resolved.
    temp: OsString,
    /// SHA-256 of the journal's bytes, in hexadecimal.
    journal: String,
}

impl Records {
    /// Records in the first of these directories that takes them. Nothing is created until a record is kept.
    pub(crate) fn in_directories(directories: Vec<PathBuf>) -> Self {
        Records { directories }
    }

    /// No records at all, for places where nothing is ever published: no journal there is obeyed.
    pub(crate) fn none() -> Self {
        Records::default()
    }

    /// Keeps a record of a journal that is about to be written into `temp`. Durable when it returns.
    ///
    /// # Errors
    /// That of the preferred directory, where no directory takes the record.
    pub(crate) fn keep(&self, temp: &Path, journal: &[u8], now: DateTime<Utc>) -> Result<(), PathError> {
        let temp = fs::canonicalize(temp).map_err(PathError::on("resolve", temp))?;
        let record = Record { temp: temp.as_os_str().to_owned(), journal: digest(journal) };
        let bytes = serde_json::to_vec(&record).map_err(PathError::on("record", &temp))?;
        let mut first = None;
        for directory in &self.directories {
            let private = make_private(directory).map_err(PathError::on("keep a record in", directory));
            match private.and_then(|()| atomic::write(&directory.join(name_of(&temp)), &bytes, now)) {
                Ok(()) => return Ok(()),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| {
            PathError::on("keep a record of", &temp)(io::Error::other("no directory is known for it"))
        }))
    }

    /// Whether a journal found in `temp` is one that this user wrote there.
    pub(crate) fn vouch_for(&self, temp: &Path, journal: &[u8]) -> bool {
        let Ok(temp) = fs::canonicalize(temp) else { return false };
        let is_of_this = |record: &Record| record.temp == temp && record.journal == digest(journal);
        self.trusted().any(|directory| read(&directory.join(name_of(&temp))).is_some_and(|r| is_of_this(&r)))
    }

    /// Removes the record of a temporary directory, which still exists. Errors are ignored: a record without a journal
    /// has no effect.
    pub(crate) fn forget(&self, temp: &Path) {
        let Ok(temp) = fs::canonicalize(temp) else { return };
        for directory in self.trusted() {
            let _ = fs::remove_file(directory.join(name_of(&temp)));
        }
    }

    /// Removes records whose temporary directory went long ago.
    pub(crate) fn sweep(&self, now: DateTime<Utc>) {
        for entry in self.trusted().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten() {
            let is_old = entry
                .metadata()
                .and_then(|found| found.modified())
                .is_ok_and(|changed| now.signed_duration_since(time::instant(changed)) > KEPT);
            let is_gone = || read(&entry.path()).is_none_or(|record| !Path::new(&record.temp).exists());
            if is_old && is_gone() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Where records may lie, and what a killed process left of one.
    pub(super) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    fn trusted(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(PathBuf::as_path).filter(|directory| is_private(directory).is_ok())
    }
}

fn name_of(temp: &Path) -> String {
    digest(temp.as_os_str().as_encoded_bytes())
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&read_regular(path, MAX_RECORD).ok()?).ok()
}

/// Makes a directory that only this user can use, or checks that an existing one is.
fn make_private(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return is_private(directory),
        created => created?,
    }
    if let Some(parent) = directory.parent() {
        sync_directory(parent);
    }
    Ok(())
}

/// Fails unless this is a directory, not a link to one, that only this user can write.
fn is_private(directory: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(directory)?;
    #[cfg(unix)]
    let is_own = {
        use std::os::unix::fs::MetadataExt as _;
        found.uid() == rustix::process::geteuid().as_raw() && found.mode().trailing_zeros() >= 6
    };
    // Below the profile, whose access list keeps other users out.
    #[cfg(not(unix))]
    let is_own = true;
    if found.is_dir() && is_own {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a directory of this user alone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Records, PathBuf) {
        let place = tempfile::tempdir().expect("a place");
        let records = Records::in_directories(vec![place.path().join("state/journals")]);
        let temp = place.path().join("temp");
        fs::create_dir(&temp).expect("made");
        (place, records, temp)
    }

    #[test]
    fn a_journal_is_vouched_for_where_it_was_written_and_as_it_was_written() {
        let (place, records, temp) = place();
        assert!(!records.vouch_for(&temp, b"journal"));
        records.keep(&temp, b"journal", Utc::now()).expect("kept");
        assert!(records.vouch_for(&temp, b"journal"));
        assert!(!records.vouch_for(&temp, b"another journal"));
        let copy = place.path().join("copy");
        fs::create_dir(&copy).expect("made");
        assert!(!records.vouch_for(&copy, b"journal"), "a journal copied elsewhere");
        records.forget(&temp);
        assert!(!records.vouch_for(&temp, b"journal"));
    }

    #[test]
    fn the_second_directory_serves_where_the_first_takes_nothing() {
        let (place, _, temp) = place();
        let file = place.path().join("file");
        fs::write(&file, "").expect("written");
        let records = Records::in_directories(vec![file.join("journals"), place.path().join("second")]);
        records.keep(&temp, b"journal", Utc::now()).expect("kept");
        assert!(records.vouch_for(&temp, b"journal"));
        let nowhere = Records::in_directories(vec![file.join("journals")]);
        assert!(nowhere.keep(&temp, b"journal", Utc::now()).is_err());
        assert!(Records::none().keep(&temp, b"journal", Utc::now()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_others_can_write_proves_nothing() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (place, records, temp) = place();
        records.keep(&temp, b"journal", Utc::now()).expect("kept");
        let directory = place.path().join("state/journals");
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o770)).expect("changed");
        assert!(!records.vouch_for(&temp, b"journal"));
        assert!(records.keep(&temp, b"journal", Utc::now()).is_err());
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).expect("changed");
        assert!(records.vouch_for(&temp, b"journal"));
        let link = place.path().join("link");
        symlink(&directory, &link).expect("linked");
        assert!(!Records::in_directories(vec![link]).vouch_for(&temp, b"journal"), "a link to it");
    }

    #[test]
    fn records_of_directories_that_went_long_ago_are_swept() {
        let (place, records, temp) = place();
        records.keep(&temp, b"journal", Utc::now()).expect("kept");
        let count = || fs::read_dir(place.path().join("state/journals")).expect("read").count();
        let later = Utc::now() + TimeDelta::days(31);
        records.sweep(later);
        assert_eq!(count(), 1, "the directory is still there");
        fs::remove_dir(&temp).expect("removed");
        records.sweep(Utc::now());
        assert_eq!(count(), 1, "its volume may be mounted again");
        records.sweep(later);
        assert_eq!(count(), 0);
    }
}
