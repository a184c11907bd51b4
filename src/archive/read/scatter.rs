//! Contents that lie scattered over several archives: which ranges to read, and the frames in them decompressed.
//!
//! Whole frames are read, and what lies between two of them where that is less than a request costs. The ranges are one stream
//! of bytes for the reader, in the order of the plan.

use std::io::{self, Read};
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::buffer::Slice;
use super::decode::{Parts, Source, StreamEnd};
use super::listing::Frames;
use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame::Part;
use crate::archive::format::list::Extent;
use crate::archive::format::seek_table::FramePlace;
use crate::domain::digest::Sha256Digest;

/// Bytes between two frames that are read through rather than asked for apart.
const GAP: u64 = 1 << 20;

/// Bytes of a range at most, so that several can be under way.
const RANGE: u64 = 4 << 20;

/// A content that is wanted, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedContent {
    /// Where it lies.
    pub(crate) extent: Extent,
    /// Its hash.
    pub(crate) digest: Sha256Digest,
    /// The rows of the files that have it, in the order of the list; at least one.
    pub(crate) rows: Vec<usize>,
}

/// A range of an archive that takes part: 0 is the thin archive itself, its parents follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRange {
    /// Which archive.
    pub segment: usize,
    /// Which of its bytes.
    pub range: Range<u64>,
}

/// What is read of several archives, in this order.
#[derive(Debug, Default)]
pub(crate) struct ReadPlan {
    ranges: Vec<SegmentRange>,
    frames: Vec<FrameToRead>,
}

/// A frame that is read, behind bytes that are not wanted.
#[derive(Debug, Clone, Copy)]
struct FrameToRead {
    skipped: u64,
    segment: usize,
    place: FramePlace,
}

impl ReadPlan {
    /// Plans to read these contents, of which those of one archive stand together and are in the order of its stream.
    ///
    /// # Errors
    /// They overlap, or are not where the frames are.
    pub(crate) fn of(contents: &[WantedContent], segments: &[&Frames]) -> Result<Self, ArchiveError> {
        let mut plan = ReadPlan::default();
        // The archive and the end in its stream of what is planned so far.
        let mut before: Option<(u64, u64)> = None;
        for WantedContent { extent, .. } in contents {
            let start = match before {
                Some((segment, end)) if segment == extent.segment => end,
                _ => 0,
            };
            let end = extent.offset.checked_add(extent.length).ok_or_else(misplaced)?;
            let segment = usize::try_from(extent.segment).map_err(|_| misplaced())?;
            let Frames(frames) = segments.get(segment).ok_or_else(misplaced)?;
            let is_within = frames.last().is_some_and(|last| end <= last.content_end());
            if extent.offset < start || extent.length == 0 || !is_within {
                return Err(misplaced());
            }
            let first = frames.partition_point(|frame| frame.content_end() <= extent.offset);
            for place in frames[first..].iter().take_while(|frame| frame.at < end) {
                plan.add(segment, *place);
            }
            before = Some((extent.segment, end));
        }
        Ok(plan)
    }

    /// Adds a frame, unless it was the last one that was added.
    fn add(&mut self, segment: usize, place: FramePlace) {
        let last = self.frames.last().filter(|last| last.segment == segment).map(|last| last.place);
        if last == Some(place) {
            return;
        }
        let gap = last.map(|last| place.offset - last.end()).filter(|gap| *gap <= GAP);
        let mut start = place.offset - gap.unwrap_or(0);
        self.frames.push(FrameToRead { skipped: gap.unwrap_or(0), segment, place });
        if gap.is_some()
            && let Some(SegmentRange { range, .. }) = self.ranges.last_mut()
        {
            range.end = place.end().min(range.start + RANGE);
            start = range.end;
        }
        while start < place.end() {
            let end = place.end().min(start + RANGE);
            self.ranges.push(SegmentRange { segment, range: start..end });
            start = end;
        }
    }

    /// Bytes that are read of all archives.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|SegmentRange { range, .. }| range.end - range.start).sum()
    }

    /// What is to be read, in this order.
    pub(crate) fn ranges(&self) -> Vec<SegmentRange> {
        self.ranges.clone()
    }

    /// The frames in what was read.
    pub(crate) fn frames_in<R>(&self, input: R) -> Scattered<R> {
        Scattered { input, frames: self.frames.clone().into_iter() }
    }

    /// Gives contents out of the decompressed frames.
    pub(crate) fn contents<S: Source>(&self, source: S) -> ContentReader<S> {
        ContentReader { source, frames: self.frames.clone().into_iter(), open: None }
    }
}

fn misplaced() -> ArchiveError {
    ArchiveError::damaged("its list has contents where there are none")
}

