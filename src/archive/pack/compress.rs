//! One frame: its files are read and its bytes compressed, at a level that fits the output.
//!
//! The level is shared by all workers and follows the output (see [`CompressionPace`]). Data of which a few samples do not compress is
//! stored at the cheapest level.

use std::fs::{File, Metadata};
use std::io;

use sha2::{Digest as _, Sha256};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::pace::CompressionPace;
use super::plan::{PlannedFile, PlannedFrame, Segment};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::RowKind;
use crate::domain::digest::Sha256Digest;
use crate::fs::open::{self, AccessTime, Links};
use crate::tree::walk::Modified;

/// The level at which zstd does little more than copy.
pub(super) const CHEAPEST: i32 = -7;

/// Length of a sample, in bytes, and how many are taken, evenly spread over a frame.
const SAMPLE: usize = 16 << 10;
const SAMPLES: usize = 4;

/// Fills and compresses frames, one at a time.
pub(super) struct Worker<'a> {
    pace: &'a CompressionPace,
    /// The frame being filled.
    frame: Vec<u8>,
    scratch: Vec<u8>,
    compressor: Compressor<'static>,
    level: i32,
    /// For samples and for incompressible data.
    quick: Compressor<'static>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(frame_bytes: usize, pace: &'a CompressionPace) -> io::Result<Self> {
        let compressor = || {
            let mut compressor = Compressor::new(1)?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
            Ok::<_, io::Error>(compressor)
        };
        Ok(Worker {
            pace,
            frame: vec![0; frame_bytes],
            scratch: Vec::with_capacity(compress_bound(SAMPLE)),
            compressor: compressor()?,
            level: 1,
            quick: compressor()?,
        })
    }

    /// Compresses a frame into an empty buffer, and enters the hashes of its files into their rows; returns its length, in
    /// bytes, and the level.
    pub(super) fn frame(
        &mut self,
        planned: &mut PlannedFrame,
        out: &mut Vec<u8>,
    ) -> Result<(usize, i32), ArchiveError> {
        let mut length = 0;
        for segment in &planned.segments {
            match segment {
                Segment::Bytes(bytes) => {
                    self.frame[length..length + bytes.len()].copy_from_slice(bytes);
                    length += bytes.len();
                }
                Segment::File { file, offset, length: part } => {
                    read(file, *offset, &mut self.frame[length..length + part])?;
                    length += part;
                }
            }
        }
        let level = self.compress(length, out).map_err(ArchiveError::Worker)?;
        if planned.after.is_some() || !planned.rows.is_empty() {
            self.hash(planned)?;
        }
        Ok((length, level))
    }

    /// Hashes the files of the frame. Of one that begins before it, the worker of the frame before hands over the hash so far:
    /// frames are taken in their order, so that it is at work or done.
    fn hash(&self, planned: &mut PlannedFrame) -> Result<(), ArchiveError> {
        let lost = || ArchiveError::Worker(io::Error::other("a thread that hashed has failed"));
        let mut files = planned.rows.iter_mut().filter_map(|row| match &mut row.kind {
            RowKind::File { size: 1.., content, .. } => Some(content),
            _ => None,
        });
        let mut at = 0;
        for segment in &planned.segments {
            let (file, offset, length) = match segment {
                Segment::Bytes(bytes) => {
                    at += bytes.len();
                    continue;
                }
                Segment::File { file, offset, length } => (file, *offset, *length),
            };
            let mut hasher = match &planned.before {
                Some(before) if offset > 0 => before.recv().map_err(|_| lost())?,
                _ => Sha256::new(),
            };
            hasher.update(&self.frame[at..at + length]);
            at += length;
            if offset + length as u64 == file.size {
                let content = files.next().ok_or_else(lost)?;
                *content = Sha256Digest(hasher.finalize().into());
            } else if let Some(after) = &planned.after {
                // The next frame's worker is gone if another frame has failed.
                let _ = after.send(hasher);
            }
        }
        Ok(())
    }

    fn compress(&mut self, length: usize, out: &mut Vec<u8>) -> io::Result<i32> {
        out.reserve(compress_bound(length));
        let data = &self.frame[..length];
        self.quick.set_parameter(CParameter::CompressionLevel(1))?;
        let (mut sampled, mut shrunk) = (0, 0);
        for index in 0..SAMPLES {
            let start = length / SAMPLES * index;
            let sample = &data[start..length.min(start + SAMPLE)];
            self.scratch.clear();
            shrunk += self.quick.compress_to_buffer(sample, &mut self.scratch)?;
            sampled += sample.len();
        }
        // Less than three percent saved on the samples.
        if shrunk * 100 > sampled * 97 {
            self.quick.set_parameter(CParameter::CompressionLevel(CHEAPEST))?;
            return self.quick.compress_to_buffer(data, out).map(|_| CHEAPEST);
        }
        let level = self.pace.level();
        if self.level != level {
            self.compressor.set_parameter(CParameter::CompressionLevel(level))?;
            self.level = level;
        }
        self.compressor.compress_to_buffer(data, out).map(|_| level)
    }
}

/// Reads a range of a file, which must have the size and time that the walk found.
fn read(planned: &PlannedFile, offset: u64, into: &mut [u8]) -> Result<(), ArchiveError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => ArchiveError::Changed(planned.path.clone()),
        _ => ArchiveError::ReadFile { path: planned.path.clone(), source },
    };
    let file = open::file(&planned.path, Links::Refused).map_err(failed)?;
    let _unread = AccessTime::of(&file);
    if into.len() >= HOLES_FROM && is_hole(&file, offset, into.len()) {
        into.fill(0);
    } else {
        read_exact_at(&file, into, offset).map_err(failed)?;
    }
    let now = file.metadata().map_err(failed)?;
    if is_as_planned(planned, &now) { Ok(()) } else { Err(ArchiveError::Changed(planned.path.clone())) }
}

fn is_as_planned(planned: &PlannedFile, now: &Metadata) -> bool {
    now.is_file() && now.len() == planned.size && Modified::of(now) == planned.modified
}

/// Ranges shorter than this are not checked for holes, in bytes.
const HOLES_FROM: usize = 256 << 10;

/// Whether a range of a file has no data on disk.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn is_hole(file: &File, offset: u64, length: usize) -> bool {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    use std::os::unix::fs::MetadataExt as _;
    // Only a file with fewer blocks than bytes can have one.
    if file.metadata().is_ok_and(|metadata| metadata.blocks() >= metadata.size() / 512) {
        return false;
    }
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data >= offset + length as u64,
        Err(error) => error == Errno::NXIO,
    }
}

/// Whether a range of a file has no data on disk; false if the OS does not report it.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn is_hole(_: &File, _: u64, _: usize) -> bool {
    false
}

#[cfg(unix)]
fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, into, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                into = &mut into[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
