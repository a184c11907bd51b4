//! A walk over what a selection takes: sorted, parents first, in memory bounded by depth × directory size.
//!
//! Names are ordered by their raw bytes within a directory, so that every walk of one tree, on any machine,
//! yields the same order. Symbolic links are yielded, never followed, but for the root itself: a cache
//! directory may be a link to another volume. A root may be a file, which is then the only item.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::selection::{Selection, Verdict};
use crate::domain::names;
use crate::fs::link;
#[cfg(unix)]
use crate::fs::mode;

mod ahead;

use ahead::Ahead;
pub(crate) use ahead::ListedAhead;

/// A file, directory or link that a selection takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its path below the root; empty for the root itself.
    pub relative: PathBuf,
    /// What it is.
    pub kind: ItemKind,
    /// Bytes of a file's content; 0 for all else.
    pub size: u64,
    /// The permission bits that archives keep; made up from the read-only flag where the OS has none.
    pub mode: u32,
    /// When its content was last changed.
    pub modified: Modified,
    /// For a file that has other names as well: what they share.
    pub identity: Option<FileIdentity>,
    /// For a file: what changes with every write to it. `None` where the OS keeps no such thing.
    pub revision: Option<Revision>,
}

/// What the OS changes with every write to a file, and no program can set: size and modification time can be equal for
/// two contents, as where a package manager gives every file one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// The file on its volume.
    pub inode: u64,
    /// When its content, mode, owner or number of names last changed.
    pub changed: Modified,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, with its target as written.
    Symlink {
        /// The target as written.
        target: PathBuf,
    },
    /// A socket, pipe or device, which no archive can keep.
    Special,
}

/// A time as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Modified {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds after them, below 1 000 000 000.
    pub nanoseconds: u32,
}

/// What the names of one file share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// The volume.
    pub device: u64,
    /// The file on it.
    pub inode: u64,
    /// How many names it has.
    pub names: u64,
}

/// Why a walk stopped.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The root does not exist.
    #[error("`{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The root is a file, and patterns say which files below it belong to the cache.
    #[error("`{}` is a file, and a wildcard stands below it", .0.display())]
    NotADirectory(PathBuf),
    /// The root is a socket, a pipe or a device.
    #[error("`{}` is neither a file nor a directory", .0.display())]
    Special(PathBuf),
    /// Something could not be read.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Unreadable {
        /// What was tried.
        action: &'static str,
        /// What could not be read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl crate::domain::hint::Hint for WalkError {
    fn hint(&self) -> Option<String> {
        match self {
            WalkError::Missing(_) => Some(
                "nothing made it: does the build write there? `path` in the configuration says where"
                    .to_owned(),
            ),
            WalkError::NotADirectory(path) => {
                Some(format!("name the file itself, `{}`, or a directory", path.display()))
            }
            WalkError::Special(_) => Some("name a file or a directory".to_owned()),
            WalkError::Unreadable { path, .. } => {
                Some(format!("make `{}` readable, or exclude it with `!`", path.display()))
            }
        }
    }
}

/// The walk: an iterator over items that ends after the first error.
#[derive(Debug)]
pub struct Walk<'a> {
    selection: &'a Selection,
    /// Directories that were listed before.
    ahead: Option<Ahead<'a>>,
    /// Directories being walked, outermost first; in each, the number of the next entry.
    open: Vec<(Arc<Listing>, usize)>,
    /// The path of the innermost open directory, below the root.
    directory: PathBuf,
    /// Directories that matter only if something below them is taken, outermost first.
    waiting: Vec<Item>,
    /// Items ready to be yielded, last first.
    ready: Vec<Item>,
    /// Temporary directories of this program that were passed over, below the root.
    temporary: Vec<PathBuf>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Root,
    Inside,
    Done,
}

/// The entries of a directory.
#[derive(Debug, Default)]
struct Listing {
    /// Those that the selection does not skip, by name.
    found: Vec<FoundItem>,
    /// Temporary directories of this program, below the root.
    temporary: Vec<PathBuf>,
}

#[derive(Debug)]
struct FoundItem {
    name: OsString,
    verdict: Verdict,
    facts: PathFacts,
}

