//! The frames of a list, and the frame behind them that says where it lies and proves the archive.
//!
//! The rows are one stream of bytes, cut every 512 KiB; each piece is compressed into a skippable frame. The digest
//! covers manifest, rows and seek table: frames of the tar stream have checksums, and the rows the hash of every file.

use sha2::{Digest as _, Sha256};

use super::error::ArchiveError;
use super::list::{LARGEST_LIST, Row};
use super::skippable::{DIGEST_MAGIC, LIST_MAGIC, skippable};
use crate::domain::digest::Sha256Digest;

/// Bytes of rows in every frame of a list but the last, which may have fewer.
const PIECE: usize = 512 << 10;

/// Hashes hardly compress, and names do at any level.
const LEVEL: i32 = 3;

const LIST_TAG: &[u8] = b"cachekeep list\n";
const PROOF_TAG: &[u8] = b"cachekeep digest\n";

/// Where a list lies in its archive, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListPlace {
    /// Where its first frame begins, in bytes.
    pub(crate) offset: u64,
    /// Bytes of its frames.
    pub(crate) stored: u64,
    /// Bytes of its rows.
    pub(crate) rows: u64,
    /// The SHA-256 of its rows.
    pub(crate) digest: Sha256Digest,
}

/// What the frame behind a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Where the list lies.
    pub(crate) list: ListPlace,
    /// The digest of the archive.
    pub(crate) digest: Sha256Digest,
}

impl ListPlace {
    /// The digest of an archive with this list, from the hashes of its manifest's frame and of the rows of its seek table.
    pub(crate) fn prove(&self, manifest: &Sha256Digest, table: &[u8; 32]) -> Sha256Digest {
        Sha256Digest::of(&[&manifest.0[..], &self.to_bytes(), table].concat())
    }

    fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.offset, self.stored, self.rows].map(u64::to_le_bytes);
        [numbers.as_flattened(), &self.digest.0].concat()
    }
}

impl Proof {
    /// Bytes of its frame.
    pub(crate) const LENGTH: usize = 8 + PROOF_TAG.len() + 3 * 8 + 2 * 32;

    /// The frame.
    pub(crate) fn to_frame(self) -> Vec<u8> {
        skippable(DIGEST_MAGIC, &[PROOF_TAG, &self.list.to_bytes(), &self.digest.0].concat())
    }

    /// Reads what the frame holds; `None` if it is of another kind.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        let (numbers, hashes) = payload.strip_prefix(PROOF_TAG)?.split_at_checked(24)?;
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let &[offset, stored, rows] = numbers else { return None };
        let (&[list, digest], []) = hashes.as_chunks::<32>() else { return None };
        let [offset, stored, rows] = [offset, stored, rows].map(u64::from_le_bytes);
        let list = ListPlace { offset, stored, rows, digest: Sha256Digest(list) };
        Some(Proof { list, digest: Sha256Digest(digest) })
    }
}

/// What the frame of a list holds; `None` if it is of another kind.
pub(crate) fn compressed_rows(payload: &[u8]) -> Option<&[u8]> {
    payload.strip_prefix(LIST_TAG)
}

/// Whether a frame is one that only archives with a list have.
pub(crate) fn is_of_list(magic: u32, payload: &[u8]) -> bool {
    match magic {
        LIST_MAGIC => payload.starts_with(LIST_TAG),
        DIGEST_MAGIC => payload.starts_with(PROOF_TAG),
        _ => false,
    }
}

/// Decompresses a piece of a list.
pub(crate) fn decompress(compressed: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    zstd::bulk::decompress(compressed, PIECE)
        .map_err(|error| ArchiveError::damaged(format!("its list does not decompress: {error}")))
}

/// A list that is written.
#[derive(Debug, Default)]
pub(crate) struct ListWriter {
    hasher: Sha256,
    rows: u64,
    piece: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl ListWriter {
    /// Adds the next row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), ArchiveError> {
        let before = self.piece.len();
        row.append(&mut self.piece);
        self.hasher.update(&self.piece[before..]);
        self.rows += (self.piece.len() - before) as u64;
        while self.piece.len() >= PIECE {
            let rest = self.piece.split_off(PIECE);
            self.cut()?;
            self.piece = rest;
        }
        Ok(())
    }

    /// The list, of which the first frame will lie at this offset; and its frames.
    pub(crate) fn finish(mut self, offset: u64) -> Result<(ListPlace, Vec<Vec<u8>>), ArchiveError> {
        if !self.piece.is_empty() {
            self.cut()?;
        }
        let stored = self.frames.iter().map(|frame| frame.len() as u64).sum();
        let digest = Sha256Digest(self.hasher.finalize().into());
        Ok((ListPlace { offset, stored, rows: self.rows, digest }, self.frames))
    }

    fn cut(&mut self) -> Result<(), ArchiveError> {
        let compressed = zstd::bulk::compress(&self.piece, LEVEL).map_err(ArchiveError::Worker)?;
        self.frames.push(skippable(LIST_MAGIC, &[LIST_TAG, &compressed].concat()));
        Ok(())
    }
}

/// A list that is read, of which nothing is kept but what proves it.
#[derive(Debug, Default)]
pub(crate) struct ReadList {
    offset: Option<u64>,
    stored: u64,
    rows: u64,
    hasher: Sha256,
}

impl ReadList {
    /// Takes what the next frame holds, of which the frame lies at `offset` and has so many bytes.
    pub(crate) fn take(&mut self, compressed: &[u8], offset: u64, length: usize) -> Result<(), ArchiveError> {
        let rows = decompress(compressed)?;
        self.offset.get_or_insert(offset);
        self.stored += length as u64;
        self.rows += rows.len() as u64;
        if self.rows > LARGEST_LIST {
            return Err(ArchiveError::damaged("its list is absurdly long"));
        }
        self.hasher.update(&rows);
        Ok(())
    }

    /// What was read; `None` if there was no frame.
    pub(crate) fn place(&self) -> Option<ListPlace> {
        let digest = Sha256Digest(self.hasher.clone().finalize().into());
        Some(ListPlace { offset: self.offset?, stored: self.stored, rows: self.rows, digest })
    }
}
