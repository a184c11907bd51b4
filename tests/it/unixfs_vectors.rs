//! CIDs of a deterministic stream equal those that npm's `ipfs-car` and `ipfs-unixfs-importer` make of it.
//!
//! `tests/peer/unixfs/stream.mjs` describes the stream, `make-vectors.mjs` and `make-cars.mjs` beside it made
//! the data.

use std::collections::BTreeMap;
use std::io::Cursor;

use cachekeep::domain::digest::{Algorithm, CidCodec, ObjectId};
use cachekeep::parts::unixfs::proof::Proof;
use cachekeep::parts::unixfs::{self, BlockId, Builder, DagCandidates, Layout, Leaves, Profile, Root, car};
use tokio_util::sync::CancellationToken;

const VECTORS: &str = include_str!("../fixtures/unixfs/vectors.tsv");
const PERIOD: usize = 1_048_573;

/// One period of the stream.
fn block() -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
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
    let mut candidates = DagCandidates::new(&all);
    let mut pushed = 0;
    for (bytes, vectors) in by_bytes {
        let wanted: Vec<Profile> = all
            .iter()
            .copied()
            .filter(|profile| vectors.iter().any(|v| v.profile == profile.name()))
            .collect();
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
        let start = usize::try_from(from % PERIOD as u64).expect("below the period");
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

const TRICKLE: (&str, &[u8]) =
    ("QmVAt2RR8fQMmCKNeFvbCEEntNWxDrSbKvYmW3QhgFJT7c", include_bytes!("../fixtures/unixfs/trickle.car"));
const REPEATED: &str = "bafybeibmzaw4rrjmy6qm36txu4ndgqtfn22rlyhd63cz6ptisrfniokuta";

fn root_of(cid: &str) -> BlockId {
    let (codec, digest) = ObjectId::new(Algorithm::Cid, cid).expect(cid).cid().expect("a CID");
    BlockId { codec, digest }
}

#[test]
fn cars_of_the_field_give_the_file() {
    let sample = &block()[..3000];
    let repeated: Vec<u8> = sample[..100].iter().copied().cycle().take(3000).collect();
    let once: &[u8] = include_bytes!("../fixtures/unixfs/repeated-once.car");
    let again: &[u8] = include_bytes!("../fixtures/unixfs/repeated-again.car");
    for (cid, car, content) in
        [(TRICKLE.0, TRICKLE.1, sample), (REPEATED, once, &repeated), (REPEATED, again, &repeated)]
    {
        let mut output = Cursor::new(Vec::new());
        let bytes = car::unpack(&mut &car[..], root_of(cid), &mut output, 3000, &CancellationToken::new());
        assert_eq!(bytes.expect(cid), 3000);
        assert_eq!(output.get_ref(), content);
    }
}

#[test]
fn a_tree_of_no_profile_is_proven_by_its_inner_blocks() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("object");
    std::fs::write(&path, &block()[..3000]).expect("written");
    let cancel = CancellationToken::new();
    let root = root_of(TRICKLE.0).digest;
    assert_eq!(unixfs::matches(&path, &root, &cancel).expect("readable"), None);
    Proof::read_from(&mut &TRICKLE.1[..])
        .expect("a CAR")
        .check(&path, &root, &cancel)
        .expect("the right file");
    std::fs::write(&path, &block()[..2999]).expect("written");
    let shorter = Proof::read_from(&mut &TRICKLE.1[..]).expect("a CAR").check(&path, &root, &cancel);
    assert!(shorter.is_err());
}
