//! A whole archive, unpacked into an empty folder that nobody else uses.
//!
//! While files are written there is no symbolic link in the folder, so no entry can be written through one:
//! links are made last. Folders get their dates and permissions after everything that is put into them.
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::error::{Problem, ReleaseError};
use super::extract::{Extracted, extract};
use super::item::{ItemKind, ReleaseItem, shown};
use super::options::{ExtractOptions, Input};
use crate::domain::unit::ByteSize;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// What was read.
    pub extracted: Extracted,
    /// Files, hard links included.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
}

/// Unpacks everything into `folder`, which exists, is empty and belongs to the caller alone; then checks the
/// checksum. After an error the folder holds something that must be thrown away.
///
/// Permissions are those of the archive without set-user-ID and its kin; the owner may always enter and change
/// folders. Links are not checked for where they lead.
pub fn unpack_tree(
    input: Input,
    options: &ExtractOptions<'_>,
    folder: &Path,
) -> Result<Unpacked, ReleaseError> {
    let fail = |problem: Problem| problem.of(options.archive);
    let mut tree = Tree::new(folder);
    let extracted = extract(input, options, &mut |item| {
        tree.put(item).map_err(fail)?;
        Ok::<_, ReleaseError>(ControlFlow::Continue(()))
    })?;
    match extracted.checksum.clone() {
        Some(outcome) if !outcome.ok() => return Err(fail(Problem::Checksum(outcome))),
        _ => {}
    }
    let symlinks = tree.links.len() as u64;
    let files = tree.files;
    tree.finish().map_err(fail)?;
    Ok(Unpacked { extracted, files, symlinks })
}

/// What is kept in memory until the end: names and targets of links, names of folders with their dates.
const MAX_REMEMBERED: usize = 256 << 20;

/// Shorter runs of zeros are written out: a hole has no use below a block or some.
const LEAST_HOLE: usize = 64 << 10;

struct Tree<'f> {
    folder: &'f Path,
    files: u64,
    parent: PathBuf,
    folders: BTreeMap<PathBuf, (Option<u32>, Option<FileTime>)>,
    links: BTreeMap<PathBuf, (PathBuf, Option<FileTime>)>,
    remembered: usize,
    buffer: Vec<u8>,
}

impl<'f> Tree<'f> {
    fn new(folder: &'f Path) -> Self {
        Tree {
            folder,
            files: 0,
            parent: PathBuf::new(),
            folders: BTreeMap::new(),
            links: BTreeMap::new(),
            remembered: 0,
            buffer: vec![0; 1 << 17],
        }
    }

    fn put(&mut self, item: ReleaseItem<'_>) -> Result<(), Problem> {
        let ReleaseItem { path, mode, modified, kind } = item;
        if path.ancestors().skip(1).any(|above| self.links.contains_key(above)) {
            return Err(conflict(&path, "it would be written through a link"));
        }
        match kind {
            ItemKind::Directory => {
                self.remember(&path, None)?;
                self.links.remove(&path);
                self.make_folder(&path)?;
                self.folders.insert(path, (mode, modified));
            }
            ItemKind::Symlink { target } => {
                self.remember(&path, Some(&target))?;
                self.make_parent(&path)?;
                self.clear(&path)?;
                self.links.insert(path, (target, modified));
            }
            ItemKind::Hardlink { target } => self.put_hard_link(path, &target)?,
            ItemKind::File { reader, .. } => {
                self.make_parent(&path)?;
                self.clear(&path)?;
                let full = self.folder.join(&path);
                let file = self.write(&full, reader)?;
                finish_file(&file, mode, modified).map_err(|reason| write_error(&full, reason))?;
                self.files += 1;
            }
        }
        Ok(())
    }

    fn put_hard_link(&mut self, path: PathBuf, target: &Path) -> Result<(), Problem> {
        self.make_parent(&path)?;
        if path == *target {
            return Ok(());
        }
        if let Some(link) = self.links.get(target).cloned() {
            self.remember(&path, Some(&link.0))?;
            self.clear(&path)?;
            self.links.insert(path, link);
            return Ok(());
        }
        let (full, from) = (self.folder.join(&path), self.folder.join(target));
        if !fs::symlink_metadata(&from).is_ok_and(|metadata| metadata.is_file()) {
            return Err(conflict(&path, "a hard link to a file that did not come before it"));
        }
        self.clear(&path)?;
        // Not every file system has hard links; a copy holds the same bytes.
        fs::hard_link(&from, &full)
            .or_else(|_| copy_file(&from, &full))
            .map_err(|reason| write_error(&full, reason))?;
        self.files += 1;
        Ok(())
    }

