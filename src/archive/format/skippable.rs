//! Skippable frames, which zstd ignores: manifest, list, digest and seek table are stored in them.

pub(crate) const MANIFEST_MAGIC: u32 = 0x184D_2A50;
pub(crate) const DIGEST_MAGIC: u32 = 0x184D_2A51;
pub(crate) const LIST_MAGIC: u32 = 0x184D_2A52;
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

/// The magic and payload of the skippable frame that these bytes begin with, and what follows it; `None` if they end before it.
pub(crate) fn split(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (payload, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((u32::from_le_bytes(*magic), payload, rest))
}
