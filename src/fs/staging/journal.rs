//! The journal of a publication: what was about to be done, for the recovery after a kill.
//!
//! The first leased directory holds it; every other one says where that is. It appears in one step
//! before the first change and is removed in one step after the last: a leased directory without a journal,
//! or one that points to a journal that is gone, holds nothing that is needed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::change::Way;
use super::error::StagingError;
use super::step::Step;
use crate::fs::lease::{JOURNAL, LeasedDirectory, Takeover, is_temp_name};
use crate::fs::path_error::PathError;
use crate::fs::read::read_regular;
use crate::fs::records::Records;

/// Upper bound for a journal, in bytes; a merge lists the directories that both trees have.
const MAX_JOURNAL: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
enum Journal {
    /// The steps, in the order they are made.
    Steps(Vec<Step>),
    /// The journal is in another leased directory.
    At(OsString),
}

/// The outcome of finishing a publication whose owner died.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::fs) enum Settled {
    /// The leased directory holds nothing that is needed.
    Garbage,
    /// What had been begun was completed; the directory holds nothing that is needed now.
    Completed,
    /// What had been begun was taken back, since it could not be completed.
    Undone,
    /// Another process is recovering it.
    Busy,
}

/// Writes the journal of some steps into the first directory, and pointers to it into the others.
pub(super) fn write(
    records: &Records,
    temps: &[&Path],
    steps: &[Step],
    now: DateTime<Utc>,
) -> Result<(), StagingError> {
    let Some((first, others)) = temps.split_first() else { return Ok(()) };
    for other in others {
        write_one(records, other, &Journal::At(first.as_os_str().to_owned()), now)?;
    }
    write_one(records, first, &Journal::Steps(steps.to_vec()), now)
}

fn write_one(
    records: &Records,
    temp: &Path,
    journal: &Journal,
    now: DateTime<Utc>,
) -> Result<(), StagingError> {
    let path = temp.join(JOURNAL);
    let half = temp.join("journal.new");
    let bytes = serde_json::to_vec(journal).map_err(PathError::on("write", &path))?;
    // Before the journal, which is not obeyed without its record.
    records.keep(temp, &bytes, now).map_err(StagingError::Record)?;
    let put = || -> io::Result<()> {
        // Left by an attempt that failed; the name is opened only where it is free.
        match fs::remove_file(&half) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::create_new(&half)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&half, &path)
    };
    Ok(put().map_err(PathError::on("write", &path))?)
}

/// Ends a publication: the journal goes first, then the pointers to it, each before its record.
pub(super) fn erase(records: &Records, temps: &[&Path]) -> Result<(), StagingError> {
    temps.iter().try_for_each(|temp| erase_one(records, temp)).map_err(StagingError::from)
}

fn erase_one(records: &Records, temp: &Path) -> Result<(), PathError> {
    let path = temp.join(JOURNAL);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(PathError::on("remove", &path)(error));
        }
        _ => {}
    }
    records.forget(temp);
    Ok(())
}

/// The journal of a leased directory. An error where there is one that we did not write.
fn read(records: &Records, temp: &Path) -> Result<Option<Journal>, StagingError> {
    let path = temp.join(JOURNAL);
    let bytes = match read_regular(&path, MAX_JOURNAL) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(PathError::on("read", &path))?,
    };
    if !records.vouch_for(temp, &bytes) {
        return Err(StagingError::Unrecorded(temp.to_owned()));
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| StagingError::Journal { path: temp.to_owned(), reason: error.to_string() })
}

/// What a recoverer may touch.
pub(in crate::fs) struct Scope<'a> {
    /// The records of this user: a journal without one is not obeyed.
    pub(in crate::fs) records: &'a Records,
    /// The targets that recovery was called for: no other is changed.
    pub(in crate::fs) targets: &'a [PathBuf],
    /// Whether a leased directory was made by this user or root.
    pub(in crate::fs) is_ours: &'a dyn Fn(&Path) -> bool,
    /// The time from which the age of directories without a lease is counted.
    pub(in crate::fs) now: DateTime<Utc>,
}

