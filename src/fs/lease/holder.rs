//! Who holds a lease, for those who only look.

use std::fmt;
use std::fs::{self, TryLockError};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{LEASE, LeasedDirectory, has_no_locks, is_older_than_a_day, is_temp_name};
use crate::fs::open::{self, Links};
use crate::fs::path_error::PathError;
use crate::fs::read::read_regular;

/// How the purpose of a lease begins that keeps a directory from being trimmed.
const HOLDING: &str = "holding for ";

/// Upper bound for a lease that is read, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// The live owner of a leased directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The number of its process, where the lease can be read.
    process: Option<String>,
    /// What it holds the lease for.
    purpose: Option<String>,
}

impl Holder {
    /// Whether the lease is on the directory that it lies in, and all below.
    fn is_of_directory(&self) -> bool {
        self.purpose.as_ref().is_some_and(|purpose| purpose.starts_with(HOLDING))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some(process) => write!(f, "in use by process {process}")?,
            None => f.write_str("in use by another process")?,
        }
        match &self.purpose {
            Some(purpose) => write!(f, ", {purpose}"),
            None => Ok(()),
        }
    }
}

/// Leases a directory, with all that is in it, for a program until the value is dropped.
pub(crate) fn hold(
    directory: &Path,
    program: &str,
    now: DateTime<Utc>,
) -> Result<LeasedDirectory, PathError> {
    let program: String = program.chars().filter(|c| !c.is_control()).collect();
    LeasedDirectory::create_in(directory, &format!("{HOLDING}`{program}`"), now)
}

/// The live owner of a temporary directory; `None` if there is none. One that may not be looked at counts as live.
pub(crate) fn holder_of(temporary: &Path, now: DateTime<Utc>) -> Option<Holder> {
    let path = temporary.join(LEASE);
    let unknown = Holder { process: None, purpose: None };
    let lease = match open::file(&path, Links::Refused) {
        Ok(lease) => lease,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Some(unknown),
        Err(_) => return None,
    };
    // A shared lock, so that two processes that look do not take each other for the owner.
    match lease.try_lock_shared() {
        Ok(()) => return None,
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) if has_no_locks(&error) => {
            if lease.metadata().is_ok_and(|metadata| is_older_than_a_day(&metadata, now)) {
                return None;
            }
        }
        Err(TryLockError::Error(_)) => return Some(unknown),
    }
    // On Windows other processes cannot read what is locked.
    let text = read_regular(&path, MAX_BYTES).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.unwrap_or_default();
    let fact = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned)
    };
    Some(Holder { process: fact("pid"), purpose: fact("purpose") })
}

/// Whether recovery may take over a temporary directory: its owner is dead, or it has been without a lease for long.
pub(crate) fn is_abandoned(temporary: &Path, now: DateTime<Utc>) -> bool {
    if fs::symlink_metadata(temporary.join(LEASE)).is_ok() {
        return holder_of(temporary, now).is_none();
    }
    let is_empty = || fs::read_dir(temporary).is_ok_and(|mut entries| entries.next().is_none());
    is_empty() || fs::symlink_metadata(temporary).is_ok_and(|found| is_older_than_a_day(&found, now))
}

/// A live lease on this directory itself.
pub(crate) fn holder_of_directory(directory: &Path, now: DateTime<Utc>) -> Option<Holder> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let leased = entries.filter(|entry| is_temp_name(&entry.file_name())).map(|entry| entry.path());
    leased.into_iter().find_map(|path| holder_of(&path, now).filter(Holder::is_of_directory))
}

/// Live leases among these temporary directories, with the directories that they are on: a lease of another purpose is on
/// its own directory alone.
pub(crate) fn held_directories(temporary: &[PathBuf], now: DateTime<Utc>) -> Vec<(PathBuf, Holder)> {
    let held = |path: &PathBuf| {
        let holder = holder_of(path, now)?;
        let directory = if holder.is_of_directory() { path.parent()? } else { path };
        Some((directory.to_owned(), holder))
    };
    temporary.iter().filter_map(held).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn a_held_directory_is_held_until_its_lease_ends() {
        let place = tempfile::tempdir().expect("a place");
        assert_eq!(holder_of_directory(place.path(), now()), None);
        let lease = hold(place.path(), "make\n-j", now()).expect("held");
        let holder = holder_of_directory(place.path(), now()).expect("a holder");
        // Elsewhere who holds a lease cannot be read while it is held.
        if cfg!(unix) {
            let process = std::process::id();
            assert_eq!(holder.to_string(), format!("in use by process {process}, holding for `make-j`"));
        }
        let temporary = [lease.path().to_owned(), place.path().join(".cachekeep-none.tmp")];
        assert_eq!(held_directories(&temporary, now()), [(place.path().to_owned(), holder)]);
        let path = lease.path().to_owned();
        lease.leave();
        assert_eq!((holder_of(&path, now()), holder_of_directory(place.path(), now())), (None, None));
    }

    #[test]
    fn a_lease_of_another_purpose_is_on_its_own_directory() {
        let place = tempfile::tempdir().expect("a place");
        let lease = LeasedDirectory::create_in(place.path(), "restoring `x`", now()).expect("a lease");
        assert_eq!(holder_of_directory(place.path(), now()), None);
        let held = held_directories(&[lease.path().to_owned()], now());
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].0, lease.path());
    }
}
