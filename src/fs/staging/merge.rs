//! A merge in place: the files of a staged tree are renamed into a target that is in use, one by one.
//!
//! The journal is written once, before the first rename, and how far a merge has come can be read off the disk: what is still in the
//! staged tree has not been moved. So it is completed by beginning again. What is replaced is first given a second name in `old`, and
//! what is added is noted in a log (`undo`): a merge that cannot be completed is taken back.
//!
//! Directories are opened without following links, and everything is renamed by its name in an open directory. A directory that
//! only the staged tree has is renamed whole. A file, a link or an empty directory in the way is replaced.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::change::{ATTEMPTS, OLD, TREE};
use super::error::StagingError;
use super::undo::{Deed, UndoLog};
use crate::fs::handle::{Found, Handle};
use crate::fs::lease::{PAYLOAD, is_temp_name};
use crate::fs::path_error::PathError;
use crate::fs::{cancel, mode};

/// The bits that let an owner list, enter and change a directory.
const OWNER_ACCESS: u32 = 0o700;

/// How many directories keep the mode and time that they have in the staged tree: a bound for the journal.
const MOST_DIRECTORIES: usize = 200_000;

/// A staged tree that is merged into the target in or beside which its leased directory lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Merge {
    /// The leased directory.
    temp: OsString,
    /// The target's name beside the leased directory; `None` where that lies in the target.
    name: Option<OsString>,
    /// What directories look like in the end, parents first.
    directories: Vec<DirectoryLook>,
}

/// How a directory looks after a merge.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct DirectoryLook {
    relative: OsString,
    mode: u32,
    modified: (i64, u32),
}

/// A merge as it was planned.
pub(super) struct Planned {
    pub(super) merge: Merge,
    /// Entries that the target has and the staged tree has not, in directories that both have.
    pub(super) kept: u64,
}

impl Merge {
    /// Looks at both trees and changes nothing in the target. `unchanged` are directories that keep mode and time.
    ///
    /// # Errors
    /// What would have to be changed cannot be, or a directory that is not empty is in the way of a file.
    pub(super) fn plan(
        temp: &Path,
        name: Option<&OsStr>,
        unchanged: &BTreeSet<PathBuf>,
        cancel: &CancellationToken,
    ) -> Result<Planned, StagingError> {
        let merge = Merge { temp: temp.into(), name: name.map(OsStr::to_owned), directories: Vec::new() };
        let mut planned = Planned { merge, kept: 0 };
        let (staged, target) = (planned.merge.staged(), planned.merge.target());
        let before = staged.symlink_metadata().map_err(PathError::on("read", &staged))?;
        mode::give_owner_access(&staged, &before).map_err(PathError::on("change", &staged))?;
        let trees = Trees::open(&staged, &target)?;
        let mut left = vec![PathBuf::new()];
        while let Some(relative) = left.pop() {
            if cancel::is_cancelled(cancel) {
                return Err(StagingError::Cancelled(target));
            }
            planned.directory(&trees, &relative, unchanged, &mut left)?;
        }
        Ok(planned)
    }

    /// The leased directory.
    pub(super) fn temp(&self) -> &Path {
        Path::new(&self.temp)
    }

