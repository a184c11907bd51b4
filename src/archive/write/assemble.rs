//! Thin archives unpacked: each content from the archive that has it, names, modes and times from the list.
//!
//! The list says what belongs where, so that tar headers are not read. What the targets hold already is linked or copied from there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::clash;
use super::destination::Destination;
use super::unpack::{Unpacked, check_empty, check_roots};
use super::writer::{Repeats, Writer};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{Row, RowKind};
use crate::archive::read::composite::Composite;
use crate::archive::read::decode::{self, Source};
use crate::archive::read::entries::{Attributes, Shape, Spot, Visitor as _, linked_spot, spot_of};
use crate::archive::read::guard::{self, Guard};
use crate::archive::read::scatter::{ContentReader, SegmentRange, WantedContent};
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Meter;
use crate::fs::cancel;
use crate::tree::fingerprint::ContentDigest;
use crate::tree::hashed::HashedFile;

/// What to assemble, and where.
pub struct AssembleRequest {
    /// Where each root of the archive goes.
    pub destinations: Vec<Destination>,
    /// Threads that decompress, and as many that write, if they can be had; with 0 it all happens on the calling thread.
    pub workers: usize,
    /// Files elsewhere on this machine that have the contents of rows, by their index ([`candidates`]).
    pub present: BTreeMap<usize, HashedFile>,
}

/// The files below the targets of an archive's roots that have, under the same name, the size of what it has for them.
pub fn candidates<'a>(
    composite: &'a Composite<'_>,
    targets: &[PathBuf],
) -> Result<Candidates<'a>, ArchiveError> {
    let guard = Guard::new(composite.listing().manifest.prefixes());
    let mut found = Vec::new();
    let mut directories = RealDirectories::default();
    for (index, row) in composite.rows().iter().enumerate() {
        let RowKind::File { size: size @ 1.., .. } = row.kind else { continue };
        let Some(spot) = spot_of(&guard, &row.name, Shape::File)? else { continue };
        let Some(target) = targets.get(spot.root) else { continue };
        let path = if spot.is_root() { target.clone() } else { target.join(&spot.relative) };
        if !spot.is_root() && !directories.has(target, spot.relative.parent()) {
            continue;
        }
        found.extend(HashedFile::candidate(path, size).map(|file| (row, index, file)));
    }
    Ok(Candidates(found))
}

/// Files that may have the contents of rows of an archive: each row with its index, and the file.
pub struct Candidates<'a>(Vec<(&'a Row, usize, HashedFile)>);

impl Candidates<'_> {
    /// Bytes of those that have the time of their row as well, so that they are hardly other files.
    pub fn likely_bytes(&self) -> u64 {
        let likely = self.0.iter().filter(|(row, _, file)| file.modified() == row.modified);
        likely.map(|(_, _, file)| file.size()).sum()
    }

    /// Those that have the very content, by their hash.
    pub fn proven(
        self,
        workers: usize,
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<usize, HashedFile>, ArchiveError> {
        let hashes = HashedFile::hash_all(self.0.iter().map(|(_, _, file)| file), workers, cancel);
        let is_same = |((row, index, file), hash): ((&Row, usize, HashedFile), Option<Sha256Digest>)| {
            let RowKind::File { content, .. } = &row.kind else { return None };
            (hash? == *content).then_some((index, file))
        };
        if cancel::is_cancelled(cancel) {
            return Err(ArchiveError::Cancelled);
        }
        Ok(self.0.into_iter().zip(hashes).filter_map(is_same).collect())
    }
}

/// Directories that are reached from a root without following a link: what lies in others is not of its tree.
#[derive(Default)]
struct RealDirectories(BTreeMap<PathBuf, bool>);

impl RealDirectories {
    fn has(&mut self, root: &Path, relative: Option<&Path>) -> bool {
        let Some(relative) = relative.filter(|path| !path.as_os_str().is_empty()) else { return true };
        let path = root.join(relative);
        if let Some(is_real) = self.0.get(&path) {
            return *is_real;
        }
        let is_real = self.has(root, relative.parent())
            && fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        self.0.insert(path, is_real);
        is_real
    }
}

