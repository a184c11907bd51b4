//! One change of a publication: a staged thing and a target change places.
//!
//! How far a change has come can be read off the disk at any time, so a journal is written once, before
//! the first change, and never updated:
//!
//! | the staged thing's place holds | `old/<name>` | so the change |
//! |---|---|---|
//! | the staged thing (its inode says so) | is absent | has not begun |
//! | the staged thing | exists | stands between its two renames |
//! | something else: the old target | is absent | was made by an exchange |
//! | nothing | exists | was made by two renames |
//! | nothing | is absent | was made by a rename: there was no target |

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StagingError;
use crate::fs::busy;
use crate::fs::lease::{PAYLOAD, is_temp_name};
use crate::fs::mode;
use crate::fs::path_error::PathError;
use crate::fs::remove::remove_tree;

/// The staged tree's name in the payload.
pub(super) const TREE: &str = "tree";

/// The name in the payload of a target that is renamed away.
pub(super) const OLD: &str = "old";
/// How often a change is tried while others make and remove its target.
pub(super) const ATTEMPTS: u32 = 16;

/// How often an old tree is looked through for what its target lacks.
const SWEEPS: usize = 100;

/// How a target that exists is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In one call; by two renames where that cannot be done.
    Exchange,
    /// In one call or not at all: without a journal, two renames would not be completed after a kill.
    ExchangeOnly,
    /// Always by two renames.
    TwoRenames,
}

/// A staged thing that becomes the target beside its leased directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Change {
    /// The leased directory. The target lies beside it, by construction: no journal can name another.
    temp: OsString,
    /// The target's name.
    name: OsString,
    /// The inode of the staged thing; 0 where there are none.
    stamp: u64,
    /// The mode it gets in the end, where its own forbids to rename it.
    mode: Option<u32>,
    /// The mode of an empty directory that it replaces, which some systems can remove and not rename.
    #[serde(default)]
    empty: Option<u32>,
}

/// How far a change has come.
enum ChangeState {
    Waiting,
    Between,
    /// Made; the old target, where there was one, lies here.
    Made(Option<PathBuf>),
}

impl Change {
    /// The staged tree becomes the target.
    pub(super) fn new(temp: &Path, name: &OsStr) -> Result<Self, PathError> {
        let (temp, name) = (temp.as_os_str().to_owned(), name.to_owned());
        let mut change = Change { temp, name, stamp: 0, mode: None, empty: None };
        let staged = change.staged();
        let found = fs::symlink_metadata(&staged).map_err(PathError::on("read", &staged))?;
        change.stamp = inode(&found);
        change.mode = make_renamable(&staged, &found).map_err(PathError::on("change", &staged))?;
        Ok(change)
    }

    /// The same, where the target is an empty directory.
    pub(super) fn of_empty_directory(self) -> Result<Self, PathError> {
        let target = self.target();
        let found = fs::symlink_metadata(&target).map_err(PathError::on("read", &target))?;
        Ok(Change { empty: Some(mode::of(&found)), ..self })
    }

    /// The leased directory of the staged thing.
    pub(super) fn temp(&self) -> &Path {
        Path::new(&self.temp)
    }

    /// Whether this, read from a journal, is something that a publication can have written.
    pub(super) fn is_sound(&self) -> bool {
        let temp = self.temp();
        let mut parts = Path::new(&self.name).components();
        let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        is_name && temp.is_absolute() && temp.file_name().is_some_and(is_temp_name)
    }

    fn staged(&self) -> PathBuf {
        self.temp().join(PAYLOAD).join(TREE)
    }

    fn old(&self) -> PathBuf {
        self.temp().join(PAYLOAD).join(OLD).join(&self.name)
    }

    /// What changes places with the staged tree.
    pub(super) fn target(&self) -> PathBuf {
        self.temp().with_file_name(&self.name)
    }

    fn state(&self) -> Result<ChangeState, PathError> {
        let (staged, old) = (self.staged(), self.old());
        let has_old = look(&old)?.is_some();
        Ok(match look(&staged)? {
            Some(inode) if inode == self.stamp => {
                if has_old {
                    ChangeState::Between
                } else {
                    ChangeState::Waiting
                }
            }
            Some(_) => ChangeState::Made(Some(staged)),
            None => ChangeState::Made(has_old.then_some(old)),
        })
    }

    /// Whether nothing was done for this change yet.
    pub(super) fn is_waiting(&self) -> Result<bool, PathError> {
        Ok(matches!(self.state()?, ChangeState::Waiting))
    }

