//! The journal of a publication: what was about to change, for whoever finds us killed.
//!
//! The first leased directory holds it; every other one says where that is. It appears at one stroke
//! before the first change and goes at one stroke after the last: a leased directory without a journal,
//! or one that points to a journal that is gone, holds nothing that anybody needs.

#![expect(clippy::disallowed_methods, reason = "this room touches files")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::StagingError;
use super::change::{Change, Way};
use crate::fs::lease::{JOURNAL, LeasedDirectory, Takeover, is_temp_name};
use crate::fs::path_error::PathError;

#[derive(Serialize, Deserialize)]
enum Journal {
    /// The changes, in the order they are made.
    Changes(Vec<Change>),
    /// The journal is in another leased directory.
    At(OsString),
}

/// What came of settling a dead publication.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::fs) enum Settled {
    /// The leased directory holds nothing that anybody needs.
    Garbage,
    /// Somebody else is at it.
    Busy,
}

/// Writes the journal of some changes into the first directory, and pointers to it into the others.
pub(super) fn write(temps: &[&Path], changes: &[Change]) -> Result<(), StagingError> {
    let Some((first, others)) = temps.split_first() else { return Ok(()) };
    for other in others {
        write_one(other, &Journal::At(first.as_os_str().to_owned()))?;
    }
    Ok(write_one(first, &Journal::Changes(changes.to_vec()))?)
}

fn write_one(temp: &Path, journal: &Journal) -> Result<(), PathError> {
    let path = temp.join(JOURNAL);
    let half = temp.join("journal.new");
    let bytes = serde_json::to_vec(journal).map_err(PathError::on("write", &path))?;
    let put = || -> io::Result<()> {
        let mut file = File::create(&half)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&half, &path)
    };
    put().map_err(PathError::on("write", &path))
}

/// Ends a publication: the journal goes first, then the pointers to it.
pub(super) fn erase(temps: &[&Path]) -> Result<(), StagingError> {
    temps.iter().try_for_each(|temp| erase_one(temp)).map_err(StagingError::from)
}

fn erase_one(temp: &Path) -> Result<(), PathError> {
    let path = temp.join(JOURNAL);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(PathError::on("remove", &path)),
    }
}

fn read(temp: &Path) -> Result<Option<Journal>, StagingError> {
    let path = temp.join(JOURNAL);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(PathError::on("read", &path))?,
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| StagingError::Journal { path: temp.to_owned(), reason: error.to_string() })
}

/// Completes what the dead owner of a leased directory had begun to publish; afterwards the directory is
/// garbage. `is_ours` tells whether a leased directory was made by somebody we trust.
pub(in crate::fs) fn settle(
    temp: &Path,
    is_ours: &dyn Fn(&Path) -> bool,
    now: DateTime<Utc>,
) -> Result<Settled, StagingError> {
    match read(temp)? {
        None => Ok(Settled::Garbage),
        Some(Journal::Changes(changes)) => complete(temp, &changes, is_ours),
        Some(Journal::At(first)) => settle_elsewhere(temp, Path::new(&first), is_ours, now),
    }
}

fn settle_elsewhere(
    temp: &Path,
    first: &Path,
    is_ours: &dyn Fn(&Path) -> bool,
    now: DateTime<Utc>,
) -> Result<Settled, StagingError> {
    let is_sound = first.is_absolute() && first.file_name().is_some_and(is_temp_name);
    if !is_sound || (first.exists() && !is_ours(first)) {
        return Err(distrust(temp));
    }
    match LeasedDirectory::take_over(first, now)? {
        Takeover::Live => return Ok(Settled::Busy),
        Takeover::Gone => {}
        // Its lease is the right to change the targets; who has it may do so alone.
        Takeover::Ours(leased) => {
            if let Some(Journal::Changes(changes)) = read(first)? {
                complete(first, &changes, is_ours)?;
            }
            leased.close()?;
        }
    }
    erase_one(temp)?;
    Ok(Settled::Garbage)
}

/// Nothing begun: nothing to do. Else the rest is made; where that fails, all is taken back.
fn complete(
    temp: &Path,
    changes: &[Change],
    is_ours: &dyn Fn(&Path) -> bool,
) -> Result<Settled, StagingError> {
    for change in changes {
        if !change.is_sound() || (change.temp().exists() && !is_ours(change.temp())) {
            return Err(distrust(temp));
        }
    }
    let mut has_begun = false;
    for change in changes {
        has_begun |= !change.is_waiting()?;
    }
    if has_begun {
        match changes.iter().try_for_each(|change| change.make(Way::Exchange)) {
            Ok(()) => changes.iter().try_for_each(Change::finish)?,
            Err(_) => changes.iter().rev().try_for_each(Change::undo)?,
        }
    }
    erase_one(temp)?;
    Ok(Settled::Garbage)
}

fn distrust(temp: &Path) -> StagingError {
    StagingError::Journal {
        path: temp.to_owned(),
        reason: "its journal names what is not its own".to_owned(),
    }
}