/// Unpacks a thin archive. `open` gives the bytes of ranges, in their order; nothing is asked for that is present.
///
/// After an error the destinations hold a part of the archive, which the caller removes. Nothing outside of them is
/// ever touched.
pub fn assemble<R: Read + Send>(
    request: AssembleRequest,
    composite: &Composite<'_>,
    open: impl FnOnce(Vec<SegmentRange>) -> R,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Unpacked, ArchiveError> {
    let AssembleRequest { destinations, workers, present } = request;
    let manifest = &composite.listing().manifest;
    check_empty(&destinations)?;
    check_roots(manifest, &destinations)?;
    let contents = composite.contents(|row, _| !present.contains_key(&row))?;
    let plan = composite.plan(&contents)?;
    meter.set_total(manifest.unpacked_bytes);
    let places = destinations.clone();
    let assembled = std::thread::scope(|scope| {
        let source = decode::open(scope, plan.frames_in(open(plan.ranges())), workers, cancel)?;
        let mut assembling = Assembling {
            composite,
            guard: Guard::new(manifest.prefixes()),
            writer: Writer::start(scope, workers, destinations, Repeats::Refused).without_hashing(),
            content: ContentDigest::default(),
            cancel,
            meter,
        };
        assembling.names()?;
        assembling.read(&contents, plan.contents(source))?;
        assembling.reuse(&contents, &present)?;
        let Assembling { writer, mut content, .. } = assembling;
        content.merge(writer.finish(cancel)?.content);
        Ok(Unpacked {
            manifest: Some(manifest.clone()),
            counts: manifest.counts,
            unpacked_bytes: manifest.unpacked_bytes,
            archive_bytes: composite.listing().archive_bytes,
            content,
            quick: None,
        })
    });
    assembled.map_err(|error| clash::explain(error, &places))
}

/// A thin archive on its way to its destinations.
struct Assembling<'a> {
    composite: &'a Composite<'a>,
    guard: Guard,
    writer: Writer,
    /// The digest of the files so far, of which the list has the hashes.
    content: ContentDigest,
    cancel: &'a CancellationToken,
    meter: &'a Meter,
}

impl Assembling<'_> {
    /// Makes directories and empty files, and hands over links, which come last.
    fn names(&mut self) -> Result<(), ArchiveError> {
        for row in self.composite.rows() {
            self.check()?;
            let attributes = attributes(row);
            let name = &row.name;
            match &row.kind {
                RowKind::Directory => {
                    if let Some(spot) = spot_of(&self.guard, name, Shape::Directory)? {
                        self.writer.directory(&spot, attributes)?;
                    }
                }
                RowKind::Symlink { target } => {
                    guard::check_target(target).map_err(|reason| ArchiveError::refused(name, reason))?;
                    let Some(spot) = spot_of(&self.guard, name, Shape::Symlink)? else { continue };
                    self.writer.symlink(&spot, target.clone(), attributes)?;
                }
                RowKind::HardLink { target } => {
                    let Some(spot) = spot_of(&self.guard, name, Shape::File)? else { continue };
                    self.writer.hard_link(&spot, &linked_spot(&self.guard, name, target)?)?;
                }
                RowKind::File { size: 0, .. } => {
                    let spot = self.file(row)?;
                    self.writer.file(spot, 0, attributes)?;
                }
                RowKind::File { .. } => continue,
            }
            self.meter.add_items(1);
        }
        Ok(())
    }

    /// Writes the first file of each content.
    fn read<S: Source>(
        &mut self,
        contents: &[WantedContent],
        mut reader: ContentReader<S>,
    ) -> Result<(), ArchiveError> {
        for wanted in contents {
            self.check()?;
            let row = &self.composite.rows()[wanted.rows[0]];
            let spot = self.file(row)?;
            self.writer.file(spot, wanted.extent.length, attributes(row))?;
            let digest = reader.read(&wanted.extent, |slice| {
                self.meter.add_bytes(slice.len() as u64);
                self.writer.content(slice)
            })?;
            self.composite.check_content(wanted, &digest)?;
            self.meter.add_items(1);
        }
        Ok(())
    }

    /// Copies or links what is on this machine by now: further files of one content, and those that were present.
    fn reuse(
        &mut self,
        contents: &[WantedContent],
        present: &BTreeMap<usize, HashedFile>,
    ) -> Result<(), ArchiveError> {
        // What is copied must be whole.
        self.writer.drain()?;
        for WantedContent { rows, .. } in contents {
            let (first, further) = rows.split_first().unwrap_or((&0, &[]));
            if further.is_empty() {
                continue;
            }
            let Some(source) = spot_of(&self.guard, &self.composite.rows()[*first].name, Shape::File)? else {
                continue;
            };
            let source = self.writer.written(&source)?;
            for index in further {
                self.take(*index, &source, Writer::copy)?;
            }
        }
        present.iter().try_for_each(|(index, source)| self.take(*index, source, Writer::reuse))
    }

    fn take(
        &mut self,
        index: usize,
        source: &HashedFile,
        take: fn(&mut Writer, &Spot, HashedFile, Attributes) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        self.check()?;
        let row = &self.composite.rows()[index];
        let spot = self.file(row)?;
        take(&mut self.writer, &spot, source.clone(), attributes(row))?;
        if let RowKind::File { size, .. } = row.kind {
            self.meter.add_bytes(size);
        }
        self.meter.add_items(1);
        Ok(())
    }

    /// Where a file belongs; it counts for the digest.
    fn file(&mut self, row: &Row) -> Result<Spot, ArchiveError> {
        let outside = || ArchiveError::refused(&row.name, "lies outside the cache");
        let spot = spot_of(&self.guard, &row.name, Shape::File)?.ok_or_else(outside)?;
        if let RowKind::File { content, .. } = &row.kind {
            self.content.add_file(spot.root, &spot.relative, row.mode, &content.0);
        }
        Ok(spot)
    }

    fn check(&self) -> Result<(), ArchiveError> {
        if cancel::is_cancelled(self.cancel) { Err(ArchiveError::Cancelled) } else { Ok(()) }
    }
}

fn attributes(row: &Row) -> Attributes {
    Attributes { mode: row.mode, modified: Some(row.modified) }
}
