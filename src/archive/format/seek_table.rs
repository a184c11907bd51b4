//! The seek table of zstd's seekable format: how long each frame is, compressed and decompressed.
//!
//! Source: `contrib/seekable_format/zstd_seekable_compression_format.md` in the zstd repository. Skippable
//! frames have an entry too, with nothing decompressed, so that offsets add up from the file's first byte.

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
        let mut payload = Vec::with_capacity(self.entries.len() * 8 + 9);
        for (compressed, decompressed) in &self.entries {
            payload.extend(compressed.to_le_bytes());
            payload.extend(decompressed.to_le_bytes());
        }
        let count = u32::try_from(self.entries.len()).expect("a table is far below 4 Gi entries");
        payload.extend(count.to_le_bytes());
        payload.push(0);
        payload.extend(FOOTER_MAGIC.to_le_bytes());
        skippable(SEEK_TABLE_MAGIC, &payload)
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
}
