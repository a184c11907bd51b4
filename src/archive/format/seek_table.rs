//! The seek table of zstd's seekable format: how long each frame is, compressed and decompressed.
//!
//! Source: `contrib/seekable_format/zstd_seekable_compression_format.md` in the zstd repository. Skippable
//! frames have an entry too, with nothing decompressed, so that offsets add up from the file's first byte.

use sha2::{Digest as _, Sha256};

use super::skippable::{SEEK_TABLE_MAGIC, skippable};

const FOOTER_MAGIC: u32 = 0x8F92_EAB1;

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
