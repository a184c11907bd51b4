//! The checksum of a whole archive.

use data_encoding::HEXLOWER;

use super::error::fault;
use crate::domain::digest::{Algorithm, CidCodec, HashError, ObjectId};
use crate::domain::fault::Fault;
use crate::objects::hash::ObjectHasher;

/// The digest that an archive's bytes must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    algorithm: Algorithm,
    hex: String,
}

impl Expected {
    /// Takes an algorithm and a hash in its canonical text. A CID must have the codec raw: with any other it is not a hash
    /// of the bytes of the file.
    pub fn new(algorithm: Algorithm, hash: &str) -> Result<Self, HashError> {
        let id = ObjectId::new(algorithm, hash)?;
        match id.cid() {
            None => Ok(Expected { algorithm, hex: hash.to_owned() }),
            Some((CidCodec::Raw, digest)) => {
                Ok(Expected { algorithm: Algorithm::Sha256, hex: HEXLOWER.encode(&digest) })
            }
            Some((CidCodec::DagPb, _)) => {
                Err(HashError::NotCid(format!("`{hash}` is of a tree of blocks; give a sha256 or sha512")))
            }
        }
    }

    pub(super) fn hasher(&self) -> ObjectHasher {
        ObjectHasher::new(self.algorithm)
    }

    pub(super) fn compare(&self, digest: &[u8]) -> ChecksumOutcome {
        ChecksumOutcome {
            algorithm: self.algorithm,
            expected: self.hex.clone(),
            found: HEXLOWER.encode(digest),
        }
    }
}

/// What an archive's bytes should hash to, and what they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChecksumOutcome {
    /// The algorithm; that of a raw CID is SHA-256.
    pub algorithm: Algorithm,
    /// Hexadecimal digits that were expected.
    pub expected: String,
    /// Hexadecimal digits that were found.
    pub found: String,
}

impl ChecksumOutcome {
    /// Whether they agree.
    pub fn ok(&self) -> bool {
        self.expected == self.found
    }

    /// An error if they differ: the archive is not the one that was configured.
    pub fn check(&self, archive: &str) -> Result<(), Fault> {
        if self.ok() {
            return Ok(());
        }
        let ChecksumOutcome { algorithm, expected, found } = self;
        Err(fault(archive, format_args!("its {algorithm} is {found}, expected {expected}"))
            .with_hint("check the digest in `[cache.….seed]` against the one its publisher gives".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_its_well_known_digest_of_nothing() {
        let check = |algorithm: Algorithm, hash: &str| {
            let expected = Expected::new(algorithm, hash).expect(hash);
            let digest = expected.hasher().finish();
            assert!(expected.compare(&digest).ok(), "{algorithm}");
        };
        check(Algorithm::Md5, "d41d8cd98f00b204e9800998ecf8427e");
        check(Algorithm::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(Algorithm::Sha224, "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f");
        check(Algorithm::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check(Algorithm::Cid, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
        check(Algorithm::Sha3_256, "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
        for algorithm in Algorithm::all().filter(|algorithm| *algorithm != Algorithm::Cid) {
            let digits = 2 * Expected { algorithm, hex: String::new() }.hasher().finish().len();
            assert!(Expected::new(algorithm, &"0".repeat(digits)).is_ok(), "{algorithm}");
        }
    }

    #[test]
    fn a_hash_of_something_else_than_the_bytes_is_refused() {
        let tree = "bafybeieknrqtu4l74dizn7ez2tf52yhvdziets2mzted63pfw4gcanbudu";
        assert!(Expected::new(Algorithm::Cid, tree).is_err());
        assert!(Expected::new(Algorithm::Sha512, "abc").is_err());
    }
}
