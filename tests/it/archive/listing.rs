//! The list of an archive: it says what the archive holds, is read from a few ranges, and an archive that differs from its list
//! is refused.

use std::cell::Cell;
use std::fs;
use std::ops::Range;
#[cfg(unix)]
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use bytes::Bytes;
use cachekeep::archive::{self, ArchiveError, Listing, Row, RowKind};
use filetime::FileTime;
use sha2::{Digest as _, Sha256};

use super::packing::{frame_ends, noise, pack, plant, unpack, verify};
use super::sealed::{columns, rows, seal_with_list};

/// The archive of format 1 that an earlier version made of a small tree.
const FORMAT_1: &[u8] = include_bytes!("../../fixtures/archive/format-1.tar.zst");

fn read(archive: &[u8]) -> Result<Option<Listing>, ArchiveError> {
    read_counting(archive, &Cell::new(0))
}

fn read_counting(archive: &[u8], fetched: &Cell<u64>) -> Result<Option<Listing>, ArchiveError> {
    archive::read_listing(archive.len() as u64, |parts: &[Range<u64>]| {
        let part = |range: &Range<u64>| {
            fetched.set(fetched.get() + range.end - range.start);
            let at = |position: u64| usize::try_from(position).expect("in memory");
            Bytes::copy_from_slice(&archive[at(range.start)..at(range.end)])
        };
        Ok::<_, ArchiveError>(parts.iter().map(part).collect())
    })
}

fn all_rows(archive: &[u8]) -> Vec<Row> {
    let listing = read(archive).expect("readable").expect("a list");
    listing.rows().collect::<Result<_, _>>().expect("rows")
}

/// A tree with a file over several frames, and small things.
fn sample() -> (tempfile::TempDir, Vec<u8>) {
    let from = tempfile::tempdir().expect("a directory");
    fs::write(from.path().join("large"), noise(9_000_000, 7)).expect("a file");
    fs::create_dir(from.path().join("d")).expect("a directory");
    fs::write(from.path().join("d/empty"), "").expect("a file");
    fs::write(from.path().join("d/text"), "some text ".repeat(100)).expect("a file");
    #[cfg(unix)]
    symlink("../large", from.path().join("d/link")).expect("a link");
    fs::hard_link(from.path().join("d/text"), from.path().join("hard")).expect("a link");
    let (bytes, _) = pack(from.path());
    (from, bytes)
}

#[cfg(unix)]
fn os_name(name: &[u8]) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

#[cfg(not(unix))]
fn os_name(name: &[u8]) -> &Path {
    Path::new(std::str::from_utf8(name).expect("Unicode"))
}

