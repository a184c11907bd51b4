//! An archive read from end to end: every entry guarded, counted and handed to a visitor.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::buffer::Slice;
use super::decode::Source;
use super::guard::{Guard, Place};
use super::limits::Limits;
use super::tar_stream::{Entry, EntryKind, TarStream};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{ExpectedList, Row, RowKind};
use crate::archive::format::manifest::{Counts, Manifest};
use crate::archive::format::tar_header::{BLOCK, END};
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Meter;
use crate::fs::cancel;
use crate::tree::walk::Modified;

/// Where an entry belongs: which root, and the path below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) root: usize,
    pub(crate) relative: PathBuf,
}

impl Spot {
    /// Whether it is the root itself.
    pub(crate) fn is_root(&self) -> bool {
        self.relative.as_os_str().is_empty()
    }
}

/// Mode and time of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    /// `None` if the archive does not record it.
    pub(crate) modified: Option<Modified>,
}

/// The hash of a file's content, which comes after the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct PromisedHash(Arc<OnceLock<Sha256Digest>>);

impl PromisedHash {
    /// Says what it is, once.
    pub(crate) fn keep(&self, hash: Sha256Digest) {
        let _ = self.0.set(hash);
    }

    /// What it is, once it is there.
    pub(crate) fn get(&self) -> Option<&Sha256Digest> {
        self.0.get()
    }
}

/// Who hashes the content of a file.
#[derive(Debug)]
pub(crate) enum Hashing {
    /// The reader of the archive, if its list needs it.
    IfListed,
    /// The reader of the archive, for the visitor: it is there once the next entry comes.
    ByReader(PromisedHash),
    /// The visitor.
    ByVisitor(PromisedHash),
}

impl Hashing {
    /// Whether the reader hashes the file, which may be listed.
    fn is_by_reader(&self, is_listed: bool) -> bool {
        match self {
            Hashing::IfListed => is_listed,
            Hashing::ByReader(_) => true,
            Hashing::ByVisitor(_) => false,
        }
    }

    /// Tells those who want it what the reader's hash is.
    fn keep(&self, hash: Sha256Digest, row: Option<&mut Row>) {
        if let Hashing::ByReader(promise) = self {
            promise.keep(hash);
        }
        if let Some(row) = row {
            row.set_content(hash);
        }
    }
}

/// Receives the entries of an archive.
pub(crate) trait Visitor {
    fn directory(&mut self, spot: &Spot, attributes: Attributes) -> Result<(), ArchiveError>;
    /// A file; its content follows in calls of `content`.
    fn file(&mut self, spot: Spot, size: u64, attributes: Attributes) -> Result<Hashing, ArchiveError>;
    /// The next bytes of the file; together they are never more than its size.
    fn content(&mut self, slice: Slice) -> Result<(), ArchiveError>;
    fn symlink(&mut self, spot: &Spot, target: Vec<u8>, attributes: Attributes) -> Result<(), ArchiveError>;
    fn hard_link(&mut self, spot: &Spot, target: &Spot) -> Result<(), ArchiveError>;
    /// Waits until all promised hashes are there.
    fn keep_promises(&mut self) -> Result<(), ArchiveError>;
}

/// What a verified archive holds.
#[derive(Debug)]
pub(crate) struct ArchiveContents {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) counts: Counts,
    pub(crate) unpacked_bytes: u64,
    pub(crate) archive_bytes: u64,
}

