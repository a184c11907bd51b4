//! Joining: what a target has and a staged tree has not is linked into the staged tree.
//!
//! The target is only read, and what was joined can be taken out again, for a merge in place. Files are shared by hard links, so no content is copied unless the file
//! system does not support hard links; directories and symbolic links are created.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use filetime::FileTime;
use tokio_util::sync::CancellationToken;

use super::error::StagingError;
use super::mount;
use crate::fs::path_error::PathError;
use crate::fs::remove::remove_tree;
use crate::fs::{cancel, link, mode};

/// A directory of the target and its counterpart in the staged tree.
struct JoinedPair {
    present: PathBuf,
    staged: PathBuf,
    /// Whether the counterpart was made here, and shall look like the directory in the target.
    is_new: bool,
}

/// What was made in a staged tree, but for hard links, which their inodes tell.
#[derive(Debug, Default)]
pub(super) struct Joined(Vec<PathBuf>);

/// Links all of `present` that `staged` has not into `staged`. Returns the number of these entries.
pub(super) fn join(
    present: &Path,
    staged: &Path,
    joined: &mut Joined,
    cancel: &CancellationToken,
) -> Result<u64, StagingError> {
    let mut kept = 0;
    let mut pairs =
        vec![JoinedPair { present: present.to_owned(), staged: staged.to_owned(), is_new: false }];
    while let Some(pair) = pairs.pop() {
        kept += join_one(&pair, &mut pairs, joined, cancel)?;
    }
    Ok(kept)
}

fn join_one(
    pair: &JoinedPair,
    pairs: &mut Vec<JoinedPair>,
    joined: &mut Joined,
    cancel: &CancellationToken,
) -> Result<u64, StagingError> {
    let present = read_metadata(&pair.present)?;
    let before = read_metadata(&pair.staged)?;
    let is_opened = mode::give_owner_access(&pair.staged, &before)
        .map_err(PathError::on("change", &pair.staged))?
        .is_some();
    let linked = join_entries(pair, pairs, joined, cancel);
    let moved = linked.and_then(|kept| Ok((kept, keep_owner(&pair.staged, &present, &before)?)));
    match moved {
        Ok(_) if pair.is_new => apply_metadata(&pair.staged, &present)?,
        Ok((0, false)) if !is_opened => {}
        // After an error as well: the tree may be merged as it was.
        _ => apply_metadata(&pair.staged, &before)?,
    }
    moved.map(|(kept, _)| kept)
}

fn join_entries(
    pair: &JoinedPair,
    pairs: &mut Vec<JoinedPair>,
    joined: &mut Joined,
    cancel: &CancellationToken,
) -> Result<u64, StagingError> {
    let mut kept = 0;
    for entry in fs::read_dir(&pair.present).map_err(PathError::on("read", &pair.present))? {
        let entry = entry.map_err(PathError::on("read", &pair.present))?;
        if cancel::is_cancelled(cancel) {
            return Err(StagingError::Cancelled(entry.path()));
        }
        let staged = pair.staged.join(entry.file_name());
        // Whatever is in a directory that was made goes with it.
        let mut inside = Joined::default();
        let notes = if pair.is_new { &mut inside } else { &mut *joined };
        kept += u64::from(join_entry(&entry.path(), &staged, pairs, notes)?);
    }
    Ok(kept)
}

/// Takes out of a staged tree what was joined into it, also where joining ended with an error.
pub(super) fn unjoin(present: &Path, staged: &Path, joined: &mut Joined) -> Result<(), StagingError> {
    for made in joined.0.drain(..) {
        remove_tree(&made).map_err(|error| error.first)?;
    }
    let mut left = vec![PathBuf::new()];
    while let Some(relative) = left.pop() {
        let directory = staged.join(&relative);
        for entry in fs::read_dir(&directory).map_err(PathError::on("read", &directory))? {
            let entry = entry.map_err(PathError::on("read", &directory))?;
            let path = relative.join(entry.file_name());
            let ours = entry.metadata().map_err(PathError::on("read", &entry.path()))?;
            if ours.is_dir() {
                left.push(path);
            } else if fs::symlink_metadata(present.join(&path)).is_ok_and(|theirs| is_same(&ours, &theirs)) {
                fs::remove_file(entry.path()).map_err(PathError::on("remove", &entry.path()))?;
            }
        }
    }
    Ok(())
}

/// Whether both are names of one file.
#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Names of one file cannot be told here, and to rename one to the other changes nothing.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Whether the entry had to be kept.
fn join_entry(
    present: &Path,
    staged: &Path,
    pairs: &mut Vec<JoinedPair>,
    joined: &mut Joined,
) -> Result<bool, StagingError> {
    let found = match fs::symlink_metadata(present) {
        // Another process removed it just now: it need not be kept.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found.map_err(PathError::on("read", present))?,
    };
    if found.is_dir() && mount::is_volume_root(present) {
        return Err(StagingError::NestedVolume(present.to_owned()));
    }
    let pair = |is_new| JoinedPair { present: present.to_owned(), staged: staged.to_owned(), is_new };
    match fs::symlink_metadata(staged) {
        Ok(ours) if ours.is_dir() && found.is_dir() => {
            pairs.push(pair(false));
            Ok(false)
        }
        Ok(ours) => {
            refuse_conflict(present, &found, &ours)?;
            // Where that cannot be done, it belongs to the user who restores.
            let _ = keep_owner(staged, &found, &ours);
            Ok(false)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PathError::on("read", staged)(error).into())
        }
        Err(_) if found.is_dir() => {
            fs::create_dir(staged).map_err(PathError::on("keep", present))?;
            joined.0.push(staged.to_owned());
            pairs.push(pair(true));
            Ok(true)
        }
        Err(_) => keep_file(present, &found, staged, joined),
    }
}

