//! A proof accepts the file that its root stands for, and no other.

use std::io::Cursor;

use super::*;
use crate::objects::unixfs::Leaves;
use crate::objects::unixfs::sample::{Dag, Dice};

fn proven(dag: &Dag, content: &[u8]) -> Result<Proof, DagError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    std::fs::write(&path, content).unwrap();
    let mut fetch = |block| Ok(dag.block(block).to_vec());
    prove(&path, &dag.root.digest, &mut fetch, &CancellationToken::new())
}

/// The check without a file on disk.
fn checked(proof: &Proof, root: &[u8; 32], content: &[u8]) -> Result<(), DagError> {
    let cancel = CancellationToken::new();
    let mut file = Cursor::new(content);
    let mut read = ProvenContent { file: &mut file, buffer: Vec::new(), cancel: &cancel };
    verify(&mut read, content.len() as u64, root, &mut Kept(proof))
}

fn samples() -> Vec<Dag> {
    let mut dice = Dice(21);
    let content = dice.bytes(3000);
    vec![
        Dag::balanced(&content, 100, 4, Leaves::Raw),
        Dag::balanced(&content, 100, 4, Leaves::DagPb),
        Dag::balanced(&content[..50], 100, 4, Leaves::DagPb),
        Dag::irregular(&content, &mut dice),
    ]
}

#[test]
fn the_right_file_is_proven_and_can_be_checked_again_offline() {
    for dag in samples() {
        let proof = proven(&dag, &dag.content).unwrap();
        let mut kept = Vec::new();
        proof.write_to(&dag.root.digest, &mut kept).unwrap();
        let read = Proof::read_from(&mut &kept[..]).unwrap();
        assert_eq!(read, proof);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("object");
        std::fs::write(&path, &dag.content).unwrap();
        read.check(&path, &dag.root.digest, &CancellationToken::new()).unwrap();
    }
}

#[test]
fn leaves_are_not_fetched_and_inner_blocks_once() {
    let content = Dice(2).bytes(1000);
    for leaves in [Leaves::Raw, Leaves::DagPb] {
        // Ten leaves, three nodes of at most four links, one root above them.
        let dag = Dag::balanced(&content, 100, 4, leaves);
        let proof = proven(&dag, &content).unwrap();
        assert_eq!(proof.len(), 4, "{leaves:?}");
    }
    let single = Dag::balanced(&content[..50], 100, 4, Leaves::DagPb);
    assert!(proven(&single, &content[..50]).unwrap().is_empty());
}

#[test]
fn every_changed_file_is_refused() {
    let mut dice = Dice(8);
    for dag in samples() {
        let proof = proven(&dag, &dag.content).unwrap();
        let root = &dag.root.digest;
        checked(&proof, root, &dag.content).unwrap();
        let bytes = dag.content.len();
        for at in (0..bytes).step_by(7).chain([bytes - 1]) {
            let mut bad = dag.content.clone();
            bad[at] ^= 1 << dice.below(8);
            assert!(checked(&proof, root, &bad).is_err(), "byte {at}");
        }
        for length in [0, 1, bytes - 1] {
            assert!(checked(&proof, root, &dag.content[..length]).is_err(), "{length}");
        }
        assert!(checked(&proof, root, &[&dag.content[..], &[0]].concat()).is_err());
    }
    let dag = &samples()[0];
    assert!(matches!(
        proven(dag, &dag.content[..2999]),
        Err(DagError::Length { expected: 3000, found: 2999 })
    ));
    let mut bad = dag.content.clone();
    bad[250] ^= 1;
    assert!(matches!(proven(dag, &bad), Err(DagError::Differs { offset: 200, bytes: 100 })));
}

#[test]
fn the_root_block_itself_is_no_file_of_its_own() {
    let dag = &samples()[0];
    assert!(matches!(proven(dag, dag.block(dag.root)), Err(DagError::Length { .. })));
}

#[test]
fn a_damaged_proof_is_refused_or_proves_the_same() {
    let mut dice = Dice(9);
    for dag in samples() {
        let proof = proven(&dag, &dag.content).unwrap();
        let mut kept = Vec::new();
        proof.write_to(&dag.root.digest, &mut kept).unwrap();
        let mut other = dag.content.clone();
        other[7] ^= 4;
        for _ in 0..2000 {
            let mut bad = kept.clone();
            let at = dice.below(bad.len());
            match dice.below(3) {
                0 => bad.truncate(at),
                1 => bad[at] ^= 1 << dice.below(8),
                _ => bad.insert(at, 0),
            }
            if let Ok(read) = Proof::read_from(&mut &bad[..]) {
                assert!(checked(&read, &dag.root.digest, &other).is_err());
                for block in read.order {
                    assert_eq!(read.blocks[&block], proof.blocks[&block]);
                }
            }
        }
    }
}

#[test]
fn wrong_blocks_are_told_from_missing_ones() {
    let dag = &samples()[0];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("object");
    std::fs::write(&path, &dag.content).unwrap();
    let root = &dag.root.digest;
    let cancel = CancellationToken::new();
    let wrong = prove(&path, root, &mut |_| Ok(b"<html>".to_vec()), &cancel);
    assert!(matches!(wrong, Err(DagError::WrongHash(block)) if block == dag.root));
    let large = prove(&path, root, &mut |_| Ok(vec![0; MAX_BLOCK_BYTES + 1]), &cancel);
    assert!(matches!(large, Err(DagError::LargeBlock(_))));
    let gone = prove(&path, root, &mut |_| Err(io::ErrorKind::NotFound.into()), &cancel).unwrap_err();
    assert_eq!(gone.to_string(), format!("block {} cannot be fetched: entity not found", dag.root));
    assert!(matches!(Proof::default().check(&path, root, &cancel), Err(DagError::Missing(_))));
    cancel.cancel();
    assert!(matches!(proven_when(&path, dag, &cancel), Err(DagError::Cancelled(_))));
}

fn proven_when(path: &Path, dag: &Dag, cancel: &CancellationToken) -> Result<Proof, DagError> {
    prove(path, &dag.root.digest, &mut |block| Ok(dag.block(block).to_vec()), cancel)
}

#[test]
fn a_directory_is_no_file() {
    let directory = [0x0a, 0x02, 0x08, 0x01];
    let digest: [u8; 32] = Sha256::digest(directory).into();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("object");
    std::fs::write(&path, b"").unwrap();
    let result = prove(&path, &digest, &mut |_| Ok(directory.to_vec()), &CancellationToken::new());
    assert!(matches!(result, Err(DagError::Malformed { .. })));
}
