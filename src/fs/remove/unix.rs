//! Removal by directory handles: no path is ever resolved twice, so a link cannot be swapped in.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{self as sys, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result as SysResult};

use super::tally::Tally;
use crate::fs::mode;
use crate::fs::path_error::PathError;

/// Directories held open at once. What lies deeper is moved up to the top and removed from there, so
/// neither file handles nor the longest path the system takes bound the depth.
const LEVELS: usize = 48;

#[expect(clippy::struct_excessive_bools, reason = "four facts, each true or false on its own")]
struct DirectoryLevel {
    dir: Dir,
    name: CString,
    /// Whether something went in this pass over its entries.
    progressed: bool,
    /// Whether something in it has to stay.
    stuck: bool,
    /// Whether something was moved up into it that this pass may not show.
    joined: bool,
    /// Whether write permission was asked for already.
    opened_up: bool,
}

pub(super) fn remove(path: &Path, tally: &mut Tally) {
    if let Err(errno) = remove_top(path, tally) {
        tally.fail(PathError::on("remove", path)(errno));
    }
}

fn remove_top(path: &Path, tally: &mut Tally) -> SysResult<()> {
    let stat = match sys::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        sys::unlinkat(CWD, path, AtFlags::empty())?;
        count(&stat, tally);
        return Ok(());
    }
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let top = DirectoryLevel::open(CWD, name)?;
    Removal { path, device: stat.st_dev, levels: vec![top], tally }.run();
    match sys::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) => tally.removed.directories += 1,
        Err(Errno::NOENT) => {}
        Err(Errno::NOTEMPTY | Errno::EXIST) if tally.failures > 0 => {}
        Err(errno) => return Err(errno),
    }
    Ok(())
}

/// Counts a file that was just removed; `stat` is from just before.
fn count(stat: &Stat, tally: &mut Tally) {
    tally.removed.files += 1;
    if stat.st_nlink == 1 {
        tally.removed.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    }
}

impl DirectoryLevel {
    /// Opens a directory, giving ourselves permission to read it where that is missing.
    fn open(parent: BorrowedFd<'_>, name: CString) -> SysResult<DirectoryLevel> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut opened_up = false;
        let fd: OwnedFd = match sys::openat(parent, name.as_c_str(), flags, Mode::empty()) {
            Err(Errno::ACCESS | Errno::PERM) => {
                opened_up = true;
                mode::set_in(parent, name.as_c_str(), Mode::RWXU)?;
                sys::openat(parent, name.as_c_str(), flags, Mode::empty())?
            }
            opened => opened?,
        };
        Ok(DirectoryLevel {
            dir: Dir::new(fd)?,
            name,
            progressed: false,
            stuck: false,
            joined: false,
            opened_up,
        })
    }

    /// Does something to an entry; if that is not permitted, makes the directory writable and tries again.
    fn with_permission<T>(&mut self, deed: impl Fn(BorrowedFd<'_>) -> SysResult<T>) -> SysResult<T> {
        match deed(self.dir.fd()?) {
            Err(Errno::ACCESS | Errno::PERM) if !self.opened_up => {
                self.opened_up = true;
                sys::fchmod(self.dir.fd()?, Mode::RWXU)?;
                deed(self.dir.fd()?)
            }
            done => done,
        }
    }
}

struct Removal<'a> {
    path: &'a Path,
    device: sys::Dev,
    levels: Vec<DirectoryLevel>,
    tally: &'a mut Tally,
}

impl Removal<'_> {
    /// Removes all that is in the top directory, but not itself.
    fn run(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            match level.dir.read() {
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    if name != c"." && name != c".." {
                        let name = name.to_owned();
                        if let Err(errno) = self.entry(&name) {
                            self.fail(&name, errno);
                        }
                    }
                }
                Some(Err(errno)) => {
                    self.fail(c"", errno);
                    self.leave();
                }
                // Removing while reading may skip entries on some systems: read again while that helps.
                None if level.joined || (level.progressed && !level.stuck) => {
                    level.progressed = false;
                    level.joined = false;
                    level.dir.rewind();
                }
                None => self.leave(),
            }
        }
    }

    /// Removes a file, or steps into a directory.
    fn entry(&mut self, name: &CStr) -> SysResult<()> {
        let depth = self.levels.len();
        let level = self.levels.last_mut().expect("the loop runs while there is a level");
        // Without search permission not even the type of an entry can be asked for.
        let stat = match level
            .with_permission(|directory| sys::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW))
        {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            level.with_permission(|fd| gone_is_fine(sys::unlinkat(fd, name, AtFlags::empty())))?;
            level.progressed = true;
            count(&stat, self.tally);
            return Ok(());
        }
        if stat.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        let next = DirectoryLevel::open(level.dir.fd()?, name.to_owned())?;
        if depth < LEVELS {
            self.levels.push(next);
            return Ok(());
        }
        self.hoist(next)
    }

    /// Moves a directory that lies too deep to the top.
    fn hoist(&mut self, mut deep: DirectoryLevel) -> SysResult<()> {
        let (top, below) = self.levels.split_first_mut().expect("there is a top");
        let level = below.last_mut().expect("the deepest is not the top");
        // Moving a directory changes its `..`, and so needs the right to write it.
        if !deep.opened_up {
            deep.opened_up = true;
            let _ = sys::fchmod(deep.dir.fd()?, Mode::RWXU);
        }
        let new_name =
            CString::new(format!("hoisted-{:016x}", rand::random::<u64>())).expect("no zero in it");
        let top_fd = top.dir.fd()?;
        level.with_permission(|fd| sys::renameat(fd, deep.name.as_c_str(), top_fd, new_name.as_c_str()))?;
        level.progressed = true;
        top.joined = true;
        Ok(())
    }

    /// Goes up, removing the directory that is left.
    fn leave(&mut self) {
        let Some(done) = self.levels.pop() else { return };
        let Some(parent) = self.levels.last_mut() else { return };
        if done.stuck {
            parent.stuck = true;
            return;
        }
        let name = done.name.as_c_str();
        match parent.with_permission(|fd| gone_is_fine(sys::unlinkat(fd, name, AtFlags::REMOVEDIR))) {
            Ok(()) => {
                parent.progressed = true;
                self.tally.removed.directories += 1;
            }
            Err(errno) => self.fail(name, errno),
        }
    }

    fn fail(&mut self, name: &CStr, errno: Errno) {
        let mut path: PathBuf = self.path.to_owned();
        for level in self.levels.iter_mut().skip(1) {
            path.push(OsStr::from_bytes(level.name.to_bytes()));
        }
        if !name.is_empty() {
            path.push(OsStr::from_bytes(name.to_bytes()));
        }
        if let Some(level) = self.levels.last_mut() {
            level.stuck = true;
        }
        self.tally.fail(PathError::on("remove", &path)(errno));
    }
}

fn gone_is_fine(result: SysResult<()>) -> SysResult<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
