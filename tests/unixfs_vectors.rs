//! CIDs of a deterministic stream equal those that npm's `ipfs-car` and `ipfs-unixfs-importer` make of it.
//!
//! `tests/peer/unixfs/make-vectors.mjs` describes the stream and made the vectors.

use std::collections::BTreeMap;

use cachekeep::disk::unixfs::{Builder, Candidates, Layout, Leaves, Profile, Root};
use cachekeep::domain::digest::{Algorithm, CidCodec, ObjectId};

const VECTORS: &str = include_str!("fixtures/unixfs/vectors.tsv");
const PERIOD: usize = 1_048_573;

/// One period of the stream.
fn block() -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..PERIOD).map(step).collect()
}

struct Vector {
    profile: String,
    layout: Layout,
    bytes: u64,
    cid: String,
    line: &'static str,
}

fn vectors() -> Vec<Vector> {
    let rows = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let vector = |line: &'static str| {
        let [profile, chunk, links, leaves, bytes, cid, _encoder] =
            line.split('\t').collect::<Vec<_>>().try_into().expect(line);
        let leaves = if leaves == "raw" { Leaves::Raw } else { Leaves::DagPb };
        let layout = Layout::new(chunk.parse().expect(line), links.parse().expect(line), leaves);
        let (profile, cid) = (profile.to_owned(), cid.to_owned());
        Vector { profile, layout, bytes: bytes.parse().expect(line), cid, line }
    };
    rows.map(vector).collect()
}

fn assert_named(root: Root, vector: &Vector) {
    let id = ObjectId::new(Algorithm::Cid, &vector.cid).expect(vector.line);
    let (codec, digest) = id.cid().expect("a CID");
    assert!(root.names(codec, &digest), "{}: {root:?}", vector.line);
    assert_eq!(root.bytes, vector.bytes);
    // A CID names its root under its own codec only.
    let other = if codec == CidCodec::Raw { CidCodec::DagPb } else { CidCodec::Raw };
    assert!(!root.names(other, &digest));
}

#[test]
fn profiles_equal_the_encoders_of_the_field() {
    let mut by_bytes: BTreeMap<u64, Vec<Vector>> = BTreeMap::new();
    for vector in vectors().into_iter().filter(|vector| vector.profile != "tiny") {
        by_bytes.entry(vector.bytes).or_default().push(vector);
    }
    let mut checked = BTreeMap::new();
    let block = block();
    // The stream is hashed once: at every size asked for, a copy of the builders is finished.
    let all: Vec<Profile> = Profile::all().collect();
    let mut candidates = Candidates::new(&all);
    let mut pushed = 0;
    for (bytes, vectors) in by_bytes {
        let wanted: Vec<Profile> =
            all.iter().copied().filter(|profile| vectors.iter().any(|v| v.profile == profile.name())).collect();
        if wanted.len() < all.len() {
            // Only the first profile goes beyond a gibibyte.
            let mut builder = Builder::new(wanted[0].layout());
            push(|piece| builder.push(piece), &block, 0, bytes);
            for vector in &vectors {
                assert_named(builder.clone().finish(), vector);
                *checked.entry(vector.profile.clone()).or_insert(0) += 1;
            }
            continue;
        }
        push(|piece| candidates.push(piece), &block, pushed, bytes);
        pushed = bytes;
        for (profile, root) in candidates.clone().finish() {
            for vector in vectors.iter().filter(|vector| vector.profile == profile.name()) {
                assert_eq!(vector.layout, profile.layout());
                assert_named(root, vector);
                *checked.entry(vector.profile.clone()).or_insert(0) += 1;
            }
        }
    }
    let counts: Vec<_> = checked.iter().map(|(profile, count)| (profile.as_str(), *count)).collect();
    assert_eq!(
        counts,
        [("kubo-cid-v1", 17), ("test-cid-v1", 17), ("unixfs-v0-2015", 17), ("unixfs-v1-2025", 36)]
    );
}

/// Pushes the bytes of the stream from one offset to another.
fn push(mut take: impl FnMut(&[u8]), block: &[u8], mut from: u64, to: u64) {
    while from < to {
        let start = (from % PERIOD as u64) as usize;
        let end = PERIOD.min(start + usize::try_from(to - from).expect("less than memory"));
        take(&block[start..end]);
        from += (end - start) as u64;
    }
}

#[test]
fn deep_trees_equal_the_encoders_of_the_field_whatever_the_pieces() {
    let block = block();
    let mut checked = 0;
    for vector in vectors().iter().filter(|vector| vector.profile == "tiny") {
        for piece in [1, 3, 10, 64, 4096] {
            let mut builder = Builder::new(vector.layout);
            block[..usize::try_from(vector.bytes).expect("small")]
                .chunks(piece)
                .for_each(|piece| builder.push(piece));
            assert_named(builder.finish(), vector);
        }
        checked += 1;
    }
    assert_eq!(checked, 207);
}
