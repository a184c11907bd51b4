//! Archives verified: read to their end, and nothing written.

use std::io::Read;

use tokio_util::sync::CancellationToken;

use super::buffer::Slice;
use super::decode;
use super::entries::{self, ArchiveContents, Attributes, Hashing, Spot, Visitor};
use super::guard::Guard;
use super::limits::Limits;
use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame::Splitter;
use crate::archive::format::manifest::{Counts, Manifest};
use crate::domain::event::Meter;

/// What a verified archive holds.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The manifest; `None` if another program made the archive.
    pub manifest: Option<Manifest>,
    /// Entries of each kind.
    pub counts: Counts,
    /// Bytes of all files.
    pub unpacked_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
}

/// Reads an archive to its end: every frame decompresses, every entry is safe, and the digest, the seek
/// table and the manifest are true. Writes nothing.
///
/// With no workers, or if no threads can be had, it all happens on the calling thread. An archive without a manifest
/// may hold anything within `foreign`.
pub fn verify<R: Read + Send>(
    input: R,
    workers: usize,
    foreign: Limits,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Verified, ArchiveError> {
    let parts = Splitter::behind_manifest(input)?;
    let manifest = parts.manifest().cloned();
    let guard = manifest.as_ref().map_or_else(Guard::anywhere, |manifest| Guard::new(manifest.prefixes()));
    let guard = guard.for_reading();
    std::thread::scope(|scope| {
        let source = decode::open(scope, parts, workers, cancel)?;
        let ArchiveContents { manifest, counts, unpacked_bytes, archive_bytes } =
            entries::visit(source, manifest, &guard, foreign, &mut Verifying, cancel, meter)?;
        Ok(Verified { manifest, counts, unpacked_bytes, archive_bytes })
    })
}

/// Accepts all entries and writes none.
struct Verifying;

impl Visitor for Verifying {
    fn directory(&mut self, _: &Spot, _: Attributes) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(&mut self, _: Spot, _: u64, _: Attributes) -> Result<Hashing, ArchiveError> {
        Ok(Hashing::IfListed)
    }

    fn content(&mut self, _: Slice) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn symlink(&mut self, _: &Spot, _: Vec<u8>, _: Attributes) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn hard_link(&mut self, _: &Spot, _: &Spot) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn keep_promises(&mut self) -> Result<(), ArchiveError> {
        Ok(())
    }
}
