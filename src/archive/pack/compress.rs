//! One frame: its files are read and its bytes compressed, at a level as high as the CPU has time for while it waits for the output, and
//! as the data is worth.
//!
//! The level is shared by all workers and follows the output (see [`CompressionPace`]). Data of which a few samples do not compress is
//! stored at the cheapest level.

use std::fs::{File, Metadata};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::plan::{FrameSegment, PlannedFile, PlannedFrame};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{Row, RowKind};
use crate::domain::digest::Sha256Digest;
use crate::fs::open::{self, AccessTime, Links};
use crate::tree::walk::Modified;

/// The level at which zstd does little more than copy.
pub(super) const CHEAPEST: i32 = -7;

/// The hash table of a level, as a power of two of entries of 4 bytes; 0 is what zstd has. Twice what it has at levels 2 and 3: of many
/// small files level 2 leaves 0.4 % less by it in 4 % more of its time, level 3 0.3 % less in none.
fn table_bits(level: i32) -> u32 {
    match level {
        2 => 17,
        3 => 18,
        _ => 0,
    }
}

/// Length of a sample, in bytes, and how many are taken, evenly spread over a frame.
const SAMPLE: usize = 16 << 10;
const SAMPLES: usize = 4;

/// A frame, compressed.
pub(super) struct Frame {
    pub(super) compressed: Vec<u8>,
    pub(super) work: FrameWork,
    /// Bytes of files in it, and files that end in it.
    pub(super) content: (u64, u64),
    /// Rows of the entries that end in it, if the archive has a list.
    pub(super) rows: Vec<Row>,
}

/// Compresses a frame into a buffer, which may hold an earlier one.
pub(super) fn compress_frame(
    worker: &mut Worker<'_>,
    mut planned: PlannedFrame,
    mut buffer: Vec<u8>,
) -> Result<Frame, ArchiveError> {
    buffer.clear();
    let begun = Instant::now();
    let (length, level) = worker.frame(&mut planned, &mut buffer)?;
    let work = FrameWork { level, bytes: (length, buffer.len()), busy: begun.elapsed() };
    let content = content(&planned.segments);
    Ok(Frame { compressed: buffer, work, content, rows: planned.rows })
}

fn content(segments: &[FrameSegment]) -> (u64, u64) {
    segments.iter().fold((0, 0), |(bytes, files), segment| match segment {
        FrameSegment::Bytes(_) => (bytes, files),
        FrameSegment::File { file, offset, length } => {
            let ends = offset + *length as u64 == file.size;
            (bytes + *length as u64, files + u64::from(ends))
        }
    })
}

/// Fills and compresses frames, one at a time.
pub(super) struct Worker<'a> {
    pace: &'a CompressionPace,
    /// The frame being filled.
    frame: Vec<u8>,
    scratch: Vec<u8>,
    compressor: Compressor<'static>,
    /// The level that it is set to.
    level: Option<i32>,
    /// For samples and for incompressible data.
    quick: Compressor<'static>,
}

impl<'a> Worker<'a> {
    /// Room for one frame.
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
            level: None,
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
                FrameSegment::Bytes(bytes) => {
                    self.frame[length..length + bytes.len()].copy_from_slice(bytes);
                    length += bytes.len();
                }
                FrameSegment::File { file, offset, length: part } => {
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
                FrameSegment::Bytes(bytes) => {
                    at += bytes.len();
                    continue;
                }
                FrameSegment::File { file, offset, length } => (file, *offset, *length),
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
        if self.level != Some(level) {
            self.compressor.set_parameter(CParameter::CompressionLevel(level))?;
            self.compressor.set_parameter(CParameter::HashLog(table_bits(level)))?;
            self.level = Some(level);
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
    let file = open::file(&planned.path, Links::Listed).map_err(failed)?;
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

/// The range of zstd levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The level if compression is slower than the output.
    pub lowest: i32,
    /// The level of the first frames.
    pub first: i32,
    /// The level if the output is slower, threads are idle, and the data becomes smaller by it.
    pub highest: i32,
}

impl Default for Levels {
    /// From 2 to 6: below, archives grow by 8 to 12 %; above, memory grows by tens of mebibytes for each worker.
    fn default() -> Self {
        Levels { lowest: 2, first: 3, highest: 6 }
    }
}

/// The level in use, shared by all threads.
///
/// The thread that writes knows how long it waited for frames and how long for the output to take them, and how long
/// threads worked on each. Every few frames of one level it moves the level by one step at the most. A step up that saves less
/// than a hundredth is taken back and not tried again.
#[derive(Debug)]
pub(super) struct CompressionPace {
    level: AtomicI32,
    levels: Levels,
    workers: u32,
}

/// What a frame took to compress.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameWork {
    /// The level at which it was compressed.
    pub(super) level: i32,
    /// Its bytes before and after.
    pub(super) bytes: (usize, usize),
    /// How long a thread read and compressed it.
    pub(super) busy: Duration,
}

/// What the writing thread has measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    window: Window,
    /// The level below, and the share of the data that was left at that level, while a step up is on trial.
    trial: Option<(i32, f64)>,
    /// The level above which nothing was gained.
    ceiling: Option<i32>,
}

/// Frames of one level since its last change.
#[derive(Debug, Default)]
struct Window {
    frames: u32,
    for_frames: Duration,
    for_output: Duration,
    busy: Duration,
    bytes: (u64, u64),
}

