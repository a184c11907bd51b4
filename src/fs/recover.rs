//! Recovery: what killed processes left behind is completed or removed, and what live ones use is kept.
//!
//! It never waits and may run in several processes at once: directories that another process holds a lease on are
//! skipped.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::lease::{LeasedDirectory, Takeover, holder, is_temp_name};
use super::path_error::PathError;
use super::records::Records;
use super::staging::{Scope, Settled, StagingError, foresee, settle};

/// What recovery did.
#[derive(Debug, Default)]
pub(crate) struct RecoverReport {
    /// Temporary directories that were removed.
    pub removed: Vec<PathBuf>,
    /// Those of the removed whose publication was completed first.
    pub completed: Vec<PathBuf>,
    /// Those of the removed whose publication was taken back, since it could not be completed.
    pub undone: Vec<PathBuf>,
    /// Temporary directories whose owners live, or that belong to another user.
    pub spared: Vec<PathBuf>,
    /// Directories that could not be recovered, and why; the next recovery retries them.
    pub failed: Vec<(PathBuf, StagingError)>,
    /// Whether it was ended before it had looked at everything.
    pub unfinished: bool,
}

/// Looks for temporary things directly in these directories and judges each by its lease.
///
/// A journal is obeyed only where `records` has its counterpart and `targets` has all that it changes; otherwise the
/// directory stays and is reported. See [`targets_of`](super::staging::targets_of) for how targets are named.
/// A place that does not exist holds nothing. `now` is the time from which the age of directories without a lease is
/// counted. See
/// [`places_of`](super::staging::places_of) for the places of a target.
pub(crate) fn recover(
    places: &[PathBuf],
    targets: &[PathBuf],
    records: &Records,
    now: DateTime<Utc>,
) -> RecoverReport {
    recover_while(places, targets, records, now, &|| true)
}

/// The same, but begins with another directory only while `goes_on` says so; the next recovery does the rest.
pub(crate) fn recover_while(
    places: &[PathBuf],
    targets: &[PathBuf],
    records: &Records,
    now: DateTime<Utc>,
    goes_on: &dyn Fn() -> bool,
) -> RecoverReport {
    let scope = Scope { records, targets, is_ours: &is_ours, now };
    let report = each(places, &scope, goes_on, &recover_one);
    records.sweep(now);
    report
}

/// What [`recover`] would do, as far as it can be told without doing it: nothing is changed.
pub(crate) fn look(
    places: &[PathBuf],
    targets: &[PathBuf],
    records: &Records,
    now: DateTime<Utc>,
) -> RecoverReport {
    let scope = Scope { records, targets, is_ours: &is_ours, now };
    each(places, &scope, &|| true, &look_at_one)
}

/// What was done about a temporary directory, or would be; `None` if it stays.
type Acted = Result<Option<Settled>, StagingError>;

/// Has something done about each temporary directory in these places.
fn each(
    places: &[PathBuf],
    scope: &Scope<'_>,
    goes_on: &dyn Fn() -> bool,
    act: &dyn Fn(&Path, &Scope<'_>) -> Acted,
) -> RecoverReport {
    let mut report = RecoverReport::default();
    for place in places.iter().chain(scope.records.directories()).collect::<BTreeSet<_>>() {
        let entries = match fs::read_dir(place) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(error) => {
                report.failed.push((place.clone(), PathError::on("read", place)(error).into()));
                continue;
            }
        };
        for entry in entries.flatten().filter(|entry| is_temp_name(&entry.file_name())) {
            let path = entry.path();
            if !goes_on() {
                report.unfinished = true;
                return report;
            }
            match act(&path, scope) {
                Ok(None | Some(Settled::Busy)) => report.spared.push(path),
                Ok(Some(settled)) => {
                    match settled {
                        Settled::Completed => report.completed.push(path.clone()),
                        Settled::Undone => report.undone.push(path.clone()),
                        Settled::Garbage | Settled::Busy => {}
                    }
                    report.removed.push(path);
                }
                // Another process recovered it at the same time.
                Err(_) if path.symlink_metadata().is_err() => report.removed.push(path),
                Err(error) => report.failed.push((path, error)),
            }
        }
    }
    report
}

fn recover_one(path: &Path, scope: &Scope<'_>) -> Acted {
    if !is_ours(path) {
        return Ok(None);
    }
    let leased = match LeasedDirectory::take_over(path, scope.now)? {
        Takeover::Live => return Ok(None),
        Takeover::Gone => return Ok(Some(Settled::Garbage)),
        Takeover::Ours(leased) => leased,
    };
    match settle(scope, path) {
        Ok(Settled::Busy) => {
            leased.leave();
            Ok(None)
        }
        Ok(settled) => leased.close().map(|()| Some(settled)).map_err(StagingError::from),
        Err(error) => {
            leased.leave();
            Err(error)
        }
    }
}

/// The same without doing it.
fn look_at_one(path: &Path, scope: &Scope<'_>) -> Acted {
    if !is_ours(path) || !holder::is_abandoned(path, scope.now) {
        return Ok(None);
    }
    foresee(scope, path).map(Some)
}

/// Whether a temporary thing is a directory made by us, or by whom the directory belongs to that it is in.
///
/// In a directory that all may write, as `/tmp`, anybody could else make us remove or rename things.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(own) = fs::symlink_metadata(path) else { return false };
    let is_of_place = || {
        path.parent()
            .and_then(|place| fs::metadata(place).ok())
            .is_some_and(|place| place.uid() == own.uid() && place.mode() & 0o002 == 0)
    };
    own.is_dir() && (own.uid() == rustix::process::geteuid().as_raw() || is_of_place())
}

#[cfg(not(unix))]
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|own| own.is_dir())
}
