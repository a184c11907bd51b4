//! Cache archives unpacked: a stream becomes files, below directories that no other process uses.

use std::fs;
use std::io::{self, Read};

use tokio_util::sync::CancellationToken;

use super::clash;
use super::destination::Destination;
use super::writer::{Repeats, Writer};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame::Splitter;
use crate::archive::format::manifest::{Counts, Manifest};
use crate::archive::read::buffer::Slice;
use crate::archive::read::decode;
use crate::archive::read::entries::{self, ArchiveContents, Attributes, Spot, Visitor};
use crate::archive::read::guard::{self, Guard};
use crate::archive::read::limits::Limits;
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Meter;
use crate::tree::fingerprint::ContentDigest;

/// What to unpack, and where to.
pub struct UnpackRequest<'a> {
    /// Where each root of the archive goes.
    pub destinations: Vec<Destination>,
    /// Threads that decompress, and as many that write, if they can be had; with 0 it all happens on the calling thread.
    pub workers: usize,
    /// What an archive may hold that has no manifest.
    pub foreign: Limits,
    /// Called with the manifest before anything is written; an error declines the archive.
    pub on_manifest: &'a mut dyn FnMut(&Manifest) -> Result<(), String>,
}

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// The manifest; `None` if another program made the archive.
    pub manifest: Option<Manifest>,
    /// Entries of each kind.
    pub counts: Counts,
    /// Bytes of all files.
    pub unpacked_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// The digest of all contents, as [`crate::tree::fingerprint::content`] gives it for the unpacked tree.
    pub content: ContentDigest,
}

/// Unpacks an archive from a stream.
///
/// After an error the destinations hold a part of the archive, which the caller removes. Nothing outside of them is
/// ever touched.
pub fn unpack<R: Read + Send>(
    request: UnpackRequest<'_>,
    input: R,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Unpacked, ArchiveError> {
    check_empty(&request.destinations)?;
    let workers = request.workers;
    let places = request.destinations.clone();
    let unpacked = std::thread::scope(|scope| {
        let source = decode::open(scope, Splitter::new(input), workers, cancel)?;
        let writer = Writer::start(scope, workers, request.destinations, Repeats::SameKind);
        let content = ContentDigest::default();
        let mut unpacking = Unpacking { writer, on_manifest: request.on_manifest, content, file: None };
        let ArchiveContents { manifest, counts, unpacked_bytes, archive_bytes } =
            entries::visit(source, request.foreign, &mut unpacking, cancel, meter)?;
        let Unpacking { writer, mut content, .. } = unpacking;
        content.merge(writer.finish(cancel)?);
        Ok(Unpacked { manifest, counts, unpacked_bytes, archive_bytes, content })
    });
    unpacked.map_err(|error| clash::explain(error, &places))
}

/// Refuses destinations that hold something.
pub(super) fn check_empty(destinations: &[Destination]) -> Result<(), ArchiveError> {
    for Destination { directory, .. } in destinations {
        let mut entries = fs::read_dir(directory).map_err(ArchiveError::write("unpack into", directory))?;
        if entries.next().is_some() {
            let taken = io::ErrorKind::DirectoryNotEmpty.into();
            return Err(ArchiveError::write("unpack into", directory)(taken));
        }
    }
    Ok(())
}

/// Refuses an archive with other roots than there are destinations.
pub(super) fn check_roots(manifest: &Manifest, destinations: &[Destination]) -> Result<(), ArchiveError> {
    let declared = manifest.prefixes();
    if declared.clone().eq(destinations.iter().map(|destination| destination.prefix.as_str())) {
        return Ok(());
    }
    let roots = declared.collect::<Vec<_>>().join("`, `");
    Err(ArchiveError::refused(manifest.cache.as_bytes(), format!("has other roots: `{roots}`")))
}

/// The visitor that hands entries to the writer and digests their contents, which a later save compares with the tree. Hard
/// links are left out: the file that one joins may be any of those before it, and is read again once it is known
/// ([`Writer::finish`]). So nothing is remembered of files.
struct Unpacking<'a> {
    writer: Writer,
    on_manifest: &'a mut dyn FnMut(&Manifest) -> Result<(), String>,
    /// The digest of all entries so far but hard links.
    content: ContentDigest,
    /// The file whose content arrives, and its mode.
    file: Option<(Spot, u32)>,
}

impl Visitor for Unpacking<'_> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<Guard, ArchiveError> {
        check_roots(manifest, self.writer.destinations())?;
        self.writer.set_repeats(Repeats::Refused);
        let guard = Guard::new(manifest.prefixes());
        (self.on_manifest)(manifest).map_err(ArchiveError::Declined)?;
        Ok(guard)
    }

    fn foreign(&mut self) -> Result<Guard, ArchiveError> {
        Ok(Guard::new(self.writer.destinations().iter().map(|d| d.prefix.as_str())))
    }

    fn hashes_files(&self) -> bool {
        true
    }

    fn directory(&mut self, spot: Spot, attributes: Attributes) -> Result<(), ArchiveError> {
        self.writer.directory(&spot, attributes)
    }

    fn file(&mut self, spot: Spot, size: u64, attributes: Attributes) -> Result<(), ArchiveError> {
        self.writer.file(&spot, size, attributes)?;
        self.file = Some((spot, attributes.mode));
        Ok(())
    }

    fn content(&mut self, slice: Slice) -> Result<(), ArchiveError> {
        self.writer.content(slice)
    }

    fn file_end(&mut self, content: Option<&Sha256Digest>) {
        if let (Some((spot, mode)), Some(content)) = (self.file.take(), content) {
            self.content.add_file(spot.root, &spot.relative, mode, &content.0);
        }
    }

    fn symlink(&mut self, spot: Spot, target: Vec<u8>, attributes: Attributes) -> Result<(), ArchiveError> {
        if let Some(target) = guard::os_name(&target) {
            self.content.add_link(spot.root, &spot.relative, &target);
        }
        self.writer.symlink(&spot, target, attributes)
    }

    fn hard_link(&mut self, spot: Spot, target: Spot) -> Result<(), ArchiveError> {
        self.writer.hard_link(&spot, &target)
    }
}