#[test]
fn a_list_says_what_the_archive_holds_and_where() {
    let from = tempfile::tempdir().expect("a directory");
    plant(from.path());
    fs::write(from.path().join("over frames"), noise(9_000_000, 7)).expect("a file");
    let (bytes, packed) = pack(from.path());
    let stream = zstd::decode_all(&bytes[..]).expect("zstd");
    let listed = all_rows(&bytes);
    assert_eq!(listed.len() as u64, packed.manifest.counts.entries());
    for row in &listed {
        let name = row.name.strip_prefix(b".cachekeep/c").expect("below the root");
        let path = from.path().join(os_name(name.strip_prefix(b"/").unwrap_or(name)));
        let metadata = fs::symlink_metadata(&path).expect("there");
        let modified = FileTime::from_unix_time(row.modified.seconds, row.modified.nanoseconds);
        assert_eq!(modified, FileTime::from_last_modification_time(&metadata), "{}", path.display());
        match &row.kind {
            RowKind::Directory => assert!(metadata.is_dir()),
            RowKind::Symlink { target } => {
                assert_eq!(fs::read_link(&path).expect("a link").as_os_str().as_encoded_bytes(), target);
            }
            RowKind::HardLink { target } => {
                assert!(
                    listed.iter().any(|row| row.name == *target && matches!(row.kind, RowKind::File { .. }))
                );
            }
            RowKind::File { size, content, extents } => {
                let bytes = fs::read(&path).expect("a file");
                #[cfg(unix)]
                assert_eq!(row.mode, metadata.mode() & 0o777, "{}", path.display());
                assert_eq!(*size, bytes.len() as u64);
                assert_eq!(content.0[..], Sha256::digest(&bytes)[..], "{}", path.display());
                let at = |position: u64| usize::try_from(position).expect("in memory");
                let from_stream: Vec<u8> = extents
                    .iter()
                    .inspect(|extent| assert_eq!(extent.segment, 0))
                    .flat_map(|extent| &stream[at(extent.offset)..at(extent.offset + extent.length)])
                    .copied()
                    .collect();
                assert!(from_stream == bytes, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_list_is_read_from_a_few_ranges() {
    let (_from, bytes) = sample();
    let fetched = Cell::new(0);
    let listing = read_counting(&bytes, &fetched).expect("readable").expect("a list");
    assert_eq!(listing.rows().count(), if cfg!(unix) { 7 } else { 6 });
    assert!(fetched.get() < 200_000, "{} of {} bytes", fetched.get(), bytes.len());
}

#[test]
fn archives_without_a_list_are_read_and_say_so() {
    assert!(read(FORMAT_1).expect("readable").is_none());
    let verified = verify(FORMAT_1, 2).expect("verified");
    assert_eq!(verified.manifest.map(|manifest| manifest.format), Some(1));
    // It holds a symbolic link.
    #[cfg(unix)]
    {
        let place = tempfile::tempdir().expect("a directory");
        unpack(FORMAT_1, place.path()).expect("unpacked");
        assert_eq!(fs::read_to_string(place.path().join("a")).expect("a file"), "some text ".repeat(40));
        assert_eq!(fs::metadata(place.path().join("d/hard")).expect("a file").nlink(), 2);
    }
    for bit in 0..FORMAT_1.len() * 8 {
        let mut flipped = FORMAT_1.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            verify(&flipped, 0).is_err() || verify(&flipped, 0).is_ok_and(|it| it.unpacked_bytes == 400),
            "{bit}"
        );
    }
    let foreign = zstd::encode_all(&[0; 1024][..], 1).expect("zstd");
    assert!(read(&foreign).expect("readable").is_none());
}

#[test]
fn a_stream_that_differs_from_its_list_is_refused() {
    let from = tempfile::tempdir().expect("a directory");
    fs::write(from.path().join("a"), "some text ".repeat(100)).expect("a file");
    fs::write(from.path().join("b"), "another").expect("a file");
    #[cfg(unix)]
    symlink("a", from.path().join("c")).expect("a link");
    let (bytes, _) = pack(from.path());
    let manifest = &bytes[..frame_ends(&bytes)[0]];
    let stream = zstd::decode_all(&bytes[..]).expect("zstd");
    let true_rows = rows(&bytes);
    let sealed = |rows: &[u8]| seal_with_list(manifest, &stream, rows);
    verify(&sealed(&true_rows), 2).expect("what agrees");
    // Returns whether the rows were rows.
    let check = |rows: &[u8], what: &str| {
        let archive = sealed(rows);
        // A frame of a list holds some.
        let is_read = !rows.is_empty() && columns(rows).is_some();
        let reason = if is_read { "match its files" } else { "parse" };
        let expect = format!("the archive is damaged: its list does not {reason}");
        for workers in [0, 2] {
            let error = verify(&archive, workers).expect_err(what);
            assert_eq!(error.to_string(), expect, "{what}");
        }
        let place = tempfile::tempdir().expect("a directory");
        let error = unpack(&archive[..], place.path()).expect_err(what);
        assert_eq!(error.to_string(), expect, "{what}");
        is_read
    };
    // Names, modes, times, sizes, hashes, offsets and targets are all in these bytes.
    let mut read = 0;
    for at in 0..true_rows.len() {
        let mut other = true_rows.clone();
        other[at] ^= 1;
        read += usize::from(check(&other, &format!("byte {at}")));
    }
    assert!(read * 10 > true_rows.len() * 8, "{read} of {}", true_rows.len());
    assert!(!check(&[], "no rows"));
    assert!(!check(&true_rows[..true_rows.len() - 1], "a row without its end"));
    assert!(check(&[&true_rows[..], &true_rows].concat(), "all rows twice"));
}

#[test]
fn a_changed_content_is_refused_by_its_hash_alone() {
    let from = tempfile::tempdir().expect("a directory");
    fs::write(from.path().join("a"), "some text ".repeat(100)).expect("a file");
    let (bytes, _) = pack(from.path());
    let mut stream = zstd::decode_all(&bytes[..]).expect("zstd");
    let at = stream.windows(4).position(|window| window == b"some").expect("the content");
    stream[at] = b'S';
    let archive = seal_with_list(&bytes[..frame_ends(&bytes)[0]], &stream, &rows(&bytes));
    let error = verify(&archive, 2).expect_err("a refusal");
    assert_eq!(error.to_string(), "the archive is damaged: its list does not match its files");
}

#[test]
fn a_list_with_a_flipped_bit_is_refused_or_the_same() {
    let (_from, bytes) = sample();
    let ends = frame_ends(&bytes);
    let behind = ends[ends.len() - 4];
    let expect = all_rows(&bytes);
    for at in (0..ends[0]).chain(behind..bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let rows = read(&flipped).and_then(|listing| {
            listing.map(|listing| listing.rows().collect::<Result<Vec<_>, _>>()).transpose()
        });
        match rows {
            Err(_) => {}
            // A manifest that is not recognized is that of another program.
            Ok(None) => assert!(at < 32, "{at}"),
            Ok(Some(rows)) => assert_eq!(rows, expect, "{at}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_list_that_would_be_too_long_is_left_out() {
    let from = tempfile::tempdir().expect("a directory");
    let target = "t".repeat(4000);
    for index in 0..16_500 {
        symlink(&target, from.path().join(index.to_string())).expect("a link");
    }
    let (bytes, packed) = pack(from.path());
    assert_eq!(packed.manifest.format, 1);
    assert!(read(&bytes).expect("readable").is_none());
    verify(&bytes, 2).expect("verified");
    fs::remove_file(from.path().join("0")).expect("removed");
    for index in 16_000..16_500 {
        fs::remove_file(from.path().join(index.to_string())).expect("removed");
    }
    let (bytes, packed) = pack(from.path());
    assert_eq!(packed.manifest.format, 2);
    assert_eq!(all_rows(&bytes).len(), 16_000);
}

/// The length of the manifest is that of its frame's header, which may say anything.
#[test]
fn a_manifest_that_ends_elsewhere_than_it_says_is_no_list_and_nothing_behind_the_archive_is_asked_for() {
    let (_from, archive) = sample();
    let longest = u32::try_from(archive.len()).expect("small").saturating_sub(8);
    for length in (0..64).chain([longest + 1, 3 << 20, u32::MAX]) {
        let mut archive = archive.clone();
        archive[4..8].copy_from_slice(&length.to_le_bytes());
        // The helper reads slices: a range behind the end would be a panic.
        let read = read(&archive);
        assert!(!matches!(read, Ok(Some(_))), "{length}");
    }
    for length in 0..archive.len().min(64) {
        assert!(!matches!(read(&archive[..length]), Ok(Some(_))), "{length}");
    }
}