/// Reads an archive behind its manifest to its end. The name of each entry is guarded before the visitor gets it; counts, sizes and
/// hashes are compared with manifest and list. What has no manifest may hold anything within `foreign`.
pub(crate) fn visit<S: Source>(
    source: S,
    manifest: Option<Manifest>,
    guard: &Guard,
    foreign: Limits,
    visitor: &mut dyn Visitor,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<ArchiveContents, ArchiveError> {
    if let Some(manifest) = &manifest {
        if manifest.is_thin() {
            return Err(ArchiveError::damaged("it takes content from other archives"));
        }
        meter.set_total(manifest.unpacked_bytes);
    }
    let list = manifest.as_ref().is_some_and(Manifest::is_listed).then(PromisedList::default);
    let mut tally = EntryTally { manifest, foreign, counts: Counts::default(), unpacked_bytes: 0, list };
    let mut stream = TarStream::new(source);
    let go_on = || if cancel::is_cancelled(cancel) { Err(ArchiveError::Cancelled) } else { Ok(()) };
    while let Some(entry) = stream.next_entry()? {
        go_on()?;
        tally.count(&entry)?;
        let mut row = tally.list.is_some().then(|| row_of(&entry, stream.position()));
        let size = match entry.kind {
            EntryKind::File { size } => Some(size),
            _ => None,
        };
        let hashing = hand_over(entry, guard, visitor)?;
        if let Some(size) = size {
            let mut hasher = hashing.is_by_reader(row.is_some()).then(Sha256::new);
            let mut left = size;
            while left > 0 {
                let slice = stream.content(left)?;
                left -= slice.len() as u64;
                meter.add_bytes(slice.len() as u64);
                if let Some(hasher) = &mut hasher {
                    hasher.update(&slice[..]);
                }
                visitor.content(slice)?;
                go_on()?;
            }
            stream.pad(size)?;
            if let Some(hasher) = hasher {
                hashing.keep(Sha256Digest(hasher.finalize().into()), row.as_mut());
            }
        }
        if let (Some(list), Some(row)) = (&mut tally.list, row) {
            list.push(row, hashing, visitor)?;
        }
        meter.add_items(1);
    }
    if let Some(list) = &mut tally.list {
        list.settle(visitor)?;
    }
    tally.finish(&stream)
}

/// The rows of a list, of which the last may still lack their hashes.
#[derive(Debug, Default)]
struct PromisedList {
    complete: ExpectedList,
    waiting: VecDeque<(Row, Option<PromisedHash>)>,
}

impl PromisedList {
    /// Upper bound for the rows that wait.
    const MOST: usize = 16 << 10;

    /// Adds a row, whose hash may come later; waits for the hashes where too many rows do.
    fn push(&mut self, row: Row, hashing: Hashing, visitor: &mut dyn Visitor) -> Result<(), ArchiveError> {
        let promise = match hashing {
            Hashing::ByVisitor(promise) => Some(promise),
            Hashing::IfListed | Hashing::ByReader(_) => None,
        };
        self.waiting.push_back((row, promise));
        self.take();
        if self.waiting.len() > Self::MOST { self.settle(visitor) } else { Ok(()) }
    }

    /// Takes the rows that are complete, in their order.
    fn take(&mut self) {
        while let Some((row, promise)) = self.waiting.front_mut() {
            if let Some(promise) = promise {
                let Some(hash) = promise.get() else { break };
                row.set_content(*hash);
            }
            self.complete.push(row);
            self.waiting.pop_front();
        }
    }

    /// Waits until every row has its hash.
    fn settle(&mut self, visitor: &mut dyn Visitor) -> Result<(), ArchiveError> {
        visitor.keep_promises()?;
        self.take();
        let is_complete = self.waiting.is_empty();
        let lost = || ArchiveError::Worker(io::Error::other("a file was not hashed"));
        is_complete.then_some(()).ok_or_else(lost)
    }
}

/// The row that an entry has in a list, of a file without its hash; its content begins at this offset.
fn row_of(entry: &Entry, offset: u64) -> Row {
    let Entry { name, kind, mode, modified } = entry;
    let kind = match kind {
        EntryKind::File { size } => RowKind::file(*size, Sha256Digest([0; 32]), offset),
        EntryKind::Directory => RowKind::Directory,
        EntryKind::Symlink { target } => RowKind::Symlink { target: target.clone() },
        EntryKind::HardLink { target } => RowKind::HardLink { target: target.clone() },
    };
    let name = match kind {
        RowKind::Directory => name.strip_suffix(b"/").unwrap_or(name),
        _ => name,
    };
    Row { name: name.to_vec(), kind, mode: *mode, modified: *modified }
}

/// What an entry's name is checked for beside its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Directory,
    Symlink,
    /// A file or a further name of one.
    File,
}

