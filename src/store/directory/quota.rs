//! What processes that keep the quota of a directory store share: a lock, a note for its holder, and a record.
//!
//! One process at a time keeps the quota. A process that finds the lock taken leaves a note
//! and tries the lock once more: either it gets it, or its holder, who looks for the note after it has released the
//! lock, does the work once more. So every entry is counted by some process after it was saved.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::lease::Locked;
use crate::fs::atomic;
use crate::fs::path_error::PathError;
use crate::fs::read::read_regular;
use crate::store::backend::layout;

/// The file whose lock the process holds that keeps the quota.
const LOCK: &str = "quota.lock";

/// The note that entries were saved meanwhile.
const NOTE: &str = "quota.again";

/// The record.
const RECORD: &str = "quota.json";

/// Upper bound for the record, in bytes: a line for each repository.
const MAX_RECORD: u64 = 1 << 20;

/// What was done for the quota of a store so far, and what its repositories protect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct QuotaRecord {
    /// Entries that were deleted.
    pub(crate) evicted: u64,
    /// Their bytes.
    pub(crate) evicted_bytes: u64,
    /// When the last of them was deleted.
    pub(crate) last_eviction: Option<DateTime<Utc>>,
    /// The globs under `protect` of each repository that has some, by its name.
    pub(crate) protect: BTreeMap<String, Vec<String>>,
}

/// The files of a store by which its quota is kept. They lie among the uploads, where recovery looks.
pub(crate) struct QuotaFiles {
    directory: PathBuf,
}

/// Proof that no other process keeps the quota, until it is dropped.
pub(crate) struct QuotaLock {
    _lock: Locked,
}

impl QuotaFiles {
    /// Those of the store in a directory. Does no I/O.
    pub(crate) fn of(store: &Path) -> Self {
        QuotaFiles { directory: store.join(layout::UPLOADS) }
    }

    /// Takes the lock; `None` if another process holds it, who then looks once more for what was saved.
    pub(crate) fn try_lock(&self) -> Result<Option<QuotaLock>, PathError> {
        if let Some(lock) = self.try_lock_once()? {
            return Ok(Some(lock));
        }
        let note = self.directory.join(NOTE);
        fs::write(&note, "").map_err(PathError::on("write", &note))?;
        self.try_lock_once()
    }

    fn try_lock_once(&self) -> Result<Option<QuotaLock>, PathError> {
        let path = self.directory.join(LOCK);
        let lock = Locked::try_now(&path).map_err(PathError::on("lock", &path))?;
        Ok(lock.map(|lock| QuotaLock { _lock: lock }))
    }

    /// Whether another process left a note.
    pub(crate) fn has_note(&self) -> bool {
        self.directory.join(NOTE).symlink_metadata().is_ok()
    }

    /// Removes the note: entries that are listed from now on are counted.
    pub(crate) fn take_note(&self, _lock: &QuotaLock) -> Result<(), PathError> {
        let note = self.directory.join(NOTE);
        match fs::remove_file(&note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PathError::on("remove", &note)(error))
            }
            _ => Ok(()),
        }
    }

    /// The record; `None` if the store never had a quota. One that cannot be read counts as none.
    pub(crate) fn record(&self) -> Option<QuotaRecord> {
        let bytes = read_regular(&self.directory.join(RECORD), MAX_RECORD).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes the record.
    pub(crate) fn write(
        &self,
        record: &QuotaRecord,
        now: DateTime<Utc>,
        _lock: &QuotaLock,
    ) -> Result<(), PathError> {
        let path = self.directory.join(RECORD);
        let bytes = serde_json::to_vec(record).map_err(PathError::on("write", &path))?;
        atomic::write(&path, &bytes, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, QuotaFiles) {
        let store = tempfile::tempdir().expect("a directory");
        fs::create_dir(store.path().join(layout::UPLOADS)).expect("made");
        let files = QuotaFiles::of(store.path());
        (store, files)
    }

    #[test]
    fn a_process_that_comes_second_leaves_a_note() {
        let (_store, files) = files();
        let lock = files.try_lock().expect("an answer").expect("it is free");
        assert!(!files.has_note());
        assert!(files.try_lock().expect("an answer").is_none());
        assert!(files.has_note());
        files.take_note(&lock).expect("taken");
        files.take_note(&lock).expect("there is none");
        assert!(!files.has_note());
        drop(lock);
        assert!(files.try_lock().expect("an answer").is_some());
    }

    #[test]
    fn a_record_comes_back_and_a_broken_one_is_none() {
        let (store, files) = files();
        assert_eq!(files.record(), None);
        let lock = files.try_lock().expect("an answer").expect("it is free");
        let protect = BTreeMap::from([("github.com/o/n".to_owned(), vec!["x-*".to_owned()])]);
        let record = QuotaRecord { evicted: 3, evicted_bytes: 5, last_eviction: Some(Utc::now()), protect };
        files.write(&record, Utc::now(), &lock).expect("written");
        assert_eq!(files.record(), Some(record));
        fs::write(store.path().join("uploads").join(RECORD), "{").expect("written");
        assert_eq!(files.record(), None);
    }
}