/// Metadata of an entry in few bytes: a directory may have a million of them.
#[derive(Debug)]
struct PathFacts {
    kind: FactKind,
    size: u64,
    mode: u32,
    modified: Modified,
    identity: Option<FileIdentity>,
    revision: Option<Revision>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FactKind {
    File,
    Directory,
    Symlink,
    Special,
}

/// Where an item lies. A root that is a link is named by what it leads to.
pub(crate) fn place_of(root: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() {
        link::resolved(root).unwrap_or_else(|| root.to_owned())
    } else {
        root.join(relative)
    }
}

impl<'a> Walk<'a> {
    /// A walk over what this selection takes; the root comes first.
    pub fn new(selection: &'a Selection) -> Self {
        Walk {
            selection,
            ahead: None,
            open: Vec::new(),
            directory: PathBuf::new(),
            waiting: Vec::new(),
            ready: Vec::new(),
            temporary: Vec::new(),
            state: State::Root,
        }
    }

    /// The same walk over directories that were listed before, if they were.
    pub(crate) fn over(selection: &'a Selection, listed: Option<&'a ListedAhead>) -> Self {
        Walk { ahead: listed.map(Ahead::new), ..Walk::new(selection) }
    }

    /// The same walk, with no items where the root does not exist, as in an archive of it.
    pub(crate) fn if_there(self) -> impl Iterator<Item = Result<Item, WalkError>> {
        self.take_while(|item| !matches!(item, Err(WalkError::Missing(_))))
    }

    /// Temporary directories of this program that the walk has passed over so far, relative to the root.
    pub(crate) fn temporary(&self) -> &[PathBuf] {
        &self.temporary
    }

    fn root(&mut self) -> Result<Item, WalkError> {
        let root = root_of(self.selection)?;
        self.state = State::Inside;
        if root.kind == ItemKind::Directory {
            self.enter(PathBuf::new())?;
        }
        Ok(root)
    }

    /// Goes into a directory, whose path is given below the root.
    fn enter(&mut self, relative: PathBuf) -> Result<(), WalkError> {
        let listing = match &mut self.ahead {
            Some(ahead) => ahead.next(self.open.len()),
            None => Arc::new(Listing::of(self.selection, &relative)?),
        };
        self.temporary.extend_from_slice(&listing.temporary);
        self.open.push((listing, 0));
        self.directory = relative;
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Item>, WalkError> {
        if self.state == State::Root {
            return self.root().map(Some);
        }
        loop {
            if let Some(item) = self.ready.pop() {
                return Ok(Some(item));
            }
            let Some((listing, next)) = self.open.last_mut() else { return Ok(None) };
            let Some(FoundItem { name, verdict, facts }) = listing.found.get(*next) else {
                self.open.pop();
                if self.waiting.last().is_some_and(|item| item.relative == self.directory) {
                    self.waiting.pop();
                }
                self.directory.pop();
                continue;
            };
            *next += 1;
            let (verdict, is_directory) = (*verdict, facts.kind == FactKind::Directory);
            let item = item(self.selection, self.directory.join(name), facts)?;
            if is_directory {
                self.enter(item.relative.clone())?;
            }
            if verdict == Verdict::Descend {
                self.waiting.push(item);
            } else {
                self.ready.push(item);
                self.ready.extend(self.waiting.drain(..).rev());
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Item, WalkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.state = State::Done;
        }
        step
    }
}

/// The root of a selection: a directory, or a file that is taken whole.
fn root_of(selection: &Selection) -> Result<Item, WalkError> {
    let root = &selection.root;
    let metadata = fs::metadata(root).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => WalkError::Missing(root.clone()),
        _ => unreadable("read", root)(source),
    })?;
    if !metadata.is_dir() {
        if !metadata.is_file() {
            return Err(WalkError::Special(root.clone()));
        }
        if selection.verdict(Path::new(""), true) == Verdict::Descend {
            return Err(WalkError::NotADirectory(root.clone()));
        }
    }
    item(selection, PathBuf::new(), &PathFacts::of(&metadata))
}

fn item(selection: &Selection, relative: PathBuf, facts: &PathFacts) -> Result<Item, WalkError> {
    let kind = match facts.kind {
        FactKind::File => ItemKind::File,
        FactKind::Directory => ItemKind::Directory,
        FactKind::Special => ItemKind::Special,
        FactKind::Symlink => {
            let path = selection.root.join(&relative);
            let target = fs::read_link(&path).map_err(unreadable("read", &path))?;
            ItemKind::Symlink { target }
        }
    };
    let PathFacts { size, mode, modified, identity, revision, .. } = *facts;
    Ok(Item { relative, kind, size, mode, modified, identity, revision })
}

impl Listing {
    fn of(selection: &Selection, relative: &Path) -> Result<Self, WalkError> {
        let directory = selection.root.join(relative);
        let mut listing = Listing::default();
        for entry in fs::read_dir(&directory).map_err(unreadable("list", &directory))? {
            let entry = entry.map_err(unreadable("list", &directory))?;
            let name = entry.file_name();
            if names::is_temporary(name.as_encoded_bytes()) {
                listing.temporary.push(relative.join(name));
                continue;
            }
            let is_dir = entry.file_type().map_err(unreadable("read", &entry.path()))?.is_dir();
            let verdict = selection.verdict(&relative.join(&name), is_dir);
            if verdict == Verdict::Skip {
                continue;
            }
            let facts = match entry.metadata() {
                Ok(metadata) => PathFacts::of(&metadata),
                // Removed since it was listed: as if it had never been there.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(unreadable("read", &entry.path())(source)),
            };
            listing.found.push(FoundItem { name, verdict, facts });
        }
        listing.found.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
        Ok(listing)
    }
}

impl PathFacts {
    fn of(metadata: &Metadata) -> Self {
        let file_type = metadata.file_type();
        let kind = if file_type.is_file() {
            FactKind::File
        } else if file_type.is_dir() {
            FactKind::Directory
        } else if file_type.is_symlink() {
            FactKind::Symlink
        } else {
            FactKind::Special
        };
        let size = if kind == FactKind::File { metadata.len() } else { 0 };
        let identity = if kind == FactKind::File { identity(metadata) } else { None };
        let revision = if kind == FactKind::File { revision(metadata) } else { None };
        PathFacts {
            kind,
            size,
            mode: mode_of(metadata),
            modified: Modified::of(metadata),
            identity,
            revision,
        }
    }
}

impl std::fmt::Display for Modified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}

