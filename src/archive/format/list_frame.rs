//! The frames of a list, and the frame behind them that says where it lies and proves the archive.
//!
//! After every 512 KiB of rows the columns of these rows go into a skippable frame. The digest covers manifest, rows and seek
//! table: frames of the tar stream have checksums, and the rows the hash of every file.

use std::mem;

use sha2::{Digest as _, Sha256};

use super::columns::{self, Columns};
use super::error::ArchiveError;
use super::list::{LARGEST_LIST, Row};
use super::skippable::{DIGEST_MAGIC, LIST_MAGIC, skippable};
use crate::domain::digest::Sha256Digest;

/// Bytes of rows after which a frame ends.
const PIECE: u64 = 512 << 10;

/// Names the form of the columns, and changes with it until a version is released.
const LIST_TAG: &[u8] = b"cachekeep files\n";
const PROOF_TAG: &[u8] = b"cachekeep digest\n";
const DIGEST_TAG: &[u8] = b"cachekeep sha256\n";

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

/// The frame that carries the digest of all before it, in an archive without a list.
pub(crate) fn digest_frame(digest: &Sha256Digest) -> Vec<u8> {
    skippable(DIGEST_MAGIC, &[DIGEST_TAG, &digest.0].concat())
}

/// The digest in such a frame; `None` if it is of another kind.
pub(crate) fn digest_in(magic: u32, payload: &[u8]) -> Option<&[u8]> {
    payload.strip_prefix(DIGEST_TAG).filter(|_| magic == DIGEST_MAGIC)
}

/// The columns in a frame of a list; `None` if it is of another kind.
pub(crate) fn columns(payload: &[u8]) -> Option<&[u8]> {
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

/// A list that is written.
#[derive(Debug, Default)]
pub(crate) struct ListWriter {
    hasher: Sha256,
    rows: u64,
    /// The last row.
    row: Vec<u8>,
    columns: Columns,
    /// Bytes of the rows in these columns.
    piece: u64,
    frames: Vec<Vec<u8>>,
}

impl ListWriter {
    /// Adds the next row: its form of [`Row::append`] to the hash, and its fields to the columns that are stored.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), ArchiveError> {
        self.row.clear();
        row.append(&mut self.row);
        self.hasher.update(&self.row);
        self.columns.push(row);
        self.rows += self.row.len() as u64;
        self.piece += self.row.len() as u64;
        if self.piece < PIECE { Ok(()) } else { self.cut() }
    }

    /// The list, of which the first frame will lie at this offset; and its frames.
    pub(crate) fn finish(mut self, offset: u64) -> Result<(ListPlace, Vec<Vec<u8>>), ArchiveError> {
        if self.piece > 0 {
            self.cut()?;
        }
        let stored = self.frames.iter().map(|frame| frame.len() as u64).sum();
        let digest = Sha256Digest(self.hasher.finalize().into());
        Ok((ListPlace { offset, stored, rows: self.rows, digest }, self.frames))
    }

    fn cut(&mut self) -> Result<(), ArchiveError> {
        self.piece = 0;
        let columns = mem::take(&mut self.columns).store()?;
        self.frames.push(skippable(LIST_MAGIC, &[LIST_TAG, &columns].concat()));
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
    pub(crate) fn take(&mut self, columns: &[u8], offset: u64, length: usize) -> Result<(), ArchiveError> {
        let rows = columns::rows(columns)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::format::list::RowKind;
    use crate::archive::format::tar_header::LONGEST_NAME;
    use crate::tree::walk::Modified;

    #[test]
    fn the_longest_piece_that_is_written_can_be_read() {
        let row = |name: Vec<u8>, target: Vec<u8>| Row {
            name,
            kind: RowKind::Symlink { target },
            mode: 0o777,
            modified: Modified { seconds: 1, nanoseconds: 2 },
        };
        let longest = || row(vec![b'n'; LONGEST_NAME], vec![b't'; LONGEST_NAME]);
        let mut writer = ListWriter::default();
        while writer.piece + 20 < PIECE {
            writer.push(&row(vec![b'n'; 8], Vec::new())).expect("pushed");
        }
        assert!(writer.frames.is_empty());
        writer.push(&longest()).expect("pushed");
        writer.push(&longest()).expect("pushed");
        let (place, frames) = writer.finish(0).expect("written");
        assert_eq!(frames.len(), 2);
        let mut read = ReadList::default();
        for frame in &frames {
            read.take(columns(&frame[8..]).expect("columns"), 0, frame.len()).expect("readable");
        }
        assert_eq!(read.place(), Some(place));
    }
}
