//! One frame: its files are read and its bytes compressed, at a level that fits the output.
//!
//! The level is shared by all workers and follows the output (see [`CompressionPace`]). Data of which a few
//! samples do not compress is stored at the cheapest level.

use std::fs::{File, Metadata};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::plan::{PlannedFile, Segment};
use crate::archive::format::error::ArchiveError;
use crate::fs::open::{self, AccessTime, Links};
use crate::tree::walk::Modified;

/// The range of zstd levels; the level moves with whether compression or the output is slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The level if compression is slower.
    pub lowest: i32,
    /// The level of the first frames.
    pub first: i32,
    /// The level if the output is slower.
    pub highest: i32,
}

impl Default for Levels {
    /// From 1 to 6: above that, memory grows by tens of mebibytes for each worker.
    fn default() -> Self {
        Levels { lowest: 1, first: 3, highest: 6 }
    }
}

/// The level at which zstd does little more than copy.
const CHEAPEST: i32 = -7;

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

    /// Compresses these segments into an empty buffer; returns their length, in bytes.
    pub(super) fn frame(&mut self, segments: &[Segment], out: &mut Vec<u8>) -> Result<usize, ArchiveError> {
        let mut length = 0;
        for segment in segments {
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
        self.compress(length, out).map_err(ArchiveError::Worker)?;
        Ok(length)
    }

    fn compress(&mut self, length: usize, out: &mut Vec<u8>) -> io::Result<()> {
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
            return self.quick.compress_to_buffer(data, out).map(|_| ());
        }
        let level = self.pace.level();
        if self.level != level {
            self.compressor.set_parameter(CParameter::CompressionLevel(level))?;
            self.level = level;
        }
        self.compressor.compress_to_buffer(data, out).map(|_| ())
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

/// The level in use: raised while the output cannot keep up, lowered while it waits for frames.
///
/// The thread that writes knows both: how long it waited for the next frame, and how long for the output to
/// take it. When over a few frames one clearly exceeds the other, the level moves by one step.
#[derive(Debug)]
pub(super) struct CompressionPace {
    level: AtomicI32,
    levels: Levels,
}

/// What the writing thread has measured since the last change of the level.
#[derive(Debug, Default)]
pub(super) struct Measured {
    frames: u32,
    for_frames: Duration,
    for_output: Duration,
}

/// Frames between two changes of the level.
const FRAMES_PER_STEP: u32 = 8;

impl CompressionPace {
    pub(super) fn new(levels: Levels) -> Self {
        CompressionPace { level: AtomicI32::new(levels.first), levels }
    }

    fn level(&self) -> i32 {
        self.level.load(Ordering::Relaxed)
    }

    /// Adds how long the writing thread waited, and moves the level if one side is clearly slower.
    pub(super) fn note(&self, measured: &mut Measured, for_frame: Duration, for_output: Duration) {
        measured.frames += 1;
        measured.for_frames += for_frame;
        measured.for_output += for_output;
        if measured.frames < FRAMES_PER_STEP {
            return;
        }
        let level = self.level();
        let next = if measured.for_output > measured.for_frames * 4 {
            (level + 1).min(self.levels.highest)
        } else if measured.for_frames > measured.for_output * 4 {
            (level - 1).max(self.levels.lowest)
        } else {
            level
        };
        self.level.store(next, Ordering::Relaxed);
        *measured = Measured::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_follows_the_slower_side() {
        let pace = CompressionPace::new(Levels { lowest: 1, first: 3, highest: 6 });
        let mut measured = Measured::default();
        let mut note = |frames: u32, for_frame: u64, for_output: u64| {
            for _ in 0..frames {
                let (for_frame, for_output) =
                    (Duration::from_millis(for_frame), Duration::from_millis(for_output));
                pace.note(&mut measured, for_frame, for_output);
            }
            pace.level()
        };
        assert_eq!(note(7, 1, 100), 3);
        assert_eq!(note(1, 1, 100), 4);
        assert_eq!(note(80, 1, 100), 6);
        assert_eq!(note(80, 10, 10), 6);
        assert_eq!(note(8, 100, 1), 5);
        assert_eq!(note(80, 100, 1), 1);
    }
}
