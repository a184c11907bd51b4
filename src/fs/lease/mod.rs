//! Leased directories: temporary directories that prove whether their owner lives.
//!
//! Every temporary thing is a directory `.cachekeep-<token>.tmp`, made where it is needed, with a file
//! `lease` on which its owner holds an exclusive lock. The kernel drops that lock on any death, SIGKILL
//! and power loss included; so a lease that can be locked has no living owner. This needs no process id to
//! stay unique, and works between containers, and over NFS where the server has locks. The contents of
//! the lease (program, process, boot, time, purpose) are for people.
//!
//! The races, and who wins them:
//! - The owner makes the directory, makes and locks the lease, and only then checks that the path still
//!   names the file it locked. A recoverer may have removed it in between: the owner starts again
//!   under another token.
//! - A recoverer that has the lock removes everything else first, the lease next, the directory last. It
//!   may be killed at any point; the next one continues. Two of them cannot hold one lock.
//! - A directory without a lease is one whose owner is about to write it, or one that is almost removed:
//!   it may go if it is empty, or if it is older than a day.
//!
//! [`holder`] tells who holds a lease, and leases a directory that already exists.
//!
//! Children do not keep a lease alive: files are opened close-on-exec (std's default), so a child that
//! outlives its parent holds no copy of the lock. Where locks do not exist, age decides: a lease
//! older than a day counts as abandoned.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::open::{self, Links};
use super::path_error::PathError;
use super::read::read_regular;
use super::remove::remove_tree;
use super::time;
use crate::domain::names::{self, TEMPORARY_PREFIX, TEMPORARY_SUFFIX};

pub(crate) mod holder;

const LEASE: &str = "lease";
pub(super) const PAYLOAD: &str = "payload";
/// A leased directory with this file takes part in a publication: it may hold the only copy of
/// something, and is removed only by the recovery that finishes the journal (`staging`).
pub(super) const JOURNAL: &str = "journal";
/// Upper bound for the kernel's name of a boot, in bytes.
const MAX_BOOT_ID: u64 = 256;
/// How often another token is tried before the owner gives up.
const ATTEMPTS: u32 = 32;

/// Whether a name is that of a temporary directory of this program.
pub(crate) fn is_temp_name(name: &OsStr) -> bool {
    names::is_temporary(name.as_encoded_bytes())
}

/// A temporary directory that belongs to this process while the value lives.
///
/// Dropping it removes it, silently; [`close`](Self::close) does the same and reports.
#[derive(Debug)]
pub(crate) struct LeasedDirectory {
    path: PathBuf,
    payload: PathBuf,
    /// Holds the lock; `None` once closed or left.
    lease: Option<File>,
}

/// The outcome of an attempt to take over a leased directory.
#[derive(Debug)]
pub(super) enum Takeover {
    /// Its owner has ended: it belongs to this process now.
    Ours(LeasedDirectory),
    /// Its owner lives, or has not locked its lease yet.
    Live,
    /// It was removed meanwhile.
    Gone,
}

impl LeasedDirectory {
    /// Makes a temporary directory in an existing directory.
    ///
    /// `purpose` and `now` are recorded in the lease, for people who find it.
    pub(crate) fn create_in(parent: &Path, purpose: &str, now: DateTime<Utc>) -> Result<Self, PathError> {
        for _ in 0..ATTEMPTS {
            let token = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
            let path = parent.join(format!("{TEMPORARY_PREFIX}{token}{TEMPORARY_SUFFIX}"));
            if let Some(leased) = Self::try_create(&path, purpose, now)
                .map_err(PathError::on("make a temporary directory in", parent))?
            {
                return Ok(leased);
            }
        }
        let source = io::Error::other("it disappears as fast as it is made");
        Err(PathError { action: "make a temporary directory in", path: parent.to_owned(), source })
    }

    /// `None` where the name is taken or a recoverer was faster.
    fn try_create(path: &Path, purpose: &str, now: DateTime<Utc>) -> io::Result<Option<Self>> {
        match make_private(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        }
        let created = Self::claim_new(path, purpose, now);
        if !matches!(created, Ok(Some(_))) {
            // Best effort: what stays is an unlocked lease or an empty directory, and recovery takes both.
            let _ = fs::remove_file(path.join(LEASE));
            let _ = fs::remove_dir(path);
        }
        created
    }

