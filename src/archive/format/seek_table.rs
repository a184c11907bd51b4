//! The seek table of zstd's seekable format: how long each frame is, compressed and decompressed.
//!
//! Source: `contrib/seekable_format/zstd_seekable_compression_format.md` in the zstd repository. Skippable
//! frames have an entry too, with nothing decompressed, so that offsets add up from the file's first byte.

use sha2::{Digest as _, Sha256};

use super::manifest::LARGEST_FRAME;
use super::skippable::{SEEK_TABLE_MAGIC, skippable};

const FOOTER_MAGIC: u32 = 0x8F92_EAB1;

/// Bytes that a frame takes at most in an archive: one that does not compress takes a little more than its content.
const MOST_STORED: u32 = 2 * LARGEST_FRAME;

/// The lengths of the frames written or seen so far.
#[derive(Debug, Default)]
pub(crate) struct SeekTable {
    entries: Vec<(u32, u32)>,
}

impl SeekTable {
    /// Adds the next frame.
    pub(crate) fn push(&mut self, compressed: usize, decompressed: usize) {
        let length = |bytes: usize| u32::try_from(bytes).expect("frames are far below 4 GiB");
        self.entries.push((length(compressed), length(decompressed)));
    }

    /// The table as the frame that ends an archive.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        skippable(SEEK_TABLE_MAGIC, &self.to_bytes())
    }

    /// The SHA-256 of the table, without the header of its frame.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.entries.len() * 8 + 9);
        for (compressed, decompressed) in &self.entries {
            payload.extend(compressed.to_le_bytes());
            payload.extend(decompressed.to_le_bytes());
        }
        let count = u32::try_from(self.entries.len()).expect("a table is far below 4 Gi entries");
        payload.extend(count.to_le_bytes());
        payload.push(0);
        payload.extend(FOOTER_MAGIC.to_le_bytes());
        payload
    }
}

/// Bytes of the frame of the table that these bytes end with; `None` if they end otherwise.
pub(crate) fn frame_length(end: &[u8]) -> Option<u64> {
    let (_, footer) = end.split_last_chunk::<9>()?;
    let (count, rest) = footer.split_first_chunk::<4>()?;
    let known = rest[1..] == FOOTER_MAGIC.to_le_bytes() && rest[0] == 0;
    known.then(|| u64::from(u32::from_le_bytes(*count)) * 8 + 9 + 8)
}

/// Where a frame lies that holds a part of the tar stream, and which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FramePlace {
    /// Where it begins in the archive, in bytes.
    pub(crate) offset: u64,
    /// Its bytes there.
    pub(crate) stored: u32,
    /// Where its part begins in the tar stream, in bytes.
    pub(crate) at: u64,
    /// Bytes of that part.
    pub(crate) content: u32,
}

impl FramePlace {
    /// Where the frame ends in the archive.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.stored)
    }

    /// Where its part of the tar stream ends.
    pub(crate) fn content_end(&self) -> u64 {
        self.at + u64::from(self.content)
    }
}

/// The frames that a table lists, without the header of its frame; `None` if it does not add up to the archive that it ends.
pub(crate) fn frames(table: &[u8], archive_bytes: u64) -> Option<Vec<FramePlace>> {
    let (rows, _) = table.split_at_checked(table.len().checked_sub(9)?)?;
    let (rows, []) = rows.as_chunks::<8>() else { return None };
    let (mut offset, mut at, mut frames) = (0_u64, 0_u64, Vec::new());
    for row in rows {
        let [stored, content] =
            [&row[..4], &row[4..]].map(|four| four.try_into().map_or(0, u32::from_le_bytes));
        if content > 0 {
            frames.push(FramePlace { offset, stored, at, content });
        }
        offset += u64::from(stored);
        at += u64::from(content);
    }
    let fits = frames.iter().all(|frame| frame.content <= LARGEST_FRAME && frame.stored <= MOST_STORED);
    (fits && offset.checked_add(table.len() as u64 + 8) == Some(archive_bytes)).then_some(frames)
}

/// The table that the frames read so far must have: its length and digest, so that it needs no memory however many
/// frames there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedTable {
    rows: Sha256,
    count: u32,
}

impl ExpectedTable {
    /// Adds the next frame; `None` if a table cannot list it.
    pub(crate) fn push(&mut self, compressed: usize, decompressed: usize) -> Option<()> {
        for bytes in [compressed, decompressed] {
            self.rows.update(u32::try_from(bytes).ok()?.to_le_bytes());
        }
        self.count = self.count.checked_add(1)?;
        Some(())
    }

    /// Bytes of the table, without the header of its frame.
    pub(crate) fn length(&self) -> u64 {
        u64::from(self.count) * 8 + 9
    }

    /// The SHA-256 of the table, without the header of its frame.
    pub(crate) fn digest(mut self) -> [u8; 32] {
        self.rows.update(self.count.to_le_bytes());
        self.rows.update([0]);
        self.rows.update(FOOTER_MAGIC.to_le_bytes());
        self.rows.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_bytes_of_the_format() {
        let mut table = SeekTable::default();
        table.push(0x0102, 0x0304);
        let expect = [
            0x5E, 0x2A, 0x4D, 0x18, 17, 0, 0, 0, // skippable frame of 17 bytes
            2, 1, 0, 0, 4, 3, 0, 0, // one entry
            1, 0, 0, 0, 0, 0xB1, 0xEA, 0x92, 0x8F, // count, no checksums, magic
        ];
        assert_eq!(table.to_frame(), expect);
    }

    #[test]
    fn frames_lie_behind_each_other() {
        let mut table = SeekTable::default();
        for (stored, content) in [(100, 0), (7, 4096), (9, 512), (50, 0)] {
            table.push(stored, content);
        }
        let frame = table.to_frame();
        let size = 166 + frame.len() as u64;
        let found = frames(&frame[8..], size).expect("frames");
        let first = FramePlace { offset: 100, stored: 7, at: 0, content: 4096 };
        assert_eq!(found, [first, FramePlace { offset: 107, stored: 9, at: 4096, content: 512 }]);
        assert_eq!((first.end(), first.content_end()), (107, 4096));
        assert_eq!(frames(&frame[8..], size + 1), None);
        assert_eq!(frames(&frame[9..], size), None);
        assert_eq!(frames(b"", 0), None);
        let mut large = SeekTable::default();
        large.push(1, LARGEST_FRAME as usize + 1);
        let frame = large.to_frame();
        assert_eq!(frames(&frame[8..], 1 + frame.len() as u64), None);
    }

    #[test]
    fn what_is_expected_is_what_is_written() {
        let (mut table, mut expected) = (SeekTable::default(), ExpectedTable::default());
        for rows in 0..4 {
            let frame = table.to_frame();
            assert_eq!(expected.length(), frame.len() as u64 - 8);
            assert_eq!(expected.clone().digest(), <[u8; 32]>::from(Sha256::digest(&frame[8..])), "{rows}");
            table.push(70_000 + rows, rows);
            expected.push(70_000 + rows, rows).expect("short enough");
        }
        assert_eq!(expected.push(usize::MAX, 1), None);
    }
}
