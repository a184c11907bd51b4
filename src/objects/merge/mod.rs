//! Merging objects into a store, one by one: nothing unproven enters, nothing proven is replaced.
//!
//! An object comes under its final name complete and verified, by a link or a rename within one volume; from
//! another volume it is first copied into the temporary directory on the store's own, and the copy verified. A
//! kill leaves temporary files and nothing else. Offering again what is there changes nothing.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::layout::ObjectLayout;
use super::verified::VerifiedFiles;
use crate::domain::digest::ObjectId;
use crate::domain::hint::Hint;
use crate::domain::inventory::Presence;
use crate::fs::busy;
use crate::fs::cancel::Cancelled;

/// How often an object is offered anew when others write the same name meanwhile.
const ATTEMPTS: usize = 8;

/// What may become of the file that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// It is given away: moved where possible, and removed once the store holds its object.
    Move,
    /// It stays where it is: linked where possible, else copied.
    Keep,
}

/// The outcome of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merged {
    /// The store did not have the object.
    Added,
    /// The store has it, proven.
    Present,
    /// Something under the object's name that was not proven made way.
    Replaced,
}

/// Why an object did not enter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// What was offered is not the object, or cannot be proven to be.
    #[error("{}: refused as {object}: it {why}", .staged.display())]
    Refused {
        /// What was offered.
        staged: PathBuf,
        /// As what.
        object: ObjectId,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing tells whether what was offered is the object: a proof may.
    #[error("{}: refused as {object}: it {why}", .staged.display())]
    Unproven {
        /// What was offered.
        staged: PathBuf,
        /// As what.
        object: ObjectId,
        /// Why nothing is known.
        why: String,
    },
    /// Something other than a directory is in the way. Links count as such: they may lead out of the store.
    #[error("{}: not a directory, so that no object can be kept in it", .0.display())]
    NotADirectory(PathBuf),
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others kept changing what lies under the name.
    #[error("{}: changes all the time, another program writes to it", .0.display())]
    Contended(PathBuf),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Hint for MergeError {
    fn hint(&self) -> Option<String> {
        match self {
            MergeError::Refused { .. } => {
                Some("what was fetched is damaged or is something else; try another source".to_owned())
            }
            MergeError::Unproven { object, .. } => Some(format!(
                "name an IPFS gateway among the mirrors, which can prove it, or allow it by name: \
                 `allow-unverified = [\"{object}\"]`"
            )),
            MergeError::NotADirectory(_) => Some("move it out of the store".to_owned()),
            MergeError::Disk { source, .. } if source.kind() == ErrorKind::StorageFull => {
                Some("free space on the volume of the store".to_owned())
            }
            _ => None,
        }
    }
}

/// Puts objects into a store. May be shared by threads.
#[derive(Debug)]
pub(crate) struct Merger {
    root: PathBuf,
    layout: ObjectLayout,
    temp: PathBuf,
    verified: Arc<VerifiedFiles>,
    cancel: CancellationToken,
    directories: Mutex<HashSet<PathBuf>>,
    sequence: AtomicU64,
}

impl Merger {
    /// Merges into the store at `root`, which is created when needed. `temp` is an existing directory of this
    /// process alone on the same volume, which its owner removes in the end.
    pub(crate) fn new(
        root: &Path,
        layout: &ObjectLayout,
        temp: &Path,
        verified: &Arc<VerifiedFiles>,
        cancel: &CancellationToken,
    ) -> Self {
        Merger {
            root: root.to_owned(),
            layout: layout.clone(),
            temp: temp.to_owned(),
            verified: Arc::clone(verified),
            cancel: cancel.clone(),
            directories: Mutex::default(),
            sequence: AtomicU64::new(0),
        }
    }

    /// Offers a file as an object. It is verified first, and refused where it is not proven; then it comes under its final name, by a
    /// link or a rename, and counts as verified from then on. What is proven to be right there already stays.
    pub(crate) fn offer(&self, object: &ObjectId, staged: &Path, take: Take) -> Result<Merged, MergeError> {
        self.prove(object, staged)?;
        let relative = self.layout.path_of(object);
        self.ensure_directories(relative.parent().unwrap_or(Path::new("")))?;
        let target = self.root.join(&relative);
        for _ in 0..ATTEMPTS {
            let existing = self.existing(object, &target)?;
            let merged = match existing {
                Existing::Proven => Merged::Present,
                Existing::Absent if self.add(object, staged, &target, take)? => Merged::Added,
                Existing::Absent => continue,
                Existing::Unproven { is_directory } => {
                    self.replace(object, staged, &target, take, is_directory)?;
                    Merged::Replaced
                }
            };
            self.verified.forget(staged);
            if take == Take::Move {
                // The store's object may be a link to this file: nothing else may ever be written into it.
                remove(staged)?;
                // On Unix removing one of its names changed the attributes' time of the object.
                self.verified.restamp(&target);
            }
            return Ok(merged);
        }
        Err(MergeError::Contended(target))
    }

    fn prove(&self, object: &ObjectId, staged: &Path) -> Result<(), MergeError> {
        let verdict = self.verified.verify(&self.root, staged, object, &self.cancel, None);
        let (staged, object) = (staged.to_owned(), object.clone());
        match verdict.map_err(|e| disk_error(&staged, e))? {
            Presence::Verified { .. } | Presence::Allowed { .. } => Ok(()),
            Presence::Corrupt { why } => Err(MergeError::Refused { staged, object, why }),
            Presence::Unverifiable { why } => Err(MergeError::Unproven { staged, object, why }),
        }
    }

    fn existing(&self, object: &ObjectId, target: &Path) -> Result<Existing, MergeError> {
        let metadata = match fs::symlink_metadata(target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Existing::Absent),
            Err(error) => return Err(disk_error(target, error)),
        };
        let unproven = Existing::Unproven { is_directory: metadata.is_dir() };
        if !metadata.is_symlink() {
            correct_case(target).map_err(|e| disk_error(target, e))?;
        }
        match self.verified.verify(&self.root, target, object, &self.cancel, None) {
            Ok(Presence::Verified { .. } | Presence::Allowed { .. }) => Ok(Existing::Proven),
            Err(error) if Cancelled::is(&error) => Err(MergeError::Cancelled(Cancelled)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Existing::Absent),
            // What cannot be read cannot be proven either, and makes way for what is.
            Ok(_) | Err(_) => Ok(unproven),
        }
    }

    /// Publishes under a name that is free; false when it no longer is.
    fn add(&self, object: &ObjectId, staged: &Path, target: &Path, take: Take) -> Result<bool, MergeError> {
        // A link, unlike a rename, never replaces what another process put there meanwhile.
        match fs::hard_link(staged, target) {
            Ok(()) => {
                self.verified.carry(staged, target);
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(_) => {}
        }
        // Another volume, or one without links.
        let source = self.on_volume(object, staged, take)?;
        match fs::hard_link(&source, target) {
            Ok(()) => remove(&source)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // For the next attempt; where it was copied, it is still there.
                let _ = busy::rename(&source, staged);
                return Ok(false);
            }
            Err(_) => busy::rename(&source, target).map_err(|e| disk_error(target, e))?,
        }
        self.verified.carry(&source, target);
        Ok(true)
    }

    /// Publishes in place of something unproven, at no moment without a file under the name, but where that
    /// is a directory.
    fn replace(
        &self,
        object: &ObjectId,
        staged: &Path,
        target: &Path,
        take: Take,
        is_directory: bool,
    ) -> Result<(), MergeError> {
        let source = self.on_volume(object, staged, take)?;
        if is_directory {
            let aside = self.temporary();
            busy::rename(target, &aside).map_err(|e| disk_error(target, e))?;
        }
        busy::rename(&source, target).map_err(|e| disk_error(target, e))?;
        self.verified.carry(&source, target);
        Ok(())
    }

    /// A file on the store's volume that may be renamed: the staged one itself, a link to it, or a verified copy.
    fn on_volume(&self, object: &ObjectId, staged: &Path, take: Take) -> Result<PathBuf, MergeError> {
        let name = self.temporary();
        let moved = match take {
            Take::Move => busy::rename(staged, &name),
            Take::Keep => fs::hard_link(staged, &name),
        };
        if moved.is_ok() {
            self.verified.carry(staged, &name);
            return Ok(name);
        }
        fs::copy(staged, &name).map_err(|e| disk_error(&name, e))?;
        self.prove(object, &name)?;
        Ok(name)
    }

    fn temporary(&self) -> PathBuf {
        self.temp.join(format!("object-{}", self.sequence.fetch_add(1, Ordering::Relaxed)))
    }

    /// Makes the directories of a path below the root, each a real one with a name of the right case.
    fn ensure_directories(&self, relative: &Path) -> Result<(), MergeError> {
        let known = || self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(relative) {
            return Ok(());
        }
        fs::create_dir_all(&self.root).map_err(|e| disk_error(&self.root, e))?;
        let mut path = self.root.clone();
        for name in relative {
            path.push(name);
            match fs::create_dir(&path) {
                Ok(()) => continue,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(disk_error(&path, error)),
            }
            if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                return Err(MergeError::NotADirectory(path));
            }
            correct_case(&path).map_err(|e| disk_error(&path, e))?;
        }
        known().insert(relative.to_owned());
        Ok(())
    }
}

enum Existing {
    Absent,
    Proven,
    Unproven { is_directory: bool },
}

/// Gives what lies at a path this very name, where file systems find `cid` under `CID`: otherwise it would be
/// missed by a listing of the directory. Not for links.
fn correct_case(path: &Path) -> io::Result<()> {
    if cfg!(not(any(windows, target_os = "macos"))) {
        return Ok(());
    }
    let real = fs::canonicalize(path)?;
    let names = (real.file_name().and_then(OsStr::to_str), path.file_name().and_then(OsStr::to_str));
    match names {
        (Some(found), Some(wanted)) if found != wanted && found.eq_ignore_ascii_case(wanted) => {
            fs::rename(&real, real.with_file_name(wanted))
        }
        _ => Ok(()),
    }
}

/// Removes a name of a file; one that was moved away is gone already.
fn remove(path: &Path) -> Result<(), MergeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(disk_error(path, error)),
        _ => Ok(()),
    }
}

fn disk_error(path: &Path, source: io::Error) -> MergeError {
    if Cancelled::is(&source) {
        MergeError::Cancelled(Cancelled)
    } else {
        MergeError::Disk { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests;
