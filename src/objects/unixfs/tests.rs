//! Files are matched against the CIDs that vectors and builders give, and nothing else is accepted.

use std::fs;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::fs::cancel::Cancelled;

fn content(bytes: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let block: Vec<u8> = (0..9973).map(|_| step()).collect();
    block.into_iter().cycle().take(bytes).collect()
}

fn root_of(profile: Profile, bytes: &[u8]) -> Root {
    let mut builder = Builder::new(profile.layout());
    builder.push(bytes);
    builder.finish()
}

fn matched(bytes: &[u8], digest: &[u8; 32]) -> Option<Profile> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    fs::write(&path, bytes).unwrap();
    matches(&path, digest, &CancellationToken::new()).unwrap()
}

const MIB: usize = 1024 * 1024;

#[test]
fn a_file_matches_the_profile_that_made_its_cid() {
    for bytes in [0, 1, 262_144, 262_145, MIB, MIB + 1, 2 * MIB + 77] {
        let content = content(bytes);
        for profile in Profile::all() {
            let root = root_of(profile, &content);
            let expected = match (root.codec, profile) {
                (CidCodec::Raw, _) => None,
                // These two differ only above 174 MiB, and the likelier is named.
                (CidCodec::DagPb, Profile::TestCidV1) => Some(Profile::UnixfsV1_2025),
                (CidCodec::DagPb, profile) => Some(profile),
            };
            assert_eq!(matched(&content, &root.digest), expected, "{profile} over {bytes} bytes");
        }
    }
}

#[test]
fn a_file_that_is_a_root_block_is_not_what_the_block_stands_for() {
    let empty = HEXLOWER.decode(b"0a0408021800").unwrap();
    let digest: [u8; 32] = Sha256::digest(&empty).into();
    assert_eq!(matched(&empty, &digest), None);
    assert_eq!(matched(b"", &digest), Some(Profile::UnixfsV0_2015));
}

#[test]
fn flipped_truncated_and_extended_files_are_refused() {
    let bytes = 2 * MIB + 300;
    let good = content(bytes);
    for profile in Profile::all() {
        let digest = root_of(profile, &good).digest;
        let refuse = |what: &str, bad: &[u8]| assert_eq!(matched(bad, &digest), None, "{profile}: {what}");
        for (what, at) in [("first byte", 0), ("a leaf", MIB + 5), ("the last chunk", bytes - 1)] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            refuse(what, &bad);
        }
        refuse("a byte less", &good[..bytes - 1]);
        refuse("a chunk less", &good[..2 * MIB]);
        refuse("nothing", b"");
        refuse("a byte more", &[&good[..], &[0]].concat());
        let mut swapped = good[MIB..2 * MIB].to_vec();
        swapped.extend_from_slice(&good[..MIB]);
        swapped.extend_from_slice(&good[2 * MIB..]);
        refuse("chunks in another order", &swapped);
    }
}

#[test]
fn a_missing_file_and_a_cancelled_check_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let missing = matches(&directory.path().join("none"), &[0; 32], &CancellationToken::new());
    assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let path = directory.path().join("some");
    fs::write(&path, b"x").unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert!(Cancelled::is(&matches(&path, &[0; 32], &cancel).unwrap_err()));
}

#[test]
fn all_profiles_at_once_give_what_each_gives_alone() {
    let content = content(3 * MIB + 1);
    let mut candidates = DagCandidates::new(&Profile::all().collect::<Vec<_>>());
    content.chunks(70_001).for_each(|piece| candidates.push(piece));
    let roots = candidates.finish();
    assert_eq!(roots.len(), 4);
    for (profile, root) in roots {
        assert_eq!(root, root_of(profile, &content), "{profile}");
    }
}

#[test]
fn builders_agree_with_trees_built_from_whole_rows() {
    let content = content(3000);
    for (bytes, width) in
        [(1, 2), (100, 3), (101, 2), (900, 3), (901, 3), (1600, 4), (3000, 2), (3000, 29), (3000, 30)]
    {
        let dag = sample::Dag::balanced(&content[..bytes], 100, width, Leaves::Raw);
        let mut builder = Builder::new(Layout::new(100, width, Leaves::Raw));
        builder.push(&content[..bytes]);
        assert!(builder.finish().names(dag.root.codec, &dag.root.digest), "{bytes} {width}");
    }
}
