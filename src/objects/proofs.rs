//! Proofs that are kept beside a store: with one, an object whose CID no known profile gives is verified again
//! without a network.
//!
//! They lie in a directory of the store's root, so that they are archived and restored with it. Like everything
//! that is restored they are not trusted: a proof counts as far as hashes carry it, from the CID on.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::unixfs::proof::{Proof, prove};
use super::unixfs::{self, BlockId, DagError};
use crate::domain::digest::{Algorithm, CidCodec, ObjectId};
use crate::domain::inventory::Presence;
use crate::fs::open::{self, Links};
use crate::fs::path_error::PathError;

/// The directory of proofs, below a store's root.
pub(crate) const DIRECTORY: &str = ".cachekeep-proofs";

const SUFFIX: &str = ".car";

/// Where the proof of an object lies.
pub(crate) fn path_of(root: &Path, object: &ObjectId) -> PathBuf {
    root.join(DIRECTORY).join(format!("{}{SUFFIX}", object.hash()))
}

/// Holds a file against the proof that is kept for its object. `None` where there is no proof, or one that is damaged.
///
/// Errors: the file cannot be read, or the work was [`Cancelled`](crate::fs::cancel::Cancelled).
pub(crate) fn check(
    root: &Path,
    object: &ObjectId,
    file: &Path,
    cancel: &CancellationToken,
) -> io::Result<Option<Presence>> {
    let Some((CidCodec::DagPb, digest)) = object.cid() else { return Ok(None) };
    let Ok(kept) = open::file(&path_of(root, object), Links::Refused) else { return Ok(None) };
    let Ok(proof) = Proof::read_from(&mut BufReader::new(kept)) else { return Ok(None) };
    match proof.check(file, &digest, cancel) {
        Ok(()) => Ok(Some(Presence::Verified { size: fs::metadata(file)?.len() })),
        Err(error @ (DagError::Differs { .. } | DagError::Length { .. })) => {
            Ok(Some(Presence::Corrupt { why: format!("is something else: {error}") }))
        }
        Err(DagError::Cancelled(cancelled)) => Err(cancelled.into()),
        Err(DagError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Keeps the proof of an object in [`DIRECTORY`] of the store, where the next inventory finds it. `temp` is a directory of this process
/// alone on the store's volume, so that the proof comes under its name whole.
pub(crate) fn keep(root: &Path, object: &ObjectId, proof: &Proof, temp: &Path) -> Result<(), PathError> {
    let Some((CidCodec::DagPb, digest)) = object.cid() else { return Ok(()) };
    let target = path_of(root, object);
    let directory = root.join(DIRECTORY);
    fs::create_dir_all(&directory).map_err(PathError::on("make", &directory))?;
    let staged = temp.join(format!("proof-{}{SUFFIX}", object.hash()));
    // Never into a file that is there, which could have another name already.
    let written = File::create_new(&staged).and_then(|file| {
        let mut file = BufWriter::new(file);
        proof.write_to(&digest, &mut file)?;
        file.flush()
    });
    written.map_err(PathError::on("write", &staged))?;
    fs::rename(&staged, &target).map_err(PathError::on("write", &target))
}

/// Makes a file from a CAR with every block verified and none missing; gives the proof of it, for later.
///
/// `file` is created and must not exist; on any error, its content must be discarded. A file of more than `max_bytes` is refused.
pub(crate) fn unpack_car(
    car: &Path,
    object: &ObjectId,
    file: &Path,
    max_bytes: u64,
    cancel: &CancellationToken,
) -> Result<Proof, DagError> {
    let Some((codec, digest)) = object.cid() else { return Err(DagError::NotCar("its object is not a CID")) };
    let open = || open::file(car, Links::Refused).map(BufReader::new);
    let mut output = File::options().read(true).write(true).create_new(true).open(file)?;
    unixfs::car::unpack(&mut open()?, BlockId { codec, digest }, &mut output, max_bytes, cancel)?;
    drop(output);
    let inner = Proof::read_inner(&mut open()?)?;
    let mut take = |block: BlockId| {
        inner.block(block).map(<[u8]>::to_vec).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    prove(file, &digest, &mut take, cancel)
}

/// Removes the proofs of objects that are not kept, and whatever else lies among them. How many files went.
pub(crate) fn sweep(root: &Path, is_kept: impl Fn(&ObjectId) -> bool) -> Result<u64, PathError> {
    let directory = root.join(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(PathError::on("read", &directory))?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(PathError::on("read", &directory))?;
        let named = object_of(&entry.file_name());
        if named.is_none_or(|object| !is_kept(&object)) {
            fs::remove_file(entry.path()).map_err(PathError::on("remove", &entry.path()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn object_of(name: &OsStr) -> Option<ObjectId> {
    ObjectId::new(Algorithm::Cid, name.to_str()?.strip_suffix(SUFFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::unixfs::Leaves;
    use crate::objects::unixfs::sample::{Dag, Dice};

    struct ProofStore {
        root: tempfile::TempDir,
        object: ObjectId,
        file: PathBuf,
        proof: Proof,
    }

    /// An object of odd chunks, which no profile gives, and its proof.
    fn store() -> ProofStore {
        let root = tempfile::tempdir().expect("a directory");
        let dag = Dag::balanced(&Dice(5).bytes(5000), 100, 4, Leaves::Raw);
        let object = ObjectId::new(Algorithm::Cid, &dag.root.to_string()).expect("a CID");
        let file = root.path().join("file");
        fs::write(&file, &dag.content).expect("written");
        let mut fetch = |block: BlockId| Ok(dag.block(block).to_vec());
        let proof = prove(&file, &dag.root.digest, &mut fetch, &CancellationToken::new()).expect("proven");
        ProofStore { root, object, file, proof }
    }

    impl ProofStore {
        fn check(&self) -> Option<Presence> {
            check(self.root.path(), &self.object, &self.file, &CancellationToken::new()).expect("read")
        }
    }

    #[test]
    fn a_kept_proof_proves_its_object_offline_and_no_other_bytes() {
        let store = store();
        assert_eq!(store.check(), None);
        keep(store.root.path(), &store.object, &store.proof, store.root.path()).expect("kept");
        assert_eq!(store.check(), Some(Presence::Verified { size: 5000 }));
        let mut bytes = fs::read(&store.file).expect("read");
        bytes[1234] ^= 1;
        fs::write(&store.file, &bytes).expect("written");
        assert!(matches!(store.check(), Some(Presence::Corrupt { .. })));
    }

    #[test]
    fn a_damaged_proof_proves_nothing() {
        let store = store();
        keep(store.root.path(), &store.object, &store.proof, store.root.path()).expect("kept");
        let path = path_of(store.root.path(), &store.object);
        let whole = fs::read(&path).expect("read");
        for at in (0..whole.len()).step_by(97) {
            let mut bad = whole.clone();
            bad[at] ^= 4;
            fs::write(&path, &bad).expect("written");
            assert!(!matches!(store.check(), Some(Presence::Corrupt { .. })), "{at}");
            fs::write(&path, &whole[..at]).expect("written");
            assert_eq!(store.check(), None, "{at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn damaged_proofs_never_prove_other_bytes() {
        use crate::fs::testing::{Random, case_count, mutate};

        let store = store();
        keep(store.root.path(), &store.object, &store.proof, store.root.path()).expect("kept");
        let path = path_of(store.root.path(), &store.object);
        let proof = fs::read(&path).expect("read");
        let right = fs::read(&store.file).expect("read");
        let mut wrong = right.clone();
        wrong[1234] ^= 1;
        let mut random = Random::new(37);
        for case in 0..case_count(1_000) {
            let mut bytes = proof.clone();
            mutate(&mut bytes, &mut random);
            fs::write(&path, &bytes).expect("written");
            let is_right = case % 2 == 0;
            fs::write(&store.file, if is_right { &right } else { &wrong }).expect("written");
            match store.check() {
                None => {}
                Some(Presence::Verified { .. }) => assert!(is_right, "case {case} proves other bytes"),
                Some(Presence::Corrupt { .. }) => assert!(!is_right, "case {case} accuses the right bytes"),
                Some(other) => panic!("case {case}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_car_becomes_a_file_and_its_proof() {
        let place = tempfile::tempdir().expect("a directory");
        let dag = Dag::balanced(&Dice(6).bytes(5000), 100, 4, Leaves::Raw);
        let object = ObjectId::new(Algorithm::Cid, &dag.root.to_string()).expect("a CID");
        let (car, file) = (place.path().join("car"), place.path().join("file"));
        let whole = dag.car(true);
        fs::write(&car, &whole).expect("written");
        let unpack = |limit| unpack_car(&car, &object, &file, limit, &CancellationToken::new());
        let proof = unpack(5000).expect("unpacked");
        assert_eq!(fs::read(&file).expect("read"), dag.content);
        proof.check(&file, &dag.root.digest, &CancellationToken::new()).expect("proven");
        assert!(unpack(5000).is_err(), "a file that is there is not written into");
        fs::remove_file(&file).expect("removed");
        assert!(matches!(unpack(4999), Err(DagError::LargeFile { .. })));
        fs::remove_file(&file).expect("removed");
        fs::write(&car, &whole[..whole.len() - 150]).expect("written");
        assert!(unpack(5000).is_err());
    }

    #[test]
    fn sweeping_leaves_the_proofs_of_what_is_kept() {
        let store = store();
        keep(store.root.path(), &store.object, &store.proof, store.root.path()).expect("kept");
        fs::write(store.root.path().join(DIRECTORY).join("junk"), "x").expect("written");
        assert_eq!(sweep(store.root.path(), |_| true).expect("swept"), 1);
        assert!(path_of(store.root.path(), &store.object).exists());
        assert_eq!(sweep(store.root.path(), |_| false).expect("swept"), 1);
        assert_eq!(sweep(&store.root.path().join("none"), |_| false).expect("swept"), 0);
    }
}