/// The frames of a plan in the bytes of its ranges.
pub(crate) struct Scattered<R> {
    input: R,
    frames: std::vec::IntoIter<FrameToRead>,
}

impl<R: Read> Parts for Scattered<R> {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Part>, ArchiveError> {
        buffer.clear();
        let Some(FrameToRead { skipped, place, .. }) = self.frames.next() else { return Ok(None) };
        let mut gap = (&mut self.input).take(skipped);
        let passed = io::copy(&mut gap, &mut io::sink()).map_err(ArchiveError::Input)?;
        let stored = u64::from(place.stored);
        let read = (&mut self.input).take(stored).read_to_end(buffer).map_err(ArchiveError::Input)?;
        if passed < skipped || (read as u64) < stored {
            return Err(ArchiveError::damaged("a part of it is missing"));
        }
        Ok(Some(Part::Frame { content: place.content as usize }))
    }

    fn end(&self) -> StreamEnd {
        StreamEnd::default()
    }
}

/// Contents of a plan, in its order.
pub(crate) struct ContentReader<S> {
    source: S,
    frames: std::vec::IntoIter<FrameToRead>,
    open: Option<ScatteredFrame>,
}

/// What is left of a decompressed frame.
struct ScatteredFrame {
    segment: u64,
    /// Where it begins in the tar stream.
    at: u64,
    rest: Slice,
}

impl<S: Source> ContentReader<S> {
    /// Gives the bytes of the next content to `take`, part by part; returns their hash.
    pub(crate) fn read(
        &mut self,
        extent: &Extent,
        mut take: impl FnMut(Slice) -> Result<(), ArchiveError>,
    ) -> Result<Sha256Digest, ArchiveError> {
        let mut hasher = Sha256::new();
        let (mut at, end) = (extent.offset, extent.offset + extent.length);
        while at < end {
            let slice = self.slice(extent.segment, at, end - at)?;
            at += slice.len() as u64;
            hasher.update(&slice[..]);
            take(slice)?;
        }
        Ok(Sha256Digest(hasher.finalize().into()))
    }

    /// The next bytes of an archive's stream from `at`, at least one and not more than `most`.
    fn slice(&mut self, segment: u64, at: u64, most: u64) -> Result<Slice, ArchiveError> {
        loop {
            if let Some(open) = self.open.as_mut().filter(|open| open.segment == segment)
                && let Some(skipped) =
                    at.checked_sub(open.at).and_then(|skipped| usize::try_from(skipped).ok())
                && skipped < open.rest.len()
            {
                drop(open.rest.split_to(skipped));
                let length = usize::try_from(most).unwrap_or(usize::MAX).min(open.rest.len());
                open.at = at + length as u64;
                return Ok(open.rest.split_to(length));
            }
            self.open = None;
            self.open = Some(self.frame()?);
        }
    }