impl Window {
    /// Whether threads had nothing to do for at least half of the time.
    fn is_half_idle(&self, workers: u32) -> bool {
        self.busy * 2 < (self.for_frames + self.for_output) * workers
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn share_left(&self) -> f64 {
        self.bytes.1 as f64 / self.bytes.0.max(1) as f64
    }
}

/// Frames between two changes of the level.
const FRAMES_PER_STEP: u32 = 8;

/// What a step up must leave of what the level below it left.
const WORTH_IT: f64 = 0.99;

impl CompressionPace {
    /// The first level, for so many workers.
    pub(super) fn new(levels: Levels, workers: usize) -> Self {
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        CompressionPace { level: AtomicI32::new(levels.first), levels, workers }
    }

    pub(super) fn level(&self) -> i32 {
        self.level.load(Ordering::Relaxed)
    }

    /// Adds a frame and how long the writing thread waited, and moves the level. Frames of an earlier level, and those that do not
    /// compress, say nothing about this one.
    pub(super) fn note(
        &self,
        measured: &mut Measured,
        work: &FrameWork,
        for_frame: Duration,
        for_output: Duration,
    ) {
        let level = self.level();
        if work.level != level {
            return;
        }
        let window = &mut measured.window;
        window.frames += 1;
        window.for_frames += for_frame;
        window.for_output += for_output;
        window.busy += work.busy;
        window.bytes.0 += work.bytes.0 as u64;
        window.bytes.1 += work.bytes.1 as u64;
        if window.frames >= FRAMES_PER_STEP {
            let next = self.next(level, measured);
            self.level.store(next, Ordering::Relaxed);
            measured.window = Window::default();
        }
    }

    fn next(&self, level: i32, measured: &mut Measured) -> i32 {
        let window = &measured.window;
        if let Some((below, share)) = measured.trial.take()
            && window.share_left() > share * WORTH_IT
        {
            measured.ceiling = Some(below);
            return below;
        }
        let highest = measured.ceiling.unwrap_or(self.levels.highest).min(self.levels.highest);
        if window.for_frames > window.for_output * 4 {
            return (level - 1).max(self.levels.lowest);
        }
        let waits = window.for_output > window.for_frames * 4;
        if !waits || !window.is_half_idle(self.workers) || level >= highest {
            return level;
        }
        measured.trial = Some((level, window.share_left()));
        level + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 1 000 bytes, of which `left` are left at each level.
    struct PaceTest {
        pace: CompressionPace,
        measured: Measured,
        left: fn(i32) -> usize,
    }

    impl PaceTest {
        fn new(left: fn(i32) -> usize) -> Self {
            let levels = Levels { lowest: 2, first: 3, highest: 6 };
            PaceTest { pace: CompressionPace::new(levels, 2), measured: Measured::default(), left }
        }

        /// The level after this many frames with these times, in milliseconds.
        fn after(&mut self, frames: u32, busy: u64, for_frame: u64, for_output: u64) -> i32 {
            let time = Duration::from_millis;
            for _ in 0..frames {
                let level = self.pace.level();
                let bytes = (1_000, (self.left)(level));
                let work = FrameWork { level, bytes, busy: time(busy) };
                self.pace.note(&mut self.measured, &work, time(for_frame), time(for_output));
            }
            self.pace.level()
        }
    }

    #[test]
    fn the_level_follows_the_slower_side() {
        let mut packing = PaceTest::new(|level| 1_000 - 100 * usize::try_from(level).expect("positive"));
        assert_eq!(packing.after(7, 10, 1, 100), 3);
        assert_eq!(packing.after(1, 10, 1, 100), 4);
        assert_eq!(packing.after(80, 10, 1, 100), 6);
        assert_eq!(packing.after(80, 10, 10, 10), 6);
        assert_eq!(packing.after(8, 100, 100, 1), 5);
        assert_eq!(packing.after(80, 100, 100, 1), 2);
    }

    #[test]
    fn the_level_rises_only_where_threads_are_idle() {
        let mut packing = PaceTest::new(|level| 1_000 - 100 * usize::try_from(level).expect("positive"));
        // Two threads have 200 ms for each frame.
        assert_eq!(packing.after(80, 110, 1, 99), 3);
        assert_eq!(packing.after(8, 90, 1, 99), 4);
    }

    #[test]
    fn a_step_that_saves_nothing_is_taken_back_for_good() {
        let mut packing = PaceTest::new(|level| if level < 4 { 500 } else { 499 });
        assert_eq!(packing.after(8, 10, 1, 100), 4);
        assert_eq!(packing.after(8, 10, 1, 100), 3);
        assert_eq!(packing.after(80, 10, 1, 100), 3);
        assert_eq!(packing.after(80, 100, 100, 1), 2);
    }

    #[test]
    fn frames_of_other_levels_say_nothing() {
        let mut packing = PaceTest::new(|_| 500);
        for level in [-7, 4].repeat(40) {
            let work = FrameWork { level, bytes: (1_000, 900), busy: Duration::from_millis(1) };
            packing.pace.note(&mut packing.measured, &work, Duration::ZERO, Duration::from_secs(1));
        }
        assert_eq!(packing.pace.level(), 3);
        assert_eq!(packing.measured.window.frames, 0);
    }
}