impl Modified {
    /// When the content behind these facts was last changed; 1970 if the OS does not report it.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        Modified { seconds: metadata.mtime(), nanoseconds }
    }

    /// When the content behind these facts was last changed; 1970 if the OS does not report it.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        use std::time::UNIX_EPOCH;
        let Ok(time) = metadata.modified() else { return Modified { seconds: 0, nanoseconds: 0 } };
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Modified {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Modified { seconds: -whole, nanoseconds: 0 },
                    part => Modified { seconds: -whole - 1, nanoseconds: 1_000_000_000 - part },
                }
            }
        }
    }
}

/// The permission bits of a file, as items have them.
#[cfg(unix)]
pub(crate) fn mode_of(metadata: &Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & mode::PERMISSIONS
}

/// The permission bits of a file, as items have them.
#[cfg(not(unix))]
pub(crate) fn mode_of(metadata: &Metadata) -> u32 {
    match (metadata.is_dir(), metadata.permissions().readonly()) {
        (true, _) => 0o755,
        (false, true) => 0o444,
        (false, false) => 0o644,
    }
}

/// Whether a file has other names, which may be anywhere on its volume; `false` where the OS does not say.
pub(crate) fn is_hard_linked(metadata: &Metadata) -> bool {
    identity(metadata).is_some()
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt as _;
    let identity = FileIdentity { device: metadata.dev(), inode: metadata.ino(), names: metadata.nlink() };
    (identity.names > 1).then_some(identity)
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<FileIdentity> {
    // The file index is not in stable std; names of one file are kept as files of their own.
    None
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "not every OS has revisions")]
fn revision(metadata: &Metadata) -> Option<Revision> {
    use std::os::unix::fs::MetadataExt as _;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    Some(Revision { inode: metadata.ino(), changed: Modified { seconds: metadata.ctime(), nanoseconds } })
}

#[cfg(not(unix))]
fn revision(_: &Metadata) -> Option<Revision> {
    // Neither the file index nor the time of change is in stable std.
    None
}

fn unreadable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WalkError {
    let path = path.to_owned();
    move |source| WalkError::Unreadable { action, path, source }
}

#[cfg(all(test, unix))]
mod tests;
