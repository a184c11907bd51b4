//! An archive read from end to end: every entry guarded, counted and handed to a visitor.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::buffer::Slice;
use super::decode::{Source, Unit};
use super::guard::{Guard, Place};
use super::limits::Limits;
use super::tar_stream::{Entry, EntryKind, TarStream};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::manifest::{Counts, Manifest};
use crate::archive::format::tar_header::{BLOCK, END};
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

/// Receives the entries of an archive.
pub(crate) trait Visitor {
    /// Called first, in an archive that has a manifest; returns the guard for the names that follow.
    fn manifest(&mut self, manifest: &Manifest) -> Result<Guard, ArchiveError>;
    /// Called first, in an archive without a manifest.
    fn foreign(&mut self) -> Result<Guard, ArchiveError>;
    fn directory(&mut self, spot: Spot, attributes: Attributes) -> Result<(), ArchiveError>;
    /// A file; its content follows in calls of `content`.
    fn file(&mut self, spot: Spot, size: u64, attributes: Attributes) -> Result<(), ArchiveError>;
    /// The next bytes of the file; together they are never more than its size.
    fn content(&mut self, slice: Slice) -> Result<(), ArchiveError>;
    fn symlink(&mut self, spot: Spot, target: Vec<u8>, attributes: Attributes) -> Result<(), ArchiveError>;
    fn hard_link(&mut self, spot: Spot, target: Spot) -> Result<(), ArchiveError>;
}

/// What a verified archive holds.
#[derive(Debug)]
pub(crate) struct ArchiveContents {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) counts: Counts,
    pub(crate) unpacked_bytes: u64,
    pub(crate) archive_bytes: u64,
}

/// Reads an archive to its end.
pub(crate) fn visit<S: Source>(
    mut source: S,
    foreign: Limits,
    visitor: &mut dyn Visitor,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<ArchiveContents, ArchiveError> {
    let (manifest, first) = match source.next()? {
        Some(Unit::Manifest(manifest)) => (Some(manifest), None),
        Some(Unit::Bytes(slice)) => (None, Some(slice)),
        None => return Err(ArchiveError::damaged("it is empty")),
    };
    let guard = match &manifest {
        Some(manifest) => {
            meter.set_total(manifest.unpacked_bytes);
            visitor.manifest(manifest)?
        }
        None => visitor.foreign()?,
    };
    let mut tally = EntryTally { manifest, foreign, counts: Counts::default(), unpacked_bytes: 0 };
    let mut stream = TarStream::starting_with(source, first);
    while let Some(entry) = stream.next_entry()? {
        if cancel::is_cancelled(cancel) {
            return Err(ArchiveError::Cancelled);
        }
        tally.count(&entry)?;
        let size = match entry.kind {
            EntryKind::File { size } => size,
            _ => 0,
        };
        hand_over(entry, &guard, visitor)?;
        let mut left = size;
        while left > 0 {
            let slice = stream.content(left)?;
            left -= slice.len() as u64;
            meter.add_bytes(slice.len() as u64);
            visitor.content(slice)?;
            if cancel::is_cancelled(cancel) {
                return Err(ArchiveError::Cancelled);
            }
        }
        stream.pad(size)?;
        meter.add_items(1);
    }
    tally.finish(&stream)
}

/// Gives an entry to the visitor if its name is allowed.
fn hand_over(entry: Entry, guard: &Guard, visitor: &mut dyn Visitor) -> Result<(), ArchiveError> {
    let Entry { name, kind, mode, modified } = entry;
    let refused = |reason: &str| ArchiveError::refused(&name, reason);
    let spot = match guard.place(&name).map_err(|refusal| refusal.of(&name))? {
        Place::Inside { root, relative } => Spot { root, relative },
        Place::Above if kind == EntryKind::Directory => return Ok(()),
        Place::Above => return Err(refused("is in the way of the cache")),
    };
    if spot.is_root() && matches!(kind, EntryKind::Symlink { .. }) {
        return Err(refused("is a link in the place of a root of the cache"));
    }
    let attributes = Attributes { mode, modified: Some(modified) };
    match kind {
        EntryKind::Directory => visitor.directory(spot, attributes),
        EntryKind::File { size } => visitor.file(spot, size, attributes),
        EntryKind::Symlink { target } => visitor.symlink(spot, target, attributes),
        EntryKind::HardLink { target } => {
            let (root, relative) = guard.link_target(&target).map_err(|refusal| refusal.of(&name))?;
            visitor.hard_link(spot, Spot { root, relative })
        }
    }
}

/// Counts entries, bounded by the manifest, or by the limits for archives without one.
struct EntryTally {
    manifest: Option<Manifest>,
    foreign: Limits,
    counts: Counts,
    unpacked_bytes: u64,
}

impl EntryTally {
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
        Ok(ArchiveContents {
            counts: self.counts,
            unpacked_bytes: self.unpacked_bytes,
            archive_bytes: stream.archive_bytes(),
            manifest: self.manifest,
        })
    }
}
