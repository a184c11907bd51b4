//! Where an archive goes, and what is noted of its frames on the way.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame;
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
pub(super) struct PackOutput<W> {
    out: W,
    hasher: Sha256,
    table: SeekTable,
    bytes: u64,
}

impl<W: ArchiveOutput> PackOutput<W> {
    pub(super) fn new(out: W) -> Self {
        PackOutput { out, hasher: Sha256::new(), table: SeekTable::default(), bytes: 0 }
    }

    /// Writes a frame.
    pub(super) fn write(&mut self, frame: &[u8], content: usize) -> Result<(), ArchiveError> {
        self.note(frame, content);
        self.out.put(frame).map_err(ArchiveError::Output)
    }

    /// Writes a frame and gives its buffer back, or another one.
    pub(super) fn take(&mut self, frame: Vec<u8>, content: usize) -> Result<Vec<u8>, ArchiveError> {
        self.note(&frame, content);
        self.out.take(frame).map_err(ArchiveError::Output)
    }

    fn note(&mut self, frame: &[u8], content: usize) {
        self.hasher.update(frame);
        self.table.push(frame.len(), content);
        self.bytes += frame.len() as u64;
    }

    /// Writes digest and seek table; returns the archive's length and digest.
    pub(super) fn seal(mut self) -> Result<(u64, Sha256Digest), ArchiveError> {
        let digest = Sha256Digest(self.hasher.clone().finalize().into());
        self.write(&frame::digest_frame(&digest), 0)?;
        let table = self.table.to_frame();
        self.bytes += table.len() as u64;
        self.out.put(&table).map_err(ArchiveError::Output)?;
        self.out.end().map_err(ArchiveError::Output)?;
        Ok((self.bytes, digest))
    }
}
