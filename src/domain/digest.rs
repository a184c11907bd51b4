//! Digests: hash algorithms, the objects they name, and SHA-256 over text.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A hash algorithm that names objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Algorithm {
    Cid,
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

/// `(algorithm, extension of a content link, directory in a store, hexadecimal digits)`; CIDs have no fixed length.
const ALGORITHMS: &[(Algorithm, &str, &str, usize)] = &[
    (Algorithm::Cid, "cid", "CID", 0),
    (Algorithm::Md5, "md5", "MD5", 32),
    (Algorithm::Sha1, "sha1", "SHA1", 40),
    (Algorithm::Sha224, "sha224", "SHA224", 56),
    (Algorithm::Sha256, "sha256", "SHA256", 64),
    (Algorithm::Sha384, "sha384", "SHA384", 96),
    (Algorithm::Sha512, "sha512", "SHA512", 128),
    (Algorithm::Sha3_224, "sha3-224", "SHA3_224", 56),
    (Algorithm::Sha3_256, "sha3-256", "SHA3_256", 64),
    (Algorithm::Sha3_384, "sha3-384", "SHA3_384", 96),
    (Algorithm::Sha3_512, "sha3-512", "SHA3_512", 128),
];

impl Algorithm {
    /// Every algorithm, in the order of their names.
    pub fn all() -> impl Iterator<Item = Algorithm> {
        ALGORITHMS.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Algorithm, &'static str, &'static str, usize) {
        ALGORITHMS.iter().find(|row| row.0 == self).expect("every algorithm has a row")
    }

    /// The name in lower case, which is also the extension of its content links: `sha3-256`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The directory of its objects in a store of CMake's `ExternalData`: `SHA3_256`.
    pub fn directory(self) -> &'static str {
        self.row().2
    }

    /// The algorithm whose [`name`](Self::name) this is.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        ALGORITHMS.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The algorithm whose [`directory`](Self::directory) this is, case-sensitively.
    pub fn from_directory(directory: &str) -> Option<Algorithm> {
        ALGORITHMS.iter().find(|row| row.2 == directory).map(|row| row.0)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the bytes behind a CID are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidCodec {
    /// SHA-256 of the file itself (multicodec 0x55).
    Raw,
    /// SHA-256 of the root block of a `UnixFS` tree (multicodec 0x70).
    DagPb,
}

/// The name of an object: an algorithm and a hash in canonical form.
///
/// Hexadecimal hashes are lower case and of the algorithm's length; CIDs are `CIDv1` in lower-case
/// base32 or `CIDv0`, with SHA2-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    algorithm: Algorithm,
    hash: String,
}

/// Why a text is not a valid hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// A hexadecimal hash does not have the length of its algorithm.
    #[error("{algorithm} needs {expected} hexadecimal digits, found {found} characters")]
    Length {
        /// The algorithm.
        algorithm: Algorithm,
        /// Hexadecimal digits of a hash of this algorithm.
        expected: usize,
        /// Characters in the text.
        found: usize,
    },
    /// A hexadecimal hash contains another character than a lower-case hexadecimal digit.
    #[error("`{0}` is not a lower-case hexadecimal digit")]
    NotHexadecimal(char),
    /// The text is not a CID, or its codec or hash function is not supported.
    #[error("not a CID of a file: {0}")]
    NotCid(String),
}

impl crate::domain::hint::Hint for HashError {}

impl ObjectId {
    /// Parses a hash in canonical form.
    pub fn new(algorithm: Algorithm, hash: &str) -> Result<Self, HashError> {
        if algorithm == Algorithm::Cid {
            parse_cid(hash)?;
        } else {
            let expected = algorithm.row().3;
            if let Some(odd) = hash.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
                return Err(HashError::NotHexadecimal(odd));
            }
            if hash.len() != expected {
                return Err(HashError::Length { algorithm, expected, found: hash.chars().count() });
            }
        }
        Ok(ObjectId { algorithm, hash: hash.to_owned() })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash, as content links write it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// For a CID: its codec and the SHA-256 that it carries.
    pub fn cid(&self) -> Option<(CidCodec, [u8; 32])> {
        (self.algorithm == Algorithm::Cid).then(|| parse_cid(&self.hash).expect("checked when made"))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hash)
    }
}

const CODEC_RAW: u64 = 0x55;
const CODEC_DAG_PB: u64 = 0x70;
const HASH_SHA2_256: u64 = 0x12;

fn parse_cid(text: &str) -> Result<(CidCodec, [u8; 32]), HashError> {
    let refuse = |why: &str| HashError::NotCid(format!("`{text}`: {why}"));
    let cid = cid::Cid::try_from(text).map_err(|error| refuse(&error.to_string()))?;
    // An object must have a single name: other encodings of the same CID would be different files in a store.
    if cid.to_string() != text {
        return Err(refuse("write it in lower-case base32 (`b…`) or as CIDv0 (`Qm…`)"));
    }
    let codec = match cid.codec() {
        CODEC_RAW => CidCodec::Raw,
        CODEC_DAG_PB => CidCodec::DagPb,
        other => return Err(refuse(&format!("codec {other:#x} is neither raw nor dag-pb"))),
    };
    match (cid.hash().code(), <[u8; 32]>::try_from(cid.hash().digest())) {
        (HASH_SHA2_256, Ok(digest)) => Ok((codec, digest)),
        (code, _) => Err(refuse(&format!("hash function {code:#x} is not sha2-256"))),
    }
}

/// A SHA-256 digest, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Sha256Digest(Sha256::digest(bytes).into())
    }

    /// The digest of these lines, each followed by a line feed, in the order given.
    pub fn of_lines<L: fmt::Display>(lines: impl IntoIterator<Item = L>) -> Self {
        let mut hasher = Sha256::new();
        for line in lines {
            hasher.update(line.to_string().as_bytes());
            hasher.update(b"\n");
        }
        Sha256Digest(hasher.finalize().into())
    }

    /// Reads 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok()?;
        bytes.try_into().ok().map(Sha256Digest)
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    const DAG_PB: &str = "bafybeieknrqtu4l74dizn7ez2tf52yhvdziets2mzted63pfw4gcanbudu";
    const V0: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

    #[test]
    fn cids_of_files_are_read() {
        let codec = |text| ObjectId::new(Algorithm::Cid, text).expect(text).cid().expect("a CID").0;
        assert_eq!(codec(RAW), CidCodec::Raw);
        assert_eq!(codec(DAG_PB), CidCodec::DagPb);
        assert_eq!(codec(V0), CidCodec::DagPb);
    }

    #[test]
    fn hashes_that_are_not_canonical_are_rejected() {
        for text in [
            "",
            "b",
            &RAW.to_uppercase(),
            &RAW[..40],
            &format!("{RAW}a"),
            "zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7",
        ] {
            assert!(ObjectId::new(Algorithm::Cid, text).is_err(), "{text}");
        }
        for text in [
            "",
            "D41D8CD98F00B204E9800998ECF8427E",
            "d41d8cd98f00b204e9800998ecf8427",
            "g41d8cd98f00b204e9800998ecf8427e",
        ] {
            assert!(ObjectId::new(Algorithm::Md5, text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_directories_are_each_others_inverse() {
        for algorithm in Algorithm::all() {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::from_directory(algorithm.directory()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_directory("cid"), None);
    }

    #[test]
    fn the_empty_string_has_its_well_known_digest() {
        let digest = Sha256Digest::of(b"");
        assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Sha256Digest::from_hex(&digest.to_string().to_uppercase()), Some(digest));
    }
}
