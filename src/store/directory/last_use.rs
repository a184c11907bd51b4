//! The time of an entry's last use: the modification time of its use file, the empty file `<key>.used` beside it.
//!
//! The archive's own times do not serve. Its access time changes with every look at it, or never on volumes mounted
//! with `noatime`; its modification time is the entry's creation time and part of its id. The first restore creates
//! the use file, later ones set its time, which is atomic. It is written only while the entry is leased, so that it
//! cannot appear after the entry was deleted. If it is lost, the entry counts as unused since it was created.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::fs::lease::LeasedDirectory;
use crate::fs::open::{self, Links};

/// Records a use, unless a later one is recorded. A use file of another user, whose time only that user may set, is
/// replaced by one that is created below `uploads`.
pub(super) fn note(use_file: &Path, uploads: &Path, now: DateTime<Utc>) -> io::Result<()> {
    let mut options = File::options();
    let opened = open::file_with(options.create(true).truncate(false).write(true), use_file, Links::Refused);
    match opened.and_then(|file| advance(&file, now)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => replace(use_file, uploads, now),
        noted => noted,
    }
}

/// Sets the time of a use file; never back, because clocks differ between machines.
fn advance(file: &File, now: DateTime<Utc>) -> io::Result<()> {
    let now = SystemTime::from(now);
    if file.metadata()?.modified()? < now { file.set_modified(now) } else { Ok(()) }
}

/// Replaces a use file by a new one.
fn replace(use_file: &Path, uploads: &Path, now: DateTime<Utc>) -> io::Result<()> {
    fs::create_dir_all(uploads)?;
    let place = LeasedDirectory::create_in(uploads, "noting a use", now).map_err(|error| error.source)?;
    let staged = place.payload().join("used");
    advance(&File::create_new(&staged)?, now)?;
    fs::rename(staged, use_file)?;
    place.close().map_err(|error| error.source)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn time_of(path: &Path) -> DateTime<Utc> {
        fs::metadata(path).expect("a use file").modified().expect("a time").into()
    }

    #[test]
    fn a_use_is_noted_and_never_set_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let (use_file, uploads) = (directory.path().join("k.used"), directory.path().join("uploads"));
        let later = Utc::now() + TimeDelta::days(2);
        for (at, expect) in [(later - TimeDelta::hours(1), -1), (later, 0), (later - TimeDelta::days(1), 0)] {
            note(&use_file, &uploads, at).expect("noted");
            assert_eq!((time_of(&use_file) - later).num_hours(), expect);
        }
        replace(&use_file, &uploads, later + TimeDelta::hours(3)).expect("replaced");
        assert_eq!((time_of(&use_file) - later).num_hours(), 3);
        assert_eq!(fs::metadata(&use_file).expect("a use file").len(), 0);
        assert_eq!(fs::read_dir(&uploads).expect("a directory").count(), 0);
    }
}