    /// Whether this, read from a journal, is something that a publication can have written.
    pub(super) fn is_sound(&self) -> bool {
        let is_name = |name: &OsString| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        };
        self.temp().is_absolute()
            && self.temp().file_name().is_some_and(is_temp_name)
            && self.name.as_ref().is_none_or(is_name)
    }

    fn staged(&self) -> PathBuf {
        self.temp().join(PAYLOAD).join(TREE)
    }

    fn payload(&self) -> PathBuf {
        self.temp().join(PAYLOAD)
    }

    /// The directory that is merged into.
    pub(super) fn target(&self) -> PathBuf {
        match &self.name {
            Some(name) => self.temp().with_file_name(name),
            None => self.temp().parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// Whether nothing was done for it yet.
    pub(super) fn is_waiting(&self) -> bool {
        !UndoLog::exists(self.temp()) && self.payload().join(OLD).symlink_metadata().is_err()
    }

    /// Moves what is left in the staged tree.
    pub(super) fn make(&self) -> Result<(), StagingError> {
        let (staged, target) = (self.staged(), self.target());
        let mut merging = Merging {
            trees: Trees::open(&staged, &target)?,
            payload: open(&self.payload())?,
            log: UndoLog::of(self.temp()),
        };
        let mut left = vec![PathBuf::new()];
        while let Some(relative) = left.pop() {
            merging.directory(&relative, &mut left)?;
        }
        Ok(())
    }

    /// Puts back what was replaced and takes out what was added.
    pub(super) fn undo(&self) -> Result<(), StagingError> {
        let (staged, target) = (self.staged(), self.target());
        let trees = Trees::open(&staged, &target)?;
        let deeds = UndoLog::backwards(self.temp())?;
        for deed in &deeds {
            if let Deed::Added(path) = deed {
                take_out(&trees, path).map_err(PathError::on("put back", &target.join(path)))?;
            }
        }
        put_back(&self.payload(), &trees.target, &target)?;
        for deed in &deeds {
            let (path, undone) = match deed {
                Deed::Added(_) => continue,
                Deed::Emptied(path) => (path, make_again(&trees.target, path)),
                Deed::Opened(path, mode) => (path, close_again(&trees.target, path, *mode)),
            };
            undone.map_err(PathError::on("put back", &target.join(path)))?;
        }
        Ok(())
    }

    /// After everything is moved: modes and times of directories, as far as this user may set them.
    pub(super) fn finish(&self) -> Result<(), StagingError> {
        let target = self.target();
        let root = open(&target)?;
        for look in self.directories.iter().rev() {
            let relative = Path::new(&look.relative);
            let (Some(parent), Some(name)) = (relative.parent(), relative.file_name()) else { continue };
            // Another process may have removed it, and the owner may be another user.
            if let Ok(parent) = root.walk(parent) {
                let _ = parent.set_modified(name, look.modified);
                let _ = parent.set_mode(name, look.mode);
            }
        }
        Ok(())
    }
}

/// The staged tree and the target, open.
struct Trees<'a> {
    staged: Handle,
    target: Handle,
    staged_path: &'a Path,
    target_path: &'a Path,
}

impl<'a> Trees<'a> {
    fn open(staged_path: &'a Path, target_path: &'a Path) -> Result<Self, StagingError> {
        Ok(Trees { staged: open(staged_path)?, target: open(target_path)?, staged_path, target_path })
    }

    /// A directory in both.
    fn pair(&self, relative: &Path) -> Result<(Handle, Handle), StagingError> {
        let staged = self.staged.walk(relative);
        let staged = staged.map_err(PathError::on("read", &self.staged_path.join(relative)))?;
        let target = self.target.walk(relative);
        let target = target.map_err(PathError::on("read", &self.target_path.join(relative)))?;
        Ok((staged, target))
    }
}

fn open(path: &Path) -> Result<Handle, StagingError> {
    Ok(Handle::open(path).map_err(PathError::on("read", path))?)
}

impl Planned {
    fn directory(
        &mut self,
        trees: &Trees<'_>,
        relative: &Path,
        unchanged: &BTreeSet<PathBuf>,
        left: &mut Vec<PathBuf>,
    ) -> Result<(), StagingError> {
        let (staged, target) = trees.pair(relative)?;
        let path = trees.target_path.join(relative);
        let staged_path = trees.staged_path.join(relative);
        let mut has_own = false;
        let mut shared = 0;
        for name in staged.names().map_err(PathError::on("read", &staged_path))? {
            let look = |handle: &Handle, path: &Path| {
                handle.look(&name).map_err(PathError::on("read", &path.join(&name)))
            };
            let Some(ours) = look(&staged, &staged_path)? else { continue };
            let theirs = look(&target, &path)?;
            shared += u64::from(theirs.is_some());
            match theirs {
                Some(theirs) if ours.is_dir && theirs.is_dir => {
                    let below = relative.join(&name);
                    if !unchanged.contains(&below) {
                        self.note(&below, &ours);
                    }
                    make_movable(&staged, &name, &ours, &staged_path)?;
                    left.push(below);
                }
                theirs => {
                    has_own = true;
                    if theirs.is_some_and(|theirs| theirs.is_dir) {
                        refuse_full(&target, &name, &path.join(&name), &ours)?;
                    }
                    if ours.is_dir && make_movable(&staged, &name, &ours, &staged_path)? {
                        self.note(&relative.join(&name), &ours);
                    }
                }
            }
        }
        if has_own {
            check_writable(&target, &path)?;
        }
        // What cannot be listed is not counted.
        let names = target.names().unwrap_or_default();
        let all = names.iter().filter(|name| !is_temp_name(name)).count() as u64;
        self.kept += all.saturating_sub(shared);
        Ok(())
    }

