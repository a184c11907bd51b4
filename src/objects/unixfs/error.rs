//! What can be wrong with a tree of blocks, or with a file that is checked against one.

use std::fmt;
use std::io;

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

use super::encode::{self, CID_V0, CID_V1_DAG_PB, CID_V1_RAW, CidVersion};
use crate::domain::digest::CidCodec;
use crate::domain::hint::{Class, Hint};
use crate::fs::cancel::Cancelled;

/// Larger blocks are refused. The field's limit for exchanged blocks is 2 MiB.
pub const MAX_BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// What names a block: its codec and its SHA-256. Shown as `CIDv1` in base32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockId {
    /// What the block holds.
    pub codec: CidCodec,
    /// SHA-256 of the block.
    pub digest: [u8; 32],
}

impl BlockId {
    /// Whether these bytes are the block.
    pub fn names(&self, block: &[u8]) -> bool {
        Sha256::digest(block)[..] == self.digest
    }

    /// The 36 bytes of its `CIDv1`.
    pub(super) fn to_bytes(self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..4].copy_from_slice(encode::cid_prefix(CidVersion::V1, self.codec));
        bytes[4..].copy_from_slice(&self.digest);
        bytes
    }

    /// Reads a binary CID of either version from the front of `bytes`; gives what follows it.
    pub(super) fn split_from(bytes: &[u8]) -> Option<(BlockId, &[u8])> {
        let (codec, rest) = if let Some(rest) = bytes.strip_prefix(&CID_V1_RAW) {
            (CidCodec::Raw, rest)
        } else if let Some(rest) = bytes.strip_prefix(&CID_V1_DAG_PB) {
            (CidCodec::DagPb, rest)
        } else {
            (CidCodec::DagPb, bytes.strip_prefix(&CID_V0)?)
        };
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        Some((BlockId { codec, digest: *digest }, rest))
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", BASE32_NOPAD.encode(&self.to_bytes()).to_ascii_lowercase())
    }
}

/// Why a tree of blocks, or a file under it, is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum DagError {
    /// The bytes given for a block have another hash.
    #[error("block {0}: its bytes have another hash")]
    WrongHash(BlockId),
    /// A block does not hold a part of a file, or contradicts itself or its parent.
    #[error("block {block} is not part of a file: {why}")]
    Malformed {
        /// The block.
        block: BlockId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More bytes than a block may have.
    #[error("block {0} has more than {MAX_BLOCK_BYTES} bytes")]
    LargeBlock(BlockId),
    /// The blocks of a proof are too many to keep.
    #[error("the proof has more than {0} bytes")]
    LargeProof(usize),
    /// A block could not be fetched.
    #[error("block {block} cannot be fetched: {source}")]
    Fetch {
        /// The block.
        block: BlockId,
        /// What went wrong.
        source: io::Error,
    },
    /// A proof lacks a block.
    #[error("the proof has no block {0}")]
    Missing(BlockId),
    /// The file is shorter or longer than the tree.
    #[error("the file has {found} bytes and its CID stands for {expected}")]
    Length {
        /// Bytes under the root.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// A part of the file is not what the tree says.
    #[error("the file differs from its CID within the {bytes} bytes from {offset}")]
    Differs {
        /// Where the part begins.
        offset: u64,
        /// Bytes of the part.
        bytes: u64,
    },
    /// More bytes than the caller allows.
    #[error("the CID stands for {bytes} bytes, more than the {allowed} that are allowed")]
    LargeFile {
        /// Bytes under the root.
        bytes: u64,
        /// The most that is allowed.
        allowed: u64,
    },
    /// The stream is not a CAR of version 1.
    #[error("not a CAR: {0}")]
    NotCar(&'static str),
    /// A CAR ends although blocks are still missing.
    #[error("the CAR ends before block {0}")]
    Incomplete(BlockId),
    /// A CAR has another block than the one that comes next.
    #[error("the CAR has block {found} where {} comes next", .expected.map_or("nothing".into(), |b| b.to_string()))]
    Unexpected {
        /// The block that is there.
        found: BlockId,
        /// The block that should be; `None` after the last.
        expected: Option<BlockId>,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Hint for DagError {
    fn hint(&self) -> Option<String> {
        match self {
            DagError::Unexpected { expected: Some(_), .. } => Some(
                "ask the gateway for a CAR in depth-first order: `application/vnd.ipld.car; order=dfs`"
                    .into(),
            ),
            DagError::WrongHash(_) | DagError::Incomplete(_) | DagError::NotCar(_) => {
                Some("the mirror gave wrong or too few bytes: try another".into())
            }
            _ => None,
        }
    }

    fn class(&self) -> Class {
        if matches!(self, DagError::Cancelled(_)) { Class::Cancelled } else { Class::Environment }
    }
}
