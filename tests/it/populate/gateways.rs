//! Objects that no known profile gives: proven by blocks of gateways, by whole CARs, or allowed by name.

use std::fs;
use std::io::Cursor;

use cachekeep::domain::digest::{Algorithm, CidCodec};
use cachekeep::parts::unixfs::{BlockId, car};
use tokio_util::sync::CancellationToken;

use crate::populate::objects::{Object, assert_holds, config};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::Project;

/// A tree that the JavaScript importer built in the trickle layout, with its blocks.
const CAR: &[u8] = include_bytes!("../../fixtures/unixfs/trickle.car");

/// A binary CID of either version: what it names, and what follows it.
fn block_id(bytes: &[u8]) -> (BlockId, &[u8]) {
    let (codec, digest) = match bytes {
        [0x12, 0x20, digest @ ..] => (CidCodec::DagPb, digest),
        [0x01, 0x55, 0x12, 0x20, digest @ ..] => (CidCodec::Raw, digest),
        [0x01, 0x70, 0x12, 0x20, digest @ ..] => (CidCodec::DagPb, digest),
        other => panic!("no CID: {:02x?}", &other[..4]),
    };
    let (digest, rest) = digest.split_first_chunk().expect("32 bytes");
    (BlockId { codec, digest: *digest }, rest)
}

/// The root that the header names, which lies behind `{"roots": [42(h'00` in CBOR.
fn root() -> BlockId {
    block_id(&CAR[14..]).0
}

/// The blocks of the CAR by their CIDs in text.
fn blocks() -> Vec<(String, Vec<u8>)> {
    let mut rest = CAR;
    let varint = |rest: &mut &[u8]| {
        let (mut number, mut shift) = (0_usize, 0);
        loop {
            let (byte, after) = rest.split_first().expect("a byte");
            *rest = after;
            number |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return number;
            }
        }
    };
    let header = varint(&mut rest);
    rest = &rest[header..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = varint(&mut rest);
        let (section, after) = rest.split_at(length);
        rest = after;
        let (block, bytes) = block_id(section);
        found.push((block.to_string(), bytes.to_vec()));
    }
    found
}

fn object() -> Object {
    let mut file = Cursor::new(Vec::new());

    car::unpack(&mut &CAR[..], root(), &mut file, u64::MAX, &CancellationToken::new()).expect("a whole CAR");
    Object { algorithm: Algorithm::Cid, hash: root().to_string(), bytes: file.into_inner() }
}

/// A project that wants the object, and a gateway that has only what is put there.
fn project(more: &str) -> (Project, Object, MirrorServer) {
    let project = Project::new("");
    let object = object();
    object.link(&project, "data/odd");
    let gateway = MirrorServer::start(project.path("mirror"), Manner::Good);
    project.write("workspace/cachekeep.toml", config(&[gateway.url("/ipfs/{hash}")], more));
    (project, object, gateway)
}

fn serve_file(gateway: &MirrorServer, object: &Object) {
    gateway.put(&format!("/ipfs/{}", object.hash), object.bytes.clone());
}

fn serve_blocks(gateway: &MirrorServer) {
    for (cid, bytes) in blocks() {
        gateway.put(&format!("/ipfs/{cid}?format=raw"), bytes);
    }
}

