//! The reader against a multitude of broken archives: it never panics, never hangs, and never writes
//! anywhere but below its destination. `CACHEKEEP_TEST_CASES=1000000` runs a million.

use std::fs;

use cachekeep::archive::ArchiveError;

use crate::archive::packing::{Random, frame_ends, list, noise, pack, unpack, verify};
use crate::archive::sealed::{manifest_frame, rows, seal, seal_with_list, unlisted};

/// One case in this many is unpacked; the others are only read.
const UNPACKED_ONE_IN: usize = 200;

fn cases() -> usize {
    std::env::var("CACHEKEEP_TEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(4_000)
}

/// What cases are made from.
struct Seeds {
    /// A whole archive.
    archive: Vec<u8>,
    /// Its manifest's frame.
    manifest: Vec<u8>,
    /// The same of an archive without a list.
    unlisted: Vec<u8>,
    /// Its tar stream.
    stream: Vec<u8>,
    /// The rows of its list.
    rows: Vec<u8>,
}

fn seeds() -> Seeds {
    let from = tempfile::tempdir().expect("a directory");
    let root = from.path();
    fs::create_dir_all(root.join("d/e")).expect("a directory");
    fs::write(root.join("a"), noise(700, 3)).expect("a file");
    fs::write(root.join("d/e/empty"), "").expect("a file");
    fs::write(root.join("d").join("n".repeat(120)), "text ".repeat(50)).expect("a file");
    #[cfg(unix)]
    std::os::unix::fs::symlink("../a", root.join("d/link")).expect("a link");
    fs::hard_link(root.join("a"), root.join("d/e/hard")).expect("a link");
    let (archive, _) = pack(root);
    let manifest = archive[..frame_ends(&archive)[0]].to_vec();
    let stream = zstd::decode_all(&archive[..]).expect("zstd");
    let (unlisted, rows) = (unlisted(&manifest), rows(&archive));
    Seeds { archive, manifest, unlisted, stream, rows }
}

/// Changes some bytes: flips, sets, numbers at their limits, cuts, repeats, moves.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        match random.below(8) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, b'/', b'.', b'0', b'7'][random.below(9)],
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => {
                let piece = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len() - length + 1);
                bytes[to..to + length].copy_from_slice(&piece);
            }
            _ => bytes[at..at + length].fill([0, 0xFF][random.below(2)]),
        }
    }
}

/// Changes headers of a tar stream and corrects the checksums, so that the change is not refused as damage.
fn mutate_stream(stream: &mut [u8], random: &mut Random) {
    let blocks = stream.len() / 512;
    for _ in 0..=random.below(3) {
        let start = random.below(blocks) * 512;
        let (field, length) =
            [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
                [random.below(8)];
        let field = &mut stream[start + field..start + field + length];
        match random.below(6) {
            0 => field[0] = b"0123456789LKxgSVD\0\xFF"[random.below(19)],
            1 => field.fill(b'7'),
            2 => field.fill(0xFF),
            3 => {
                let at = random.below(length);
                let name = [&b"../x"[..], b"/etc/x", b".cachekeep/c/d/link/x", b"a", b"\0"][random.below(5)];
                let end = length.min(at + name.len());
                field[at..end].copy_from_slice(&name[..end - at]);
            }
            _ => {
                let at = random.below(length);
                field[at] ^= 1 << random.below(8);
            }
        }
    }
    for block in stream.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// A manifest's frame with some of its text changed.
fn mutated_manifest(frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut payload = frame[8..].to_vec();
    mutate(&mut payload, random);
    manifest_frame(&payload)
}

fn case(seeds: &Seeds, random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => {
            let mut archive = seeds.archive.clone();
            mutate(&mut archive, random);
            archive
        }
        1 => seal(&mutated_manifest(&seeds.unlisted, random), &seeds.stream),
        2 => {
            let mut stream = seeds.stream.clone();
            mutate(&mut stream, random);
            zstd::encode_all(&stream[..], 1).expect("zstd")
        }
        3 | 4 => {
            let mut stream = seeds.stream.clone();
            mutate_stream(&mut stream, random);
            seal(&seeds.unlisted, &stream)
        }
        5 => {
            let mut rows = seeds.rows.clone();
            mutate(&mut rows, random);
            seal_with_list(&seeds.manifest, &seeds.stream, &rows)
        }
        6 => {
            let mut stream = seeds.stream.clone();
            mutate_stream(&mut stream, random);
            seal_with_list(&mutated_manifest(&seeds.manifest, random), &stream, &seeds.rows)
        }
        _ => {
            let mut stream = seeds.stream.clone();
            mutate_stream(&mut stream, random);
            zstd::bulk::compress(&stream, 1).expect("zstd")
        }
    }
}

#[test]
fn a_sealed_archive_is_taken_for_whole() {
    let seeds = seeds();
    assert!(verify(&seeds.archive, 0).expect("verified").manifest.is_some());
    assert!(verify(&seal(&seeds.unlisted, &seeds.stream), 0).expect("verified").manifest.is_some());
    let listed = seal_with_list(&seeds.manifest, &seeds.stream, &seeds.rows);
    assert!(verify(&listed, 0).expect("verified").manifest.is_some());
}

#[test]
fn no_archive_makes_the_reader_panic_hang_or_stray() {
    let seeds = seeds();
    let mut random = Random(0xCAFE);
    let place = tempfile::tempdir().expect("a directory");
    let (mut whole, mut refused) = (0, 0);
    for index in 0..cases() {
        let bytes = case(&seeds, &mut random);
        let verified = verify(&bytes, 0);
        match &verified {
            Ok(_) => whole += 1,
            Err(
                ArchiveError::Damaged(_)
                | ArchiveError::Refused { .. }
                | ArchiveError::Limit { .. }
                | ArchiveError::Format(_),
            ) => refused += 1,
            // A name that is not Unicode.
            Err(ArchiveError::Unsupported { .. }) if cfg!(windows) => refused += 1,
            Err(other) => panic!("case {index}: {other}"),
        }
        if index % UNPACKED_ONE_IN == 0 {
            let target = place.path().join("target");
            fs::create_dir(&target).expect("a directory");
            if unpack(&bytes[..], &target).is_ok() {
                assert!(verified.is_ok(), "case {index} unpacks, but does not verify");
            }
            let strayed = list(place.path())
                .into_iter()
                .any(|line| !line.path.as_os_str().is_empty() && !line.path.starts_with("target"));
            assert!(!strayed, "case {index}");
            fs::remove_dir_all(target).expect("removed");
        }
    }
    assert!(whole > cases() / 100 && refused > cases() / 2, "{whole} whole, {refused} refused");
}