    fn write(&mut self, full: &Path, reader: &mut dyn Read) -> Result<File, Problem> {
        let failed = |reason| write_error(full, reason);
        let mut file = OpenOptions::new().write(true).create_new(true).open(full).map_err(failed)?;
        let mut size = 0;
        loop {
            match reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    let piece = &self.buffer[..count];
                    // Long runs of zeros need no space where the file system knows holes.
                    if count >= LEAST_HOLE && piece.iter().all(|byte| *byte == 0) {
                        file.seek(SeekFrom::Start(size + count as u64)).map_err(failed)?;
                    } else {
                        file.write_all(piece).map_err(failed)?;
                    }
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The reader has told why already, in more words.
                Err(error) => return Err(Problem::Read(error)),
            }
        }
        file.set_len(size).map_err(failed)?;
        Ok(file)
    }

    /// A later entry of the same name replaces an earlier one, as with every tar.
    fn clear(&mut self, path: &Path) -> Result<(), Problem> {
        if self.links.remove(path).is_some() {
            return Ok(());
        }
        let full = self.folder.join(path);
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_file() => {
                self.files -= 1;
                fs::remove_file(&full).map_err(|reason| write_error(&full, reason))
            }
            Ok(_) => Err(conflict(path, "a folder of this name came before")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(write_error(&full, error)),
        }
    }

    fn make_parent(&mut self, path: &Path) -> Result<(), Problem> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if parent != self.parent {
            self.make_folder(parent)?;
            parent.clone_into(&mut self.parent);
        }
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> Result<(), Problem> {
        let full = self.folder.join(path);
        fs::create_dir_all(&full).map_err(|reason| match reason.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                conflict(path, "a file came before where a folder is needed")
            }
            _ => write_error(&full, reason),
        })
    }

    fn remember(&mut self, path: &Path, target: Option<&Path>) -> Result<(), Problem> {
        self.remembered += path.as_os_str().len() + target.map_or(0, |target| target.as_os_str().len()) + 128;
        if self.remembered > MAX_REMEMBERED {
            return Err(Problem::HeadersTooLarge(ByteSize(MAX_REMEMBERED as u64)));
        }
        Ok(())
    }

    /// Links, then folders from the deepest up: making an entry changes the date of its folder.
    fn finish(self) -> Result<(), Problem> {
        for (path, (target, modified)) in &self.links {
            let full = self.folder.join(path);
            make_symlink(target, &full)
                .and_then(|()| match modified {
                    Some(time) => filetime::set_symlink_file_times(&full, *time, *time),
                    None => Ok(()),
                })
                .map_err(|reason| match reason.kind() {
                    io::ErrorKind::AlreadyExists => conflict(path, "something of this name came before"),
                    _ => write_error(&full, reason),
                })?;
        }
        for (path, (mode, modified)) in self.folders.iter().rev() {
            let full = self.folder.join(path);
            set_mode(&full, mode.map(|mode| mode & 0o777 | 0o700))
                .and_then(|()| match modified {
                    Some(time) => filetime::set_file_mtime(&full, *time),
                    None => Ok(()),
                })
                .map_err(|reason| write_error(&full, reason))?;
        }
        Ok(())
    }
}

fn conflict(path: &Path, reason: &'static str) -> Problem {
    Problem::Conflict { name: shown(path.as_os_str().as_encoded_bytes()), reason }
}

fn write_error(path: &Path, reason: io::Error) -> Problem {
    Problem::Write { path: path.to_owned(), reason }
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(drop)
}

fn finish_file(file: &File, mode: Option<u32>, modified: Option<FileTime>) -> io::Result<()> {
    if let Some(time) = modified {
        filetime::set_file_handle_times(file, None, Some(time))?;
    }
    set_file_mode(file, mode.map(|mode| mode & 0o777))
}

#[cfg(unix)]
fn set_file_mode(file: &File, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    mode.map_or(Ok(()), |mode| file.set_permissions(fs::Permissions::from_mode(mode)))
}

/// Windows has one bit of it: whether a file may be written.
#[cfg(not(unix))]
fn set_file_mode(file: &File, mode: Option<u32>) -> io::Result<()> {
    if mode.is_none_or(|mode| mode & 0o200 != 0) {
        return Ok(());
    }
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    mode.map_or(Ok(()), |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn set_mode(_: &Path, _: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn make_symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Windows has links to files and links to folders; a target that is not there yet is taken for a file.
#[cfg(windows)]
fn make_symlink(target: &Path, link: &Path) -> io::Result<()> {
    let resolved = link.parent().unwrap_or(Path::new("")).join(target);
    if resolved.is_dir() {
        std::os::windows::fs::symlink_dir(target, link)
    } else {
        std::os::windows::fs::symlink_file(target, link)
    }
}
