//! Cache archives unpacked: a stream becomes files, below directories that no other process uses.

use std::fs;
use std::io::{self, Read};

use tokio_util::sync::CancellationToken;

use super::clash;
use super::destination::Destination;
use super::writer::{Repeats, Writer, Written};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame::Splitter;
use crate::archive::format::manifest::{Counts, Manifest};
use crate::archive::read::decode;
use crate::archive::read::entries::{self, ArchiveContents};
use crate::archive::read::guard::Guard;
use crate::archive::read::limits::Limits;
use crate::domain::event::Meter;
use crate::tree::fingerprint::{ContentDigest, Quick};

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
    /// The quick fingerprint of the unpacked trees; `None` where [`crate::tree::fingerprint::quick`] has to be asked.
    pub(crate) quick: Option<Quick>,
}

/// Unpacks an archive: workers decompress it, the name of every entry is guarded and all of them are counted against the manifest and the
/// list, workers write the files, and links come last.
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
        let Written { content, quick } = writer.finish(cancel)?;
        Ok(Unpacked { manifest, counts, unpacked_bytes, archive_bytes, content, quick })
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

#[cfg(all(test, unix))]
#[expect(clippy::disallowed_methods, reason = "tests make trees")]
mod tests {
    use super::*;
    use crate::archive::pack::compress::Levels;
    use crate::archive::pack::{self, PackRequest};
    use crate::domain::event::Phase;
    use crate::tree::fingerprint;
    use crate::tree::selection::Selection;
    use std::path::Path;

    fn unpack_copy(from: &Path, to: &Path, workers: usize) -> Unpacked {
        let selections = [Selection::everything(from)];
        let cancel = CancellationToken::new();
        let meter = Meter::new("c", Phase::Restore);
        let request = PackRequest {
            cache: "c",
            selections: &selections,
            last: None,
            workers,
            levels: Levels::default(),
            producer: "test",
        };
        let mut bytes = Vec::new();
        let packed = pack::pack(&request, &mut bytes, &cancel, &meter).expect("packed");
        let prefix = packed.manifest.prefixes().next().expect("a root").to_owned();
        let request = UnpackRequest {
            destinations: vec![Destination { prefix, directory: to.to_owned() }],
            workers,
            foreign: Limits { bytes: 0, entries: 0 },
        };
        unpack(request, Splitter::behind_manifest(&bytes[..]).expect("an archive"), &cancel, &meter)
            .expect("unpacked")
    }

    /// What the writer saw is what a walk would see, or it says nothing: a difference would make every save read all contents.
    #[test]
    fn an_unpacked_tree_looks_as_the_writer_saw_it() {
        use std::os::unix::fs::PermissionsExt as _;
        for workers in [0, 2] {
            let from = tempfile::tempdir().expect("a directory");
            fs::create_dir_all(from.path().join("d/e")).expect("directories");
            for index in 0..200 {
                fs::write(from.path().join(format!("d/{index}")), vec![b'x'; index * 7]).expect("a file");
            }
            fs::write(from.path().join("d/e/large"), vec![7; 9 << 20]).expect("a file");
            fs::set_permissions(from.path().join("d/e/large"), fs::Permissions::from_mode(0o444))
                .expect("a mode");
            fs::set_permissions(from.path().join("d/e"), fs::Permissions::from_mode(0o750)).expect("a mode");
            std::os::unix::fs::symlink("../d/7", from.path().join("d/link")).expect("a link");

            let to = tempfile::tempdir().expect("a directory");
            let unpacked = unpack_copy(from.path(), to.path(), workers);
            let selections = [Selection::everything(to.path())];
            let walked = fingerprint::quick(&selections, workers).expect("walked");
            assert!(walked.digest.is_some());
            assert_eq!(unpacked.quick, Some(walked), "{workers} workers");
            assert_eq!(walked.files, 201);

            fs::hard_link(from.path().join("d/5"), from.path().join("d/hard")).expect("a link");
            let to = tempfile::tempdir().expect("a directory");
            assert_eq!(unpack_copy(from.path(), to.path(), workers).quick, None);
        }
    }

    /// Of large files and of small ones, in an archive without a manifest as well.
    #[test]
    fn the_digest_of_contents_is_that_of_the_unpacked_tree() {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, size) in [("a", 300 << 10), ("b", 10), ("d/c", 300 << 10), ("e", 0), ("f", 300 << 10)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(size as u64);
            header.set_mode(0o644);
            let content: Vec<u8> = name.bytes().cycle().take(size).collect();
            tar.append_data(&mut header, format!("x/{name}"), &content[..]).expect("appended");
        }
        let archive = zstd::bulk::compress(&tar.into_inner().expect("a tar"), 1).expect("compressed");
        let to = tempfile::tempdir().expect("a directory");
        let request = UnpackRequest {
            destinations: vec![Destination { prefix: "x".to_owned(), directory: to.path().to_owned() }],
            workers: 2,
            foreign: Limits { bytes: 1 << 20, entries: 10 },
        };
        let (cancel, meter) = (CancellationToken::new(), Meter::new("c", Phase::Restore));
        let archive = Splitter::behind_manifest(&archive[..]).expect("an archive");
        let unpacked = unpack(request, archive, &cancel, &meter).expect("unpacked");
        let selections = [Selection::everything(to.path())];
        let walked = fingerprint::content(&selections, 2, &cancel).expect("walked");
        assert_eq!(unpacked.content, walked);
    }
}
