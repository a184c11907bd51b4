//! Archives put together from parts, with every checksum, digest and table true: what is wrong with them is what they say.

use sha2::{Digest as _, Sha256};

const MANIFEST: u32 = 0x184D_2A50;
const DIGEST: u32 = 0x184D_2A51;
const LIST: u32 = 0x184D_2A52;
const SEEK_TABLE: u32 = 0x184D_2A5E;

pub(crate) fn skippable(magic: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    [&magic.to_le_bytes()[..], &length.to_le_bytes(), payload].concat()
}

/// A manifest's frame with another payload.
pub(crate) fn manifest_frame(payload: &[u8]) -> Vec<u8> {
    skippable(MANIFEST, payload)
}

/// The frame of a manifest, as one of an archive without a list.
pub(crate) fn unlisted(manifest: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(&manifest[8..]).expect("text");
    manifest_frame(text.replacen(r#""format":2"#, r#""format":1"#, 1).as_bytes())
}

/// A stream as an archive without a list.
pub(crate) fn seal(manifest: &[u8], stream: &[u8]) -> Vec<u8> {
    let frame = compressed(stream);
    let before = [manifest, &frame].concat();
    let digest = skippable(DIGEST, &[&b"cachekeep sha256\n"[..], &Sha256::digest(&before)].concat());
    let table = table(&[(manifest.len(), 0), (frame.len(), stream.len()), (digest.len(), 0)]);
    [before, digest, skippable(SEEK_TABLE, &table)].concat()
}

/// A stream as an archive with these rows for a list.
pub(crate) fn seal_with_list(manifest: &[u8], stream: &[u8], rows: &[u8]) -> Vec<u8> {
    let frame = compressed(stream);
    let piece = zstd::bulk::compress(rows, 1).expect("a piece");
    let list = skippable(LIST, &[&b"cachekeep list\n"[..], &piece].concat());
    let numbers =
        [manifest.len() + frame.len(), list.len(), rows.len()].map(|number| (number as u64).to_le_bytes());
    let place = [numbers.as_flattened(), &Sha256::digest(rows)].concat();
    let proof = |digest: &[u8]| skippable(DIGEST, &[&b"cachekeep digest\n"[..], &place, digest].concat());
    let length = proof(&[0; 32]).len();
    let table = table(&[(manifest.len(), 0), (frame.len(), stream.len()), (list.len(), 0), (length, 0)]);
    let digest = Sha256::digest([&Sha256::digest(manifest)[..], &place, &Sha256::digest(&table)].concat());
    [manifest, &frame, &list, &proof(&digest), &skippable(SEEK_TABLE, &table)].concat()
}

/// The rows of an archive's list.
pub(crate) fn rows(archive: &[u8]) -> Vec<u8> {
    let mut rows = Vec::new();
    let mut at = 0;
    for end in super::packing::frame_ends(archive) {
        let frame = &archive[at..end];
        if let Some(payload) = frame.strip_prefix(&LIST.to_le_bytes()) {
            let piece = payload[4..].strip_prefix(b"cachekeep list\n").expect("a list");
            rows.extend(zstd::bulk::decompress(piece, 1 << 20).expect("rows"));
        }
        at = end;
    }
    rows
}

fn compressed(stream: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
    compressor.include_checksum(true).expect("a checksum");
    compressor.compress(stream).expect("a frame")
}

fn table(frames: &[(usize, usize)]) -> Vec<u8> {
    let mut table = Vec::new();
    for &(compressed, content) in frames {
        table.extend(u32::try_from(compressed).expect("short").to_le_bytes());
        table.extend(u32::try_from(content).expect("short").to_le_bytes());
    }
    table.extend(u32::try_from(frames.len()).expect("few").to_le_bytes());
    table.extend([0, 0xB1, 0xEA, 0x92, 0x8F]);
    table
}