/// Where an entry belongs, if its name is allowed; `None` for a directory above the roots, which needs no entry.
pub(crate) fn spot_of(guard: &Guard, name: &[u8], shape: Shape) -> Result<Option<Spot>, ArchiveError> {
    let refused = |reason: &str| ArchiveError::refused(name, reason);
    let spot = match guard.place(name).map_err(|refusal| refusal.of(name))? {
        Place::Inside { root, relative } => Spot { root, relative },
        Place::Above if shape == Shape::Directory => return Ok(None),
        Place::Above => return Err(refused("is in the way of the cache")),
    };
    if spot.is_root() && shape == Shape::Symlink {
        return Err(refused("is a link in the place of a root of the cache"));
    }
    Ok(Some(spot))
}

/// What a further name of a file is a name of.
pub(crate) fn linked_spot(guard: &Guard, name: &[u8], target: &[u8]) -> Result<Spot, ArchiveError> {
    let (root, relative) = guard.link_target(target).map_err(|refusal| refusal.of(name))?;
    Ok(Spot { root, relative })
}

/// Gives an entry to the visitor's method for its kind if the guard allows its name, and passes over directories above the roots. Returns
/// who hashes it, if it is a file.
fn hand_over(entry: Entry, guard: &Guard, visitor: &mut dyn Visitor) -> Result<Hashing, ArchiveError> {
    let Entry { name, kind, mode, modified } = entry;
    let shape = match kind {
        EntryKind::Directory => Shape::Directory,
        EntryKind::Symlink { .. } => Shape::Symlink,
        EntryKind::File { .. } | EntryKind::HardLink { .. } => Shape::File,
    };
    let Some(spot) = spot_of(guard, &name, shape)? else { return Ok(Hashing::IfListed) };
    let attributes = Attributes { mode, modified: Some(modified) };
    match kind {
        EntryKind::File { size } => return visitor.file(spot, size, attributes),
        EntryKind::Directory => visitor.directory(&spot, attributes),
        EntryKind::Symlink { target } => visitor.symlink(&spot, target, attributes),
        EntryKind::HardLink { target } => visitor.hard_link(&spot, &linked_spot(guard, &name, &target)?),
    }?;
    Ok(Hashing::IfListed)
}

/// Counts entries, bounded by the manifest, or by the limits for archives without one.
struct EntryTally {
    manifest: Option<Manifest>,
    foreign: Limits,
    counts: Counts,
    unpacked_bytes: u64,
    /// The rows of the entries so far, if the archive has a list.
    list: Option<PromisedList>,
}

impl EntryTally {
    /// Counts an entry; fails beyond what the manifest, or the limits, allow.
    fn count(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let counts = &mut self.counts;
        let counter = match entry.kind {
            EntryKind::File { size } => {
                self.unpacked_bytes = self.unpacked_bytes.saturating_add(size);
                &mut counts.files
            }
            EntryKind::Directory => &mut counts.directories,
            EntryKind::Symlink { .. } => &mut counts.symlinks,
            EntryKind::HardLink { .. } => &mut counts.hard_links,
        };
        *counter += 1;
        let limits = match &self.manifest {
            Some(manifest) => Limits { bytes: manifest.unpacked_bytes, entries: manifest.counts.entries() },
            None => self.foreign,
        };
        if self.unpacked_bytes > limits.bytes {
            return Err(ArchiveError::Limit { limit: limits.bytes, unit: "bytes" });
        }
        if self.counts.entries() > limits.entries {
            return Err(ArchiveError::Limit { limit: limits.entries, unit: "entries" });
        }
        Ok(())
    }

    /// Fails unless counts, sizes and the list are what the manifest and the end of the archive say.
    fn finish<S: Source>(self, stream: &TarStream<S>) -> Result<ArchiveContents, ArchiveError> {
        if let Some(manifest) = &self.manifest {
            let least = (self.counts.entries() * BLOCK as u64).saturating_add(END.len() as u64);
            let agrees = manifest.counts == self.counts
                && manifest.unpacked_bytes == self.unpacked_bytes
                && manifest.stream_bytes == stream.position()
                && least <= stream.position();
            if !agrees {
                return Err(ArchiveError::damaged("it does not match its manifest"));
            }
        }
        let end = stream.source_end();
        if self.list.is_some_and(|list| Some(list.complete.digest()) != end.list) {
            return Err(ArchiveError::damaged("its list does not match its files"));
        }
        Ok(ArchiveContents {
            counts: self.counts,
            unpacked_bytes: self.unpacked_bytes,
            archive_bytes: end.archive_bytes,
            manifest: self.manifest,
        })
    }
}