    /// Makes the change, or what is left of it: by a rename where the name is free, else by an exchange, or by two renames.
    pub(super) fn make(&self, way: Way) -> Result<(), StagingError> {
        let (staged, target) = (self.staged(), self.target());
        for _ in 0..ATTEMPTS {
            let between = match self.state()? {
                ChangeState::Made(_) => return Ok(()),
                ChangeState::Between => true,
                ChangeState::Waiting => false,
            };
            let found = match fs::symlink_metadata(&target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match rename_new(&staged, &target) {
                        Err(error) if is_taken(&error) => continue,
                        renamed => renamed.map_err(PathError::on("publish", &target))?,
                    }
                    continue;
                }
                found => found.map_err(PathError::on("read", &target))?,
            };
            if between && found.is_dir() {
                // Another process made the target while there was none: what it does not have is moved into it.
                sweep(&staged, &target)?;
                remove_tree(&staged).map_err(|error| error.first)?;
                continue;
            }
            if way != Way::TwoRenames {
                match exchange(&staged, &target) {
                    Ok(()) => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) if way == Way::ExchangeOnly => {
                        return Err(PathError::on("publish", &target)(error).into());
                    }
                    // Not supported or not permitted: two renames do the same, or fail with the true reason.
                    Err(_) => {}
                }
            }
            match self.rename_away(&target) {
                // Directories of an overlay's lower layers.
                Err(_) if self.empty.is_some() && fs::remove_dir(&target).is_ok() => {}
                renamed => renamed.map_err(PathError::on("publish", &target))?,
            }
        }
        let source = io::Error::other("another process keeps changing it");
        Err(PathError { action: "publish", path: target, source }.into())
    }

    fn rename_away(&self, target: &Path) -> io::Result<()> {
        let old = self.old();
        if let Some(place) = old.parent() {
            fs::create_dir_all(place)?;
        }
        match busy::rename(target, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Takes the change back.
    pub(super) fn undo(&self) -> Result<(), StagingError> {
        let (staged, target) = (self.staged(), self.target());
        let rename =
            |from: &Path, to: &Path| busy::rename(from, to).map_err(PathError::on("put back", &target));
        match self.state()? {
            ChangeState::Waiting => {}
            ChangeState::Between => rename(&self.old(), &target)?,
            // Another process has published since: the old tree is kept, since it may hold the only copy of something.
            ChangeState::Made(old) if look(&target)? != Some(self.stamp) => {
                if let Some(old) = old {
                    sweep(&old, &target)?;
                }
            }
            ChangeState::Made(None) => rename(&target, &staged)?,
            ChangeState::Made(Some(old)) if old == staged => {
                exchange(&staged, &target).map_err(PathError::on("put back", &target))?;
            }
            ChangeState::Made(Some(old)) => {
                rename(&target, &staged)?;
                rename(&old, &target)?;
            }
        }
        if let Some(mode) = self.empty
            && look(&target)?.is_none()
        {
            let made = fs::create_dir(&target).and_then(|()| mode::set_of_directory(&target, mode));
            made.map_err(PathError::on("put back", &target))?;
        }
        Ok(())
    }

    /// After all changes are made: final mode, and what came into the old target at the last moment.
    pub(super) fn finish(&self) -> Result<(), StagingError> {
        let target = self.target();
        if let ChangeState::Made(Some(old)) = self.state()? {
            sweep(&old, &target)?;
        }
        if let Some(mode) = self.mode
            && look(&target)? == Some(self.stamp)
        {
            mode::set_of_directory(&target, mode).map_err(PathError::on("change", &target))?;
        }
        Ok(())
    }
}

/// Moves all that `old` has and `new` has not: what others put into an old tree at the last moment. What is different in both stays as it is in `new`.
///
/// `new` is in use: nothing in it is replaced. If it was removed, there is nothing to do. Another process may exchange it while something
/// is moved there, after it has looked into it for the last time: so this looks again until nothing is missing.
fn sweep(old: &Path, new: &Path) -> Result<(), PathError> {
    for _ in 0..SWEEPS {
        if !sweep_once(old, new)? {
            break;
        }
    }
    Ok(())
}

/// Returns whether something was missing.
fn sweep_once(old: &Path, new: &Path) -> Result<bool, PathError> {
    let mut was_missing = false;
    let mut pairs: Vec<(PathBuf, PathBuf)> = vec![(old.to_owned(), new.to_owned())];
    while let Some((old, new)) = pairs.pop() {
        if !(is_directory(&old)? && is_directory(&new)?) {
            continue;
        }
        for entry in fs::read_dir(&old).map_err(PathError::on("read", &old))? {
            let entry = entry.map_err(PathError::on("read", &old))?;
            let (old, new) = (entry.path(), new.join(entry.file_name()));
            let kind = entry.file_type().map_err(PathError::on("read", &old))?;
            match fs::symlink_metadata(&new) {
                Ok(found) if found.is_dir() && kind.is_dir() => pairs.push((old, new)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    was_missing = true;
                    move_over(&old, &new, kind.is_file()).map_err(PathError::on("keep", &new))?;
                }
                Err(error) => return Err(PathError::on("read", &new)(error)),
            }
        }
    }
    Ok(was_missing)
}

fn is_directory(path: &Path) -> Result<bool, PathError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::on("read", path)(error)),
    }
}

fn move_over(old: &Path, new: &Path, is_file: bool) -> io::Result<()> {
    // A hard link never replaces a file that another process just made; a rename is for what knows no links.
    let moved = match is_file.then(|| fs::hard_link(old, new)) {
        // It is there already; or a directory is gone, and the next look tells which.
        Some(Err(error))
            if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) =>
        {
            return Ok(());
        }
        Some(Ok(())) => return Ok(()),
        _ => fs::rename(old, new),
    };
    match moved {
        // The source or the destination was removed meanwhile, on purpose: there is nothing to move.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The inode at a path, where there is something.
fn look(path: &Path) -> Result<Option<u64>, PathError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(inode(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PathError::on("read", path)(error)),
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

/// Without exchanges, names suffice to find out how far a change has come.
#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

/// Makes a staged directory one that can be renamed, which changes its `..` and so needs the right to write it. Returns
/// the mode to give it afterwards.
fn make_renamable(path: &Path, found: &fs::Metadata) -> io::Result<Option<u32>> {
    if found.is_dir() { mode::give_owner_access(path, found) } else { Ok(None) }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

/// Two paths change places in one step, where the system can do that.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Two paths change places in one step, where the system can do that.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Renames to a name that is free, and replaces nothing where the system can promise that.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    busy::rename(from, to)
}