/// Completes what the dead owner of a leased directory had begun to publish; afterwards the directory is
/// garbage.
pub(in crate::fs) fn settle(scope: &Scope<'_>, temp: &Path) -> Result<Settled, StagingError> {
    match read(scope.records, temp)? {
        None => {
            scope.records.forget(temp);
            Ok(Settled::Garbage)
        }
        Some(Journal::Steps(steps)) => complete(scope, temp, &steps),
        Some(Journal::At(first)) => settle_elsewhere(scope, temp, Path::new(&first)),
    }
}

fn settle_elsewhere(scope: &Scope<'_>, temp: &Path, first: &Path) -> Result<Settled, StagingError> {
    let is_sound = first.is_absolute() && first.file_name().is_some_and(is_temp_name);
    if !is_sound || (first.exists() && !(scope.is_ours)(first)) {
        return Err(distrust(temp));
    }
    let mut settled = Settled::Garbage;
    match LeasedDirectory::take_over(first, scope.now)? {
        Takeover::Live => return Ok(Settled::Busy),
        Takeover::Gone => {}
        // Only the process that holds the lease of this directory may change the targets.
        Takeover::Ours(leased) => {
            let ended = read(scope.records, first).and_then(|journal| match journal {
                Some(Journal::Steps(steps)) => complete(scope, first, &steps),
                _ => Ok(Settled::Garbage),
            });
            settled = match ended {
                Ok(ended) => ended,
                Err(error) => {
                    leased.leave();
                    return Err(error);
                }
            };
            scope.records.forget(first);
            leased.close()?;
        }
    }
    erase_one(scope.records, temp)?;
    Ok(settled)
}

/// Makes the remaining steps if something was done; takes all back where that fails.
fn complete(scope: &Scope<'_>, temp: &Path, steps: &[Step]) -> Result<Settled, StagingError> {
    let settled = if has_begun(scope, temp, steps)? {
        match steps.iter().try_for_each(|step| step.make(Way::Exchange)) {
            Ok(()) => steps.iter().try_for_each(Step::finish).map(|()| Settled::Completed)?,
            Err(_) => steps.iter().rev().try_for_each(Step::undo).map(|()| Settled::Undone)?,
        }
    } else {
        Settled::Garbage
    };
    erase_one(scope.records, temp)?;
    Ok(settled)
}

/// What [`settle`] would come to; nothing is changed.
pub(in crate::fs) fn foresee(scope: &Scope<'_>, temp: &Path) -> Result<Settled, StagingError> {
    match read(scope.records, temp)? {
        Some(Journal::Steps(steps)) if has_begun(scope, temp, &steps)? => Ok(Settled::Completed),
        _ => Ok(Settled::Garbage),
    }
}

/// Whether something of a publication was done. An error if the journal is not sound, or changes targets that recovery was not called for.
fn has_begun(scope: &Scope<'_>, temp: &Path, steps: &[Step]) -> Result<bool, StagingError> {
    for step in steps {
        if !step.is_sound() || (step.temp().exists() && !(scope.is_ours)(step.temp())) {
            return Err(distrust(temp));
        }
    }
    let mut has_begun = false;
    for step in steps {
        has_begun |= !step.is_waiting()?;
    }
    if has_begun {
        // All or none: one target that was not asked for leaves the others unchanged, too. Volumes that are mounted in a target
        // belong to it.
        let asked: Vec<PathBuf> = scope.targets.iter().filter_map(|target| real(target)).collect();
        let is_asked =
            |root: &Path| real(root).is_some_and(|root| asked.iter().any(|asked| root.starts_with(asked)));
        if let Some(root) = steps.iter().map(Step::root).find(|root| !is_asked(root)) {
            return Err(StagingError::NotAsked { path: temp.to_owned(), target: root });
        }
    }
    Ok(has_begun)
}

/// One spelling for each target: links above it resolved. The target itself may be missing between two renames.
fn real(target: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(target.parent()?).ok()?.join(target.file_name()?))
}

fn distrust(temp: &Path) -> StagingError {
    StagingError::Journal {
        path: temp.to_owned(),
        reason: "its journal names what is not its own".to_owned(),
    }
}