/// Refuses a directory with content where there would be something else. A file, a link or an empty directory makes way.
fn refuse_conflict(path: &Path, present: &Metadata, staged: &Metadata) -> Result<(), StagingError> {
    if !present.is_dir() || staged.is_dir() {
        return Ok(());
    }
    let mut entries = fs::read_dir(path).map_err(PathError::on("read", path))?;
    if entries.next().is_none() {
        return Ok(());
    }
    let (present, staged) = ("a directory with content", kind(staged));
    Err(StagingError::Conflict { path: path.to_owned(), present, staged })
}

fn kind(metadata: &Metadata) -> &'static str {
    match metadata.file_type() {
        kind if kind.is_symlink() => "a link",
        kind if kind.is_file() => "a file",
        _ => "a special file",
    }
}

fn keep_file(
    present: &Path,
    found: &Metadata,
    staged: &Path,
    joined: &mut Joined,
) -> Result<bool, StagingError> {
    if found.is_symlink() {
        joined.0.push(staged.to_owned());
        keep_link(present, found, staged)?;
        return Ok(true);
    }
    match fs::hard_link(present, staged) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // A directory shown at a second place has the same device, but links do not reach into it.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            Err(StagingError::NestedVolume(present.to_owned()))
        }
        Err(error) if !found.is_file() => Err(PathError::on("link", present)(error).into()),
        // No links on this file system, too many of them, or not of another user's file.
        Err(_) => {
            joined.0.push(staged.to_owned());
            fs::copy(present, staged).map_err(PathError::on("copy", present))?;
            keep_owner(staged, found, &read_metadata(staged)?)?;
            apply_metadata(staged, found)?;
            Ok(true)
        }
    }
}

fn keep_link(present: &Path, found: &Metadata, staged: &Path) -> Result<(), StagingError> {
    link::copy(present, staged).map_err(PathError::on("keep", present))?;
    keep_owner(staged, found, &read_metadata(staged)?)?;
    let (accessed, modified) = times(found);
    // Some file systems keep no times of links, and nothing depends on them.
    let _ = filetime::set_symlink_file_times(staged, accessed, modified);
    Ok(())
}

/// Gives a staged directory the owner, mode and times of the directory it will replace.
pub(super) fn apply_owner_and_mode(staged: &Path, present: &Metadata) -> Result<(), StagingError> {
    keep_owner(staged, present, &read_metadata(staged)?)?;
    let before = read_metadata(staged)?;
    fs::set_permissions(staged, present.permissions()).map_err(PathError::on("change", staged))?;
    let (accessed, modified) = times(&before);
    Ok(filetime::set_file_times(staged, accessed, modified).map_err(PathError::on("change", staged))?)
}

/// Mode and times, in this order: the mode of a directory may forbid nothing to its owner here.
fn apply_metadata(path: &Path, like: &Metadata) -> Result<(), PathError> {
    let (accessed, modified) = times(like);
    // Windows sets no times of what is read-only: times first there, and on Unix the order is free.
    filetime::set_file_times(path, accessed, modified).map_err(PathError::on("change", path))?;
    fs::set_permissions(path, like.permissions()).map_err(PathError::on("change", path))
}

fn times(metadata: &Metadata) -> (FileTime, FileTime) {
    (FileTime::from_last_access_time(metadata), FileTime::from_last_modification_time(metadata))
}

fn read_metadata(path: &Path) -> Result<Metadata, PathError> {
    fs::symlink_metadata(path).map_err(PathError::on("read", path))
}

/// Gives a staged entry the owner of the one it stands for. Returns whether it had another owner.
#[cfg(unix)]
pub(super) fn keep_owner(staged: &Path, present: &Metadata, ours: &Metadata) -> Result<bool, StagingError> {
    use std::os::unix::fs::{MetadataExt as _, lchown};
    if (present.uid(), present.gid()) == (ours.uid(), ours.gid()) {
        return Ok(false);
    }
    let uid = (present.uid() != ours.uid()).then_some(present.uid());
    let gid = (present.gid() != ours.gid()).then_some(present.gid());
    lchown(staged, uid, gid)
        .map_err(PathError::on("keep the owner of", staged))
        .map_err(StagingError::Unkept)?;
    Ok(true)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "Unix can fail")]
pub(super) fn keep_owner(_: &Path, _: &Metadata, _: &Metadata) -> Result<bool, StagingError> {
    Ok(false)
}