    fn claim_new(path: &Path, purpose: &str, now: DateTime<Utc>) -> io::Result<Option<Self>> {
        let lease_path = path.join(LEASE);
        let mut lease = match File::options().read(true).write(true).create_new(true).open(&lease_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match lease.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if !has_no_locks(&error) => return Err(error),
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        if !is_same_file(&lease_path, &lease)? {
            return Ok(None);
        }
        lease.write_all(facts(purpose, now).as_bytes())?;
        let payload = path.join(PAYLOAD);
        fs::create_dir(&payload)?;
        Ok(Some(LeasedDirectory { path: path.to_owned(), payload, lease: Some(lease) }))
    }

    /// Takes over what a dead owner left.
    pub(super) fn take_over(path: &Path, now: DateTime<Utc>) -> Result<Takeover, PathError> {
        Self::try_take_over(path, now).map_err(PathError::on("take over", path))
    }

    fn try_take_over(path: &Path, now: DateTime<Utc>) -> io::Result<Takeover> {
        let lease_path = path.join(LEASE);
        let lease = match open::file_with(File::options().read(true).write(true), &lease_path, Links::Refused)
        {
            Ok(lease) => lease,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return without_lease(path, now),
            Err(error) => return Err(error),
        };
        match lease.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Takeover::Live),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                if !is_older_than_a_day(&lease.metadata()?, now) {
                    return Ok(Takeover::Live);
                }
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_same_file(&lease_path, &lease)? {
            // Another process recovered it, or another file took the lease's name: only what is gone was removed.
            let is_gone = fs::symlink_metadata(path).is_err();
            return Ok(if is_gone { Takeover::Gone } else { Takeover::Live });
        }
        Ok(Takeover::Ours(LeasedDirectory {
            path: path.to_owned(),
            payload: path.join(PAYLOAD),
            lease: Some(lease),
        }))
    }

    /// The temporary directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An empty directory inside, on the same volume, for whatever the owner needs.
    pub(crate) fn payload(&self) -> &Path {
        &self.payload
    }

    /// Removes it and everything in it.
    pub(crate) fn close(mut self) -> Result<(), PathError> {
        self.remove()
    }

    /// Releases the lease without removing anything; recovery finishes the work.
    pub(super) fn leave(mut self) {
        if let Some(lease) = self.lease.take() {
            // Closing would do, but for a child between its fork and its exec.
            let _ = lease.unlock();
        }
    }

    fn remove(&mut self) -> Result<(), PathError> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        empty_but_for_lease(&self.path)?;
        let lease_path = self.path.join(LEASE);
        gone_is_fine(fs::remove_file(&lease_path)).map_err(PathError::on("remove", &lease_path))?;
        // Windows removes a directory only after the last handle inside it is closed.
        drop(lease);
        match gone_is_fine(fs::remove_dir(&self.path)) {
            // There the name of a file stays until the last process has closed it: one that looks whether this lease is held
            // may have it open. Recovery takes directories that are empty.
            Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.map_err(PathError::on("remove", &self.path)),
        }
    }
}

impl Drop for LeasedDirectory {
    fn drop(&mut self) {
        if self.lease.is_some() && self.path.join(JOURNAL).symlink_metadata().is_err() {
            let _ = self.remove();
        }
    }
}

/// Removes everything in a leased directory except its lease; goes on after an error and reports the first.
fn empty_but_for_lease(path: &Path) -> Result<(), PathError> {
    let mut first = None;
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(PathError::on("read", path))?,
    };
    for entry in entries {
        let entry = entry.map_err(PathError::on("read", path))?;
        if entry.file_name() != LEASE
            && let Err(error) = remove_tree(&entry.path())
        {
            first.get_or_insert(error.first);
        }
    }
    first.map_or(Ok(()), Err)
}

/// Whether a directory that has no lease may be removed.
fn without_lease(path: &Path, now: DateTime<Utc>) -> io::Result<Takeover> {
    match fs::remove_dir(path) {
        Ok(()) => return Ok(Takeover::Gone),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Takeover::Gone),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        Err(error) => return Err(error),
    }
    if !is_older_than_a_day(&fs::symlink_metadata(path)?, now) {
        return Ok(Takeover::Live);
    }
    // With a lease, the directory is recovered as any other, also when several processes find it at once.
    match File::options().write(true).create_new(true).open(path.join(LEASE)) {
        Ok(lease) => drop(lease),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Takeover::Gone),
        Err(error) => return Err(error),
    }
    LeasedDirectory::try_take_over(path, now)
}

fn is_older_than_a_day(metadata: &fs::Metadata, now: DateTime<Utc>) -> bool {
    let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    now - time::instant(changed) > TimeDelta::days(1)
}

fn facts(purpose: &str, now: DateTime<Utc>) -> String {
    let mut facts = format!(
        "{} {}\npid {}\nstarted {}\npurpose {purpose}\n",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        now.to_rfc3339_opts(SecondsFormat::Secs, true),
    );
    let boot = read_regular(Path::new("/proc/sys/kernel/random/boot_id"), MAX_BOOT_ID);
    if let Some(boot) = boot.ok().and_then(|boot| String::from_utf8(boot).ok()) {
        facts.push_str("boot ");
        facts.push_str(&boot);
    }
    facts
}

/// Makes a directory that other users cannot enter, since what lies in it is unfinished.
fn make_private(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whether a path still names the file that was opened. Tokens are never used twice, so where files have
/// no identity that std knows of, existence is enough.
pub(crate) fn is_same_file(path: &Path, file: &File) -> io::Result<bool> {
    let by_name = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata?,
    };
    let opened = file.metadata()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Ok((by_name.dev(), by_name.ino()) == (opened.dev(), opened.ino()))
    }
    #[cfg(not(unix))]
    Ok(by_name.is_file() && opened.is_file())
}

/// Whether an error means that this file system (or its server) does not support locks.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::NOLCK) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
