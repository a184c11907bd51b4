//! When an entry was used last: the time of an empty file beside it, `<key>.used`.
//!
//! Not the archive's own times: when it was read is changed by whoever looks at it, or by nobody on volumes that
//! are mounted so; when it was written is when the entry was made, and part of its id. The marker is one file of no
//! bytes, made by the first restore; setting its time is one step that no reader sees. It is written only while the
//! entry is leased, so that no marker comes after its entry has gone; and what a lost one costs is that the entry
//! counts as unused since it was made.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::fs::lease::LeasedDirectory;

/// Notes a use, unless a later one is known. `uploads` is where a new marker is made if the one that is there
/// belongs to another user, who alone may set its time.
pub(super) fn note(marker: &Path, uploads: &Path, now: DateTime<Utc>) -> io::Result<()> {
    let opened = File::options().create(true).truncate(false).write(true).open(marker);
    match opened.and_then(|file| advance(&file, now)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => replace(marker, uploads, now),
        noted => noted,
    }
}

/// Sets the time of a marker; never back, for clocks differ between machines.
fn advance(file: &File, now: DateTime<Utc>) -> io::Result<()> {
    let now = SystemTime::from(now);
    if file.metadata()?.modified()? < now { file.set_modified(now) } else { Ok(()) }
}

/// Puts a marker of our own in the place of another.
fn replace(marker: &Path, uploads: &Path, now: DateTime<Utc>) -> io::Result<()> {
    fs::create_dir_all(uploads)?;
    let place = LeasedDirectory::create_in(uploads, "noting a use", now).map_err(|error| error.source)?;
    let staged = place.payload().join("used");
    advance(&File::create_new(&staged)?, now)?;
    fs::rename(staged, marker)?;
    place.close().map_err(|error| error.source)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn time_of(path: &Path) -> DateTime<Utc> {
        fs::metadata(path).expect("a marker").modified().expect("a time").into()
    }

    #[test]
    fn a_use_is_noted_and_never_set_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (marker, uploads) = (folder.path().join("k.used"), folder.path().join("uploads"));
        let later = Utc::now() + TimeDelta::days(2);
        for (at, expect) in [(later - TimeDelta::hours(1), -1), (later, 0), (later - TimeDelta::days(1), 0)] {
            note(&marker, &uploads, at).expect("noted");
            assert_eq!((time_of(&marker) - later).num_hours(), expect);
        }
        replace(&marker, &uploads, later + TimeDelta::hours(3)).expect("replaced");
        assert_eq!((time_of(&marker) - later).num_hours(), 3);
        assert_eq!(fs::metadata(&marker).expect("a marker").len(), 0);
        assert_eq!(fs::read_dir(&uploads).expect("a folder").count(), 0);
    }
}
