//! Leases of readers: a shared lock on the file that is being read.
//!
//! A reader takes a shared lock on the entry's own file, through the handle that it reads from; a deleter takes an
//! exclusive lock first and does not wait for it. So a lease does not need a file of its own: it works in stores that
//! the reader may not write, leaves nothing behind, and ends with the process, because the kernel releases the locks
//! of dead processes. Machines that share a file system share its locks.
//!
//! The races, and who wins them:
//! - The reader opens, then locks, then checks that the path still names the file that it opened. If a deleter was
//!   faster, the entry has vanished.
//! - The deleter locks, checks the same, and removes the file before it unlocks. A reader that comes meanwhile
//!   finds the lock taken, tries again, and finds the file gone.
//! - A check whether an entry is leased holds the exclusive lock for a moment; therefore readers and deleters try
//!   more than once.
//!
//! On a file system without locks there are no leases. An open file is then still readable on Unix after it was
//! deleted, except over a network, where a restore becomes a miss.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::fs::lease::{has_no_locks, is_same_file};
use crate::fs::open::{self, Links};

/// How often an exclusive lock is tried: a check whether the entry is leased holds it for a moment.
const ATTEMPTS: u32 = 3;

/// The pause between two attempts: many times as long as a check takes.
const PAUSE: Duration = Duration::from_millis(2);

/// A file whose lock is released on drop.
pub(super) struct Locked(File);

impl Locked {
    /// A file under a shared lock; `None` if it cannot be had.
    pub(super) fn shared(file: File) -> Option<Self> {
        file.try_lock_shared().is_ok().then_some(Self(file))
    }

    /// Opens a lock file, creates it if necessary, and waits for its exclusive lock.
    pub(super) fn wait(path: &Path) -> io::Result<Self> {
        let file = open_lock_file(path)?;
        file.lock()?;
        Ok(Self(file))
    }

    /// The same without waiting; `None` if another process holds the lock. The file of a file system without locks
    /// is returned as if it were locked.
    pub(super) fn try_now(path: &Path) -> io::Result<Option<Self>> {
        let file = open_lock_file(path)?;
        let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        Ok((!taken).then_some(Self(file)))
    }
}

fn open_lock_file(path: &Path) -> io::Result<File> {
    open::file_with(File::options().create(true).truncate(false).write(true), path, Links::Refused)
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough while a child of this process is between fork and exec.
        let _ = self.0.unlock();
    }
}

/// A lease on an entry from its publication on: who created it reads it back, and until then no other process deletes it.
pub(super) type Fresh = Arc<Mutex<Option<Locked>>>;

/// The outcome of opening an entry to read it.
pub(super) enum Held {
    /// Leased until this is dropped.
    Leased(Locked),
    /// The entry does not exist.
    Gone,
    /// Another process deletes it, or checks whether it is leased.
    Contended,
}

/// The outcome of taking the exclusive lock on an entry.
pub(super) enum Claimed {
    /// No process reads it or can begin to, until this is dropped.
    Alone(Locked),
    /// A live process reads it.
    Leased,
    /// The entry does not exist.
    Gone,
}

/// Opens an entry and leases it by a shared lock: no cleaner deletes it until the file is dropped. Where another process holds the lock
/// alone, or the entry was deleted or replaced meanwhile, it says so.
pub(super) fn hold(path: &Path) -> io::Result<Held> {
    let file = match open::file(path, Links::Refused) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Gone),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => return Ok(Held::Contended),
        Err(TryLockError::Error(error)) if !has_no_locks(&error) => return Err(error),
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let file = Locked(file);
    Ok(if is_same_file(path, &file)? { Held::Leased(file) } else { Held::Gone })
}

/// Takes the exclusive lock on an entry, unless a process reads it.
pub(super) fn claim(path: &Path) -> io::Result<Claimed> {
    let file = match open_to_lock(path) {
        Err(error) if is_no_file(&error) => return Ok(Claimed::Gone),
        opened => opened?,
    };
    for attempt in 1.. {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(Claimed::Leased),
            Err(TryLockError::Error(error)) if !has_no_locks(&error) => return Err(error),
            Ok(()) | Err(TryLockError::Error(_)) => break,
        }
    }
    let file = Locked(file);
    Ok(if is_same_file(path, &file)? { Claimed::Alone(file) } else { Claimed::Gone })
}

/// Opens a file for writing where that is allowed: NFS grants exclusive locks on files open for writing only.
fn open_to_lock(path: &Path) -> io::Result<File> {
    match open::file_with(File::options().read(true).write(true), path, Links::Refused) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            open::file(path, Links::Refused)
        }
        opened => opened,
    }
}

fn is_no_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy of the file, as a child has it between fork and exec, must not prolong the lock.
    #[test]
    fn a_lock_file_is_free_at_once_although_a_copy_of_it_is_open() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("lock");
        let locked = Locked::wait(&path).expect("locked");
        let _copy = locked.try_clone().expect("a copy");
        assert!(Locked::try_now(&path).expect("an answer").is_none());
        drop(locked);
        assert!(Locked::try_now(&path).expect("an answer").is_some());
    }

    fn entry() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("k.tar.zst");
        std::fs::write(&path, "bytes").expect("a file");
        (directory, path)
    }

    fn held(path: &Path) -> Locked {
        match hold(path).expect("opened") {
            Held::Leased(file) => file,
            Held::Gone | Held::Contended => panic!("no other process has it"),
        }
    }

    #[test]
    fn any_number_of_readers_keeps_the_deleter_out_until_the_last_has_ended() {
        let (_directory, path) = entry();
        let (one, two) = (held(&path), held(&path));
        assert!(matches!(claim(&path), Ok(Claimed::Leased)));
        drop(one);
        assert!(matches!(claim(&path), Ok(Claimed::Leased)));
        drop(two);
        assert!(matches!(claim(&path), Ok(Claimed::Alone(_))));
    }

    #[test]
    fn a_reader_that_comes_while_it_is_deleted_finds_it_gone_afterwards() {
        let (_directory, path) = entry();
        let Ok(Claimed::Alone(lock)) = claim(&path) else { panic!("it is not being read") };
        assert!(matches!(hold(&path), Ok(Held::Contended)));
        std::fs::remove_file(&path).expect("removed");
        drop(lock);
        assert!(matches!(hold(&path), Ok(Held::Gone)));
        assert!(matches!(claim(&path), Ok(Claimed::Gone)));
    }

    #[test]
    fn a_lease_needs_no_right_to_write() {
        let (_directory, path) = entry();
        let mut permissions = std::fs::metadata(&path).expect("facts").permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).expect("read-only");
        let reader = held(&path);
        assert!(matches!(claim(&path), Ok(Claimed::Leased)));
        drop(reader);
        assert!(matches!(claim(&path), Ok(Claimed::Alone(_))));
    }
}