    fn frame(&mut self) -> Result<ScatteredFrame, ArchiveError> {
        let frame = self.frames.next().ok_or_else(misplaced)?;
        match self.source.next()? {
            Some(rest) => Ok(ScatteredFrame { segment: frame.segment as u64, at: frame.place.at, rest }),
            None => Err(misplaced()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::archive::read::decode;

    /// An archive of frames between other bytes, and the stream in them.
    fn archive(frames: &[(Vec<u8>, usize)]) -> (Vec<u8>, Frames, Vec<u8>) {
        let (mut bytes, mut places, mut stream) = (Vec::new(), Vec::new(), Vec::new());
        for (content, gap) in frames {
            bytes.resize(bytes.len() + gap, 0xEE);
            let compressed = zstd::bulk::compress(content, 1).expect("zstd");
            let small = |length: usize| u32::try_from(length).expect("small");
            places.push(FramePlace {
                offset: bytes.len() as u64,
                stored: small(compressed.len()),
                at: stream.len() as u64,
                content: small(content.len()),
            });
            bytes.extend(compressed);
            stream.extend(content);
        }
        (bytes, Frames(places), stream)
    }

    fn wanted(segment: u64, range: Range<u64>) -> WantedContent {
        let extent = Extent { segment, offset: range.start, length: range.end - range.start };
        WantedContent { extent, digest: Sha256Digest([0; 32]), rows: vec![0] }
    }

    /// What a plan reads out of these archives, on so many threads.
    fn read(
        contents: &[WantedContent],
        archives: &[(Vec<u8>, Frames, Vec<u8>)],
        workers: usize,
    ) -> Vec<Vec<u8>> {
        let segments: Vec<&Frames> = archives.iter().map(|(_, frames, _)| frames).collect();
        let plan = ReadPlan::of(contents, &segments).expect("a plan");
        let mut input = Vec::new();
        for SegmentRange { segment, range } in plan.ranges() {
            assert!(range.end - range.start <= RANGE && range.start < range.end);
            let within = |at: u64| usize::try_from(at).expect("small");
            input.extend(&archives[segment].0[within(range.start)..within(range.end)]);
        }
        assert_eq!(plan.bytes(), input.len() as u64);
        let cancel = CancellationToken::new();
        std::thread::scope(|scope| {
            let source = decode::open(scope, plan.frames_in(&input[..]), workers, &cancel).expect("a source");
            let mut reader = plan.contents(source);
            let mut read = Vec::new();
            for WantedContent { extent, .. } in contents {
                let mut bytes = Vec::new();
                let digest = reader.read(extent, |slice| {
                    bytes.extend(&slice[..]);
                    Ok(())
                });
                assert_eq!(digest.expect("readable"), Sha256Digest::of(&bytes));
                read.push(bytes);
            }
            read
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_wanted_comes_out(
            segments in proptest::collection::vec(
                proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..3000), 0..2000_usize), 1..6), 1..4,
            ),
            cuts in proptest::collection::vec((0..4_u64, any::<u16>(), 1..4000_u64), 0..12),
            workers in 0..3_usize,
        ) {
            let archives: Vec<_> = segments.iter().map(|frames| archive(frames)).collect();
            let mut ranges: Vec<(u64, Range<u64>)> = Vec::new();
            for (segment, start, length) in cuts {
                let segment = segment % archives.len() as u64;
                let all = archives[usize::try_from(segment).expect("small")].2.len() as u64;
                let start = u64::from(start) % all;
                ranges.push((segment, start..all.min(start + length)));
            }
            ranges.sort_by_key(|(segment, range)| (*segment, range.start));
            ranges.dedup_by(|later, earlier| later.0 == earlier.0 && later.1.start < earlier.1.end);
            let contents: Vec<_> = ranges.iter().map(|(segment, range)| wanted(*segment, range.clone())).collect();
            let expect: Vec<Vec<u8>> = ranges
                .iter()
                .map(|(segment, range)| {
                    let within = |at: u64| usize::try_from(at).expect("small");
                    archives[within(*segment)].2[within(range.start)..within(range.end)].to_vec()
                })
                .collect();
            prop_assert_eq!(read(&contents, &archives, workers), expect);
        }
    }

    #[test]
    fn gaps_are_read_through_where_they_are_small() {
        let small = usize::try_from(GAP).expect("small");
        let one = archive(&[(vec![1; 9], 5), (vec![2; 9], small), (vec![3; 9], small + 1), (vec![4; 9], 0)]);
        let all = [wanted(0, 0..9), wanted(0, 9..18), wanted(0, 18..27), wanted(0, 27..36)];
        let plan = ReadPlan::of(&all, &[&one.1]).expect("a plan");
        let places = &one.1.0;
        let ranges: Vec<_> = plan.ranges().into_iter().map(|range| range.range).collect();
        assert_eq!(ranges, [places[0].offset..places[1].end(), places[2].offset..places[3].end()]);
    }

    #[test]
    fn contents_that_overlap_or_lie_nowhere_are_refused() {
        let one = archive(&[(vec![1; 9], 0), (vec![2; 9], 0)]);
        let check = |contents: &[WantedContent]| {
            let refused = ReadPlan::of(contents, &[&one.1]).expect_err("a refusal");
            assert!(refused.is_damage(), "{contents:?}");
        };
        check(&[wanted(0, 0..19)]);
        check(&[wanted(0, 18..19)]);
        check(&[wanted(1, 0..9)]);
        check(&[wanted(0, 3..3)]);
        check(&[wanted(0, 0..9), wanted(0, 8..10)]);
        check(&[wanted(0, 9..18), wanted(0, 0..9)]);
        let mut endless = wanted(0, 1..2);
        endless.extent.length = u64::MAX;
        check(&[endless]);
        assert!(ReadPlan::of(&[wanted(0, 0..18)], &[&one.1]).is_ok());
    }

    #[test]
    fn an_input_that_ends_early_is_damage() {
        let one = archive(&[(vec![1; 9], 0), (vec![2; 9], 3)]);
        let plan = ReadPlan::of(&[wanted(0, 0..18)], &[&one.1]).expect("a plan");
        let mut frames = plan.frames_in(&one.0[..one.0.len() - 1]);
        let mut buffer = Vec::new();
        assert!(matches!(frames.next(&mut buffer), Ok(Some(Part::Frame { content: 9 }))));
        assert!(frames.next(&mut buffer).expect_err("a refusal").is_damage());
    }
}