    fn note(&mut self, relative: &Path, ours: &Found) {
        if let (Some(mode), true) = (ours.mode, self.merge.directories.len() < MOST_DIRECTORIES) {
            let (relative, modified) = (relative.as_os_str().to_owned(), ours.modified);
            self.merge.directories.push(DirectoryLook { relative, mode, modified });
        }
    }
}

/// Lets a staged directory be renamed, which changes its `..` and so needs the right to write it. Returns whether its mode had to be
/// changed.
fn make_movable(parent: &Handle, name: &OsStr, ours: &Found, path: &Path) -> Result<bool, StagingError> {
    let Some(mode) = ours.mode.filter(|mode| mode & OWNER_ACCESS != OWNER_ACCESS) else { return Ok(false) };
    parent.set_mode(name, mode | OWNER_ACCESS).map_err(PathError::on("change", &path.join(name)))?;
    Ok(true)
}

/// Fails where this user can neither write a directory nor give itself the right to.
fn check_writable(directory: &Handle, path: &Path) -> Result<(), StagingError> {
    if directory.is_writable() || is_own(directory).unwrap_or(true) {
        return Ok(());
    }
    Err(PathError::on("write into", path)(io::Error::from(io::ErrorKind::PermissionDenied)).into())
}

#[cfg(unix)]
fn is_own(directory: &Handle) -> io::Result<bool> {
    let owner = directory.itself()?.owner;
    Ok(owner.is_some_and(|(user, _)| user == rustix::process::geteuid().as_raw()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "Unix can fail")]
fn is_own(_: &Handle) -> io::Result<bool> {
    Ok(true)
}

/// Refuses a directory that is not empty in the place of a file.
fn refuse_full(parent: &Handle, name: &OsStr, path: &Path, ours: &Found) -> Result<(), StagingError> {
    let is_empty = parent.child(name).and_then(|directory| directory.is_empty());
    if is_empty.map_err(PathError::on("read", path))? {
        return Ok(());
    }
    let staged = if ours.is_link { "a link" } else { "a file" };
    Err(StagingError::Conflict { path: path.to_owned(), present: "a directory with content", staged })
}

/// A merge at work.
struct Merging<'a> {
    trees: Trees<'a>,
    payload: Handle,
    log: UndoLog,
}

/// A directory that both trees have.
struct Pair<'a> {
    staged: Handle,
    target: Handle,
    relative: &'a Path,
    /// Whether this user was given the right to change it, where that was needed.
    is_open: bool,
    /// Its place in `old`, once something in it was replaced.
    old: Option<Handle>,
}

