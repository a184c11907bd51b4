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
use crate::archive::read::decode;
use crate::archive::read::entries::{self, ArchiveContents};
use crate::archive::read::guard::Guard;
use crate::archive::read::limits::Limits;
use crate::domain::event::Meter;
use crate::tree::fingerprint::ContentDigest;

/// What to unpack, and where to.
pub struct UnpackRequest {
    /// Where each root of the archive goes.
    pub destinations: Vec<Destination>,
    /// Threads that decompress, and as many that write, if they can be had; with 0 it all happens on the calling thread.
    pub workers: usize,
    /// What an archive may hold that has no manifest.
    pub foreign: Limits,
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

/// Unpacks an archive.
///
/// After an error the destinations hold a part of the archive, which the caller removes. Nothing outside of them is
/// ever touched.
pub fn unpack<R: Read + Send>(
    request: UnpackRequest,
    archive: Splitter<R>,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Unpacked, ArchiveError> {
    let UnpackRequest { destinations, workers, foreign } = request;
    check_empty(&destinations)?;
    let manifest = archive.manifest().cloned();
    let (guard, repeats) = if let Some(manifest) = &manifest {
        check_roots(manifest, &destinations)?;
        (Guard::new(manifest.prefixes()), Repeats::Refused)
    } else {
        (Guard::new(destinations.iter().map(|destination| destination.prefix.as_str())), Repeats::SameKind)
    };
    let places = destinations.clone();
    let unpacked = std::thread::scope(|scope| {
        let source = decode::open(scope, archive, workers, cancel)?;
        let mut writer = Writer::start(scope, workers, destinations, repeats);
        let ArchiveContents { manifest, counts, unpacked_bytes, archive_bytes } =
            entries::visit(source, manifest, &guard, foreign, &mut writer, cancel, meter)?;
        let content = writer.finish(cancel)?;
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
