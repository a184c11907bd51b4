//! What a walk yields, and why it stops.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::fs::mode;
use crate::tree::selection::Selection;

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

impl Item {
    /// A file with these facts.
    pub(crate) fn file(relative: PathBuf, metadata: &Metadata) -> Self {
        let PathFacts { size, mode, modified, identity, revision, .. } = PathFacts::of(metadata);
        Item { relative, kind: ItemKind::File, size, mode, modified, identity, revision }
    }

    /// A directory or a link, of which size and times say nothing.
    pub(crate) fn plain(relative: PathBuf, kind: ItemKind, mode: u32) -> Self {
        let modified = Modified { seconds: 0, nanoseconds: 0 };
        Item { relative, kind, size: 0, mode, modified, identity: None, revision: None }
    }
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

/// Metadata of an entry in few bytes: a directory may have a million of them.
#[derive(Debug)]
pub(super) struct PathFacts {
    pub(super) kind: FactKind,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) modified: Modified,
    pub(super) identity: Option<FileIdentity>,
    pub(super) revision: Option<Revision>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FactKind {
    File,
    Directory,
    Symlink,
    Special,
}

/// What lies at a path below the root of a selection.
///
/// # Errors
/// The target of a link cannot be read.
pub(super) fn read_item(
    selection: &Selection,
    relative: PathBuf,
    facts: &PathFacts,
) -> Result<Item, WalkError> {
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

impl PathFacts {
    /// What a listing knows of a path. Only files have a size; only those with several names an identity; and a revision those of systems
    /// that have one.
    pub(super) fn of(metadata: &Metadata) -> Self {
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
pub(super) fn identity(metadata: &Metadata) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt as _;
    let identity = FileIdentity { device: metadata.dev(), inode: metadata.ino(), names: metadata.nlink() };
    (identity.names > 1).then_some(identity)
}

#[cfg(not(unix))]
pub(super) fn identity(_: &Metadata) -> Option<FileIdentity> {
    // The file index is not in stable std; names of one file are kept as files of their own.
    None
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "not every OS has revisions")]
pub(super) fn revision(metadata: &Metadata) -> Option<Revision> {
    use std::os::unix::fs::MetadataExt as _;
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    Some(Revision { inode: metadata.ino(), changed: Modified { seconds: metadata.ctime(), nanoseconds } })
}

#[cfg(not(unix))]
pub(super) fn revision(_: &Metadata) -> Option<Revision> {
    // Neither the file index nor the time of change is in stable std.
    None
}

pub(super) fn unreadable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WalkError {
    let path = path.to_owned();
    move |source| WalkError::Unreadable { action, path, source }
}