impl Merging<'_> {
    fn directory(&mut self, relative: &Path, left: &mut Vec<PathBuf>) -> Result<(), StagingError> {
        let (staged, target) = self.trees.pair(relative)?;
        let staged_path = self.trees.staged_path.join(relative);
        let names = staged.names().map_err(PathError::on("read", &staged_path))?;
        let mut pair = Pair { staged, target, relative, is_open: false, old: None };
        for name in names {
            let below = relative.join(&name);
            match self.entry(&mut pair, &name) {
                Ok(true) => left.push(below),
                Ok(false) => {}
                Err(error) => return Err(self.explain(error, below)),
            }
        }
        Ok(())
    }

    fn explain(&self, error: MoveError, below: PathBuf) -> StagingError {
        let path = self.trees.target_path.join(below);
        match error {
            MoveError::Io(source) => PathError::on("publish", &path)(source).into(),
            MoveError::Log(error) => error.into(),
            MoveError::Full => {
                StagingError::Conflict { path, present: "a directory with content", staged: "a file" }
            }
        }
    }

    /// Moves an entry. Returns whether it is a directory that both trees have.
    fn entry(&mut self, pair: &mut Pair<'_>, name: &OsStr) -> Result<bool, MoveError> {
        for _ in 0..ATTEMPTS {
            let Some(ours) = pair.staged.look(name)? else { return Ok(false) };
            let theirs = pair.target.look(name)?;
            if ours.is_dir && theirs.is_some_and(|theirs| theirs.is_dir) {
                return Ok(true);
            }
            self.open_up(pair)?;
            match theirs {
                None => {
                    self.log.note(&Deed::Added(pair.relative.join(name)))?;
                    match pair.staged.rename_new(name, &pair.target, name) {
                        Err(error) if is_taken(&error) => {}
                        renamed => renamed?,
                    }
                }
                Some(theirs) if theirs.is_dir => {
                    let path = pair.relative.join(name);
                    if let Some(mode) = theirs.mode {
                        self.log.note(&Deed::Opened(path.clone(), mode))?;
                    }
                    self.log.note(&Deed::Emptied(path))?;
                    match pair.target.remove_directory(name) {
                        Err(error) if is_taken(&error) => return Err(MoveError::Full),
                        removed => gone_is_fine(removed)?,
                    }
                }
                // Linked from there: a rename of one name of a file to another does nothing.
                Some(theirs) if theirs.is_same_file(&ours) => pair.staged.remove_file(name)?,
                Some(theirs) => self.replace(pair, name, &ours, &theirs)?,
            }
        }
        Err(io::Error::other("another process keeps changing it").into())
    }

    /// Replaces a file or a link, which keeps a name in `old`; one in the way of a directory only makes way.
    fn replace(
        &self,
        pair: &mut Pair<'_>,
        name: &OsStr,
        ours: &Found,
        theirs: &Found,
    ) -> Result<(), MoveError> {
        let old = match &mut pair.old {
            Some(old) => old,
            none => none.insert(self.payload.walk_or_make(&Path::new(OLD).join(pair.relative))?),
        };
        if ours.is_dir {
            return Ok(gone_is_fine(pair.target.rename(name, old, name))?);
        }
        let is_kept = match pair.target.link(name, old, name) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // No links on this file system, or not of another user's file.
            Err(_) => false,
        };
        if !is_kept {
            return Ok(gone_is_fine(pair.target.rename(name, old, name))?);
        }
        if let Some(owner) = theirs.owner.filter(|owner| ours.owner != Some(*owner)) {
            // Only root may, and the group only where this user is in it.
            let _ = pair.staged.set_owner(name, owner);
        }
        Ok(pair.staged.rename(name, &pair.target, name)?)
    }

    /// Lets this user change a directory of its own that forbids it; its mode is set again in the end.
    fn open_up(&mut self, pair: &mut Pair<'_>) -> Result<(), MoveError> {
        if std::mem::replace(&mut pair.is_open, true) || pair.target.is_writable() || !is_own(&pair.target)? {
            return Ok(());
        }
        let (Some(parent), Some(name)) = (pair.relative.parent(), pair.relative.file_name()) else {
            return Ok(());
        };
        let Some(mode) = pair.target.itself()?.mode else { return Ok(()) };
        self.log.note(&Deed::Opened(pair.relative.to_owned(), mode))?;
        Ok(self.trees.target.walk(parent)?.set_mode(name, mode | OWNER_ACCESS)?)
    }
}

/// Why an entry was not moved.
enum MoveError {
    Io(io::Error),
    Log(PathError),
    /// A directory that is not empty is in the way.
    Full,
}

impl From<io::Error> for MoveError {
    fn from(error: io::Error) -> Self {
        MoveError::Io(error)
    }
}

impl From<PathError> for MoveError {
    fn from(error: PathError) -> Self {
        MoveError::Log(error)
    }
}

/// Takes out what was added, if it was.
fn take_out(trees: &Trees<'_>, path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let (Ok(staged), Ok(target)) = (trees.staged.walk(parent), trees.target.walk(parent)) else {
        return Ok(());
    };
    match staged.look(name)? {
        Some(_) => Ok(()),
        None => gone_is_fine(target.rename(name, &staged, name)),
    }
}

/// Renames everything in `old` to the names that it had.
fn put_back(payload: &Path, target: &Handle, path: &Path) -> Result<(), StagingError> {
    let old = match Handle::open(&payload.join(OLD)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        old => old.map_err(PathError::on("read", payload))?,
    };
    let mut left = vec![PathBuf::new()];
    while let Some(relative) = left.pop() {
        let mut put = || -> io::Result<()> {
            let (from, to) = (old.walk(&relative)?, target.walk(&relative)?);
            for name in from.names()? {
                match from.look(&name)? {
                    Some(found) if found.is_dir => left.push(relative.join(&name)),
                    Some(_) => from.rename(&name, &to, &name)?,
                    None => {}
                }
            }
            Ok(())
        };
        put().map_err(PathError::on("put back", &path.join(&relative)))?;
    }
    Ok(())
}

/// Makes an empty directory again that was removed.
fn make_again(target: &Handle, path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    match target.walk(parent)?.make_directory(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Gives a directory the mode that it had.
fn close_again(target: &Handle, path: &Path, mode: u32) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    target.walk(parent)?.set_mode(name, mode)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
