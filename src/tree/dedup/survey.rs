//! Files that are equal: by volume and size, then by digest.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use crate::domain::dedup::Sharing;
use crate::domain::fault::Fault;
use crate::domain::unit::ByteSize;
use crate::fs::cancel;
use crate::fs::lease::is_temp_name;
use crate::fs::mode;
use crate::fs::open::Links;
use crate::fs::path_error::PathError;
use crate::fs::read::sha256_of_file;

/// What to share, and how far to go.
pub(crate) struct DedupOptions<'a> {
    /// How.
    pub by: Sharing,
    /// Smaller files are left out.
    pub min_size: ByteSize,
    /// Whether nothing is changed.
    pub dry_run: bool,
    /// For what a killed process leaves.
    pub now: DateTime<Utc>,
    /// Ends the work between two files.
    pub cancel: &'a CancellationToken,
}

/// A file, as it was found.
#[derive(Debug, Clone)]
pub(super) struct DedupFile {
    pub(super) path: PathBuf,
    /// Which of the roots it lies in.
    pub(super) root: usize,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) mode: u32,
    pub(super) identity: Identity,
}

/// What a name stands for. Other systems than Unix have no such numbers: there every name is a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) volume: u64,
    pub(super) inode: u64,
    pub(super) names: u64,
    pub(super) owner: (u32, u32),
    /// Only where there are no numbers.
    path: Option<PathBuf>,
}

/// Files and which of them are equal.
pub(super) struct Found {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Each at least two, sorted by path.
    pub(super) equal: Vec<Vec<DedupFile>>,
}

impl DedupFile {
    pub(super) fn of(path: &Path, root: usize, metadata: &Metadata) -> Option<Self> {
        Some(DedupFile {
            path: path.to_owned(),
            root,
            size: metadata.len(),
            modified: metadata.modified().ok()?,
            mode: mode::of(metadata),
            identity: identity(path, metadata),
        })
    }

    /// Whether it is the same file with the same size and time. Its number of names may have changed.
    pub(super) fn is_unchanged(&self, now: &Metadata) -> bool {
        let found = identity(&self.path, now);
        now.is_file()
            && now.len() == self.size
            && now.modified().is_ok_and(|modified| modified == self.modified)
            && mode::of(now) == self.mode
            && (found.volume, found.inode, found.owner)
                == (self.identity.volume, self.identity.inode, self.identity.owner)
    }
}

#[cfg(unix)]
fn identity(_: &Path, metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    Identity {
        volume: metadata.dev(),
        inode: metadata.ino(),
        names: metadata.nlink(),
        owner: (metadata.uid(), metadata.gid()),
        path: None,
    }
}

#[cfg(not(unix))]
fn identity(path: &Path, _: &Metadata) -> Identity {
    Identity { volume: 0, inode: 0, names: 1, owner: (0, 0), path: Some(path.to_owned()) }
}

/// Walks the roots, never through links and onto other volumes, and reads the files that have the size of another one.
pub(super) fn survey(roots: &[PathBuf], options: &DedupOptions<'_>) -> Result<Found, Fault> {
    let mut by_size: BTreeMap<(u64, u64), Vec<DedupFile>> = BTreeMap::new();
    let (mut files, mut bytes) = (0, 0);
    for (index, root) in roots.iter().enumerate() {
        let walk = WalkDir::new(root).follow_links(false).follow_root_links(false).same_file_system(true);
        let entries = walk.sort_by_file_name().into_iter();
        for entry in entries.filter_entry(|entry| !is_temp_name(entry.file_name())) {
            check(options)?;
            let entry = entry.map_err(|error| unreadable(root, error))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let metadata = entry.metadata().map_err(|error| unreadable(root, error))?;
            let Some(file) = DedupFile::of(entry.path(), index, &metadata) else { continue };
            files += 1;
            bytes += file.size;
            if file.size >= options.min_size.0.max(1) {
                by_size.entry((file.identity.volume, file.size)).or_default().push(file);
            }
        }
    }
    let mut equal = Vec::new();
    for candidates in by_size.into_values().filter(|candidates| candidates.len() > 1) {
        equal.extend(by_digest(candidates, options)?);
    }
    Ok(Found { files, bytes, equal })
}

/// Groups of equal files among those of one size. A file that cannot be read equals none.
fn by_digest(candidates: Vec<DedupFile>, options: &DedupOptions<'_>) -> Result<Vec<Vec<DedupFile>>, Fault> {
    let mut groups: BTreeMap<[u8; 32], Vec<DedupFile>> = BTreeMap::new();
    // Names of one file are read once.
    let mut known: BTreeMap<Identity, [u8; 32]> = BTreeMap::new();
    for file in candidates {
        check(options)?;
        let digest = match known.get(&file.identity) {
            Some(digest) => *digest,
            None => match sha256_of_file(&file.path, Links::Refused, options.cancel) {
                Ok(digest) => *known.entry(file.identity.clone()).or_insert(digest.0),
                Err(_) => continue,
            },
        };
        groups.entry(digest).or_default().push(file);
    }
    Ok(groups.into_values().filter(|group| group.len() > 1).collect())
}

fn check(options: &DedupOptions<'_>) -> Result<(), Fault> {
    if cancel::is_cancelled(options.cancel) { Err(Fault::cancelled()) } else { Ok(()) }
}

fn unreadable(root: &Path, error: walkdir::Error) -> Fault {
    let path = error.path().unwrap_or(root).to_owned();
    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("it leads back to itself"));
    Fault::from(PathError { action: "read", path, source })
}