/// Offline: no mirror answers any more.
fn gate_offline(project: &Project, gateway: MirrorServer) {
    drop(gateway);
    let ran = project.run(&["gate", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["gate"]["allowed"], 0);
    assert_eq!(ran.json()["caches"][0]["gate"]["strangers"], 0, "proofs are not unknown files");
}

#[test]
fn inner_blocks_prove_what_no_profile_does_and_the_proof_is_kept_and_archived() {
    let (project, object, gateway) = project("");
    serve_file(&gateway, &object);
    serve_blocks(&gateway);
    project.run(&["fetch", "--required"]).success();
    assert_holds(&project, std::slice::from_ref(&object));
    assert!(gateway.requests() > 2, "the file and at least the root");
    assert!((gateway.requests() as usize) < blocks().len() + 1, "leaves are not fetched");
    project.run(&["save", "--required"]).success();
    gate_offline(&project, gateway);
    // On another machine, without a network.
    fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    project.run(&["restore", "--fail-on-miss", "--required"]).success();
    project.run(&["gate"]).success();
    // Without its proof, or with another bit, it is worth nothing.
    let proof = project.path("workspace/store/.cachekeep-proofs").join(format!("{}.car", object.hash));
    let kept = fs::read(&proof).expect("a proof");
    fs::remove_file(&proof).expect("removed");
    project.run(&["gate"]).code(3);
    fs::write(&proof, kept).expect("written");
    project.run(&["gate"]).success();
    let mut bytes = object.bytes.clone();
    bytes[5] ^= 1;
    fs::write(object.path(&project), bytes).expect("written");
    let ran = project.run(&["gate", "--json"]).code(3);
    let unproven = ran.json()["caches"][0]["gate"]["unproven"].as_array().expect("a list").len();
    assert_eq!(unproven, 1, "{}", ran.stderr);
}

#[test]
fn a_gateway_that_has_only_blocks_gives_the_object_as_a_car() {
    let (project, object, gateway) = project("");
    gateway.put(&format!("/ipfs/{}?format=car", object.hash), CAR);
    let ran = project.run(&["fetch", "--required", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["seed"]["fetched"], 1);
    assert_holds(&project, &[object]);
    gate_offline(&project, gateway);
    assert!(project.temporary_things().is_empty());
}

#[test]
fn a_car_that_ends_early_is_refused() {
    let (project, object, gateway) = project("");
    for end in [CAR.len() - 1, CAR.len() / 2, 60, 0] {
        gateway.put(&format!("/ipfs/{}?format=car", object.hash), &CAR[..end]);
        let ran = project.run(&["fetch", "--required"]).code(1);
        assert!(ran.stderr.contains("CAR"), "{}", ran.stderr);
        assert!(!object.path(&project).exists());
    }
    assert!(project.temporary_things().is_empty());
}

#[test]
fn what_nobody_can_prove_is_refused_unless_it_is_allowed_by_name() {
    let (project, object, gateway) = project("");
    serve_file(&gateway, &object);
    let ran = project.run(&["fetch", "--required"]).code(1);
    assert!(!object.path(&project).exists(), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no known UnixFS profile") && ran.stderr.contains("data/odd.cid"),
        "{}",
        ran.stderr
    );
    let allowed = format!("allow-unverified = [\"cid:{}\"]", object.hash);
    project.write("workspace/cachekeep.toml", config(&[gateway.url("/ipfs/{hash}")], &allowed));
    project.run(&["fetch", "--required"]).success();
    let ran = project.run(&["gate", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["gate"]["allowed"], 1);
}

#[test]
fn other_bytes_are_refused_by_the_blocks_of_another_gateway() {
    let (project, object, gateway) = project("");
    let mut wrong = object.bytes.clone();
    wrong[100] ^= 0x40;
    gateway.put(&format!("/ipfs/{}", object.hash), wrong);
    serve_blocks(&gateway);
    let ran = project.run(&["fetch", "--required"]).code(1);
    assert!(ran.stderr.contains("differs from its CID"), "{}", ran.stderr);
    assert!(!object.path(&project).exists());
    let good = MirrorServer::start(project.path("mirror"), Manner::Good);
    serve_file(&good, &object);
    let mirrors = [gateway.url("/ipfs/{hash}"), good.url("/ipfs/{hash}")];
    project.write("workspace/cachekeep.toml", config(&mirrors, ""));
    project.run(&["fetch", "--required"]).success();
    assert_holds(&project, &[object]);
}

#[test]
fn an_object_that_lies_there_unproven_is_proven_in_place() {
    let (project, object, gateway) = project("");
    object.serve_from(&project.path("workspace/store"));
    project.run(&["gate"]).code(3);
    serve_blocks(&gateway);
    project.run(&["fetch", "--required"]).success();
    assert_holds(&project, &[object]);
    gate_offline(&project, gateway);
}
