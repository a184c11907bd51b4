//! Where an archive goes, and what is noted of its frames on the way.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame;
use crate::archive::format::list::{Row, RowKind};
use crate::archive::format::list_frame::{ListWriter, Proof};
use crate::archive::format::manifest::Manifest;
use crate::archive::format::seek_table::SeekTable;
use crate::domain::digest::Sha256Digest;
use crate::transport::pipe::{Crossing, PipeWriter};

/// Takes an archive. Every [`Write`] does; [`Passing`] copies no frame.
pub trait ArchiveOutput {
    /// Writes these bytes.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes these bytes, and returns a buffer that can be used for others.
    fn take(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>>;

    /// Ends the archive.
    fn end(&mut self) -> io::Result<()>;
}

impl<W: Write> ArchiveOutput for W {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn take(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.write_all(&bytes)?;
        Ok(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// An upload that takes frames as they are.
pub(crate) struct Passing<'a, T, E>(pub(crate) &'a mut PipeWriter<T, E>);

impl<T, E: Crossing> ArchiveOutput for Passing<'_, T, E> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn take(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.0.pass(bytes.into())?;
        Ok(Vec::new())
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The output: hashes, lists and writes frames.
pub(super) struct PackOutput<'a, W> {
    out: W,
    proof: Proving<'a>,
    table: SeekTable,
    bytes: u64,
}

/// What the digest of an archive is made of.
enum Proving<'a> {
    /// All bytes so far.
    Whole(Sha256),
    Parts {
        /// The SHA-256 of the manifest's frame.
        manifest: Sha256Digest,
        list: ListWriter,
        /// The list of a thin archive, which was made before its contents were packed.
        known: Option<KnownList<'a>>,
    },
}

/// A list that was made before the contents were packed that are new in it.
pub(super) struct KnownList<'a> {
    /// All rows.
    pub(super) rows: &'a [Row],
    /// The rows of the new contents, in the order in which they are packed.
    pub(super) new: std::slice::Iter<'a, usize>,
}

impl KnownList<'_> {
    /// Refuses a content that is not the one that was hashed before.
    fn check(&mut self, packed: &Row) -> Result<(), ArchiveError> {
        let expected = self.new.next().and_then(|index| self.rows.get(*index));
        match (expected.map(|row| &row.kind), &packed.kind) {
            (Some(RowKind::File { content: expected, .. }), RowKind::File { content, .. })
                if expected == content =>
            {
                Ok(())
            }
            _ => Err(ArchiveError::Changed(String::from_utf8_lossy(&packed.name).into_owned().into())),
        }
    }
}

impl<'a, W: ArchiveOutput> PackOutput<'a, W> {
    /// Begins an archive with its manifest; of a thin one the list is known.
    pub(super) fn new(
        out: W,
        manifest: &Manifest,
        known: Option<KnownList<'a>>,
    ) -> Result<Self, ArchiveError> {
        let first = frame::manifest_frame(manifest);
        let proof = if manifest.is_listed() {
            Proving::Parts { manifest: Sha256Digest::of(&first), list: ListWriter::default(), known }
        } else {
            Proving::Whole(Sha256::new())
        };
        let mut output = PackOutput { out, proof, table: SeekTable::default(), bytes: 0 };
        output.write(&first, 0)?;
        Ok(output)
    }

    /// Adds rows to the list, if the archive has one; compares them with those of a list that is known.
    pub(super) fn list(&mut self, rows: &[Row]) -> Result<(), ArchiveError> {
        match &mut self.proof {
            Proving::Whole(_) => Ok(()),
            Proving::Parts { known: Some(known), .. } => rows.iter().try_for_each(|row| known.check(row)),
            Proving::Parts { list, .. } => rows.iter().try_for_each(|row| list.push(row)),
        }
    }

    /// Writes a frame and gives its buffer back, or another one.
    pub(super) fn take(&mut self, frame: Vec<u8>, content: usize) -> Result<Vec<u8>, ArchiveError> {
        self.note(&frame, content);
        self.out.take(frame).map_err(ArchiveError::Output)
    }

    /// Writes list, digest and seek table; returns the archive's length and digest.
    pub(super) fn seal(mut self) -> Result<(u64, Sha256Digest), ArchiveError> {
        let digest = match std::mem::replace(&mut self.proof, Proving::Whole(Sha256::new())) {
            Proving::Whole(hasher) => {
                let digest = Sha256Digest(hasher.finalize().into());
                self.write(&frame::digest_frame(&digest), 0)?;
                digest
            }
            Proving::Parts { manifest, mut list, known } => {
                known.iter().flat_map(|known| known.rows).try_for_each(|row| list.push(row))?;
                let (list, frames) = list.finish(self.bytes)?;
                frames.iter().try_for_each(|frame| self.write(frame, 0))?;
                // The table lists the frame that carries the digest, of which it needs only the length.
                self.table.push(Proof::LENGTH, 0);
                let digest = list.prove(&manifest, &self.table.digest());
                let proof = Proof { list, digest }.to_frame();
                self.bytes += proof.len() as u64;
                self.out.put(&proof).map_err(ArchiveError::Output)?;
                digest
            }
        };
        let table = self.table.to_frame();
        self.bytes += table.len() as u64;
        self.out.put(&table).map_err(ArchiveError::Output)?;
        self.out.end().map_err(ArchiveError::Output)?;
        Ok((self.bytes, digest))
    }

    fn write(&mut self, frame: &[u8], content: usize) -> Result<(), ArchiveError> {
        self.note(frame, content);
        self.out.put(frame).map_err(ArchiveError::Output)
    }

    fn note(&mut self, frame: &[u8], content: usize) {
        if let Proving::Whole(hasher) = &mut self.proof {
            hasher.update(frame);
        }
        self.table.push(frame.len(), content);
        self.bytes += frame.len() as u64;
    }
}
