//! Skippable frames, which zstd ignores: manifest, digest and seek table are stored in them.

pub(crate) const SEEK_TABLE_MAGIC: u32 = 0x184D_2A5E;

/// A skippable frame.
pub(crate) fn skippable(magic: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("skippable frames are far below 4 GiB");
    let mut frame = Vec::with_capacity(payload.len() + 8);
    frame.extend(magic.to_le_bytes());
    frame.extend(length.to_le_bytes());
    frame.extend(payload);
    frame
}
