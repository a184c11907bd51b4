//! The bytes of dag-pb blocks and CIDs, as the encoders of the field write them: protobuf by hand, for the
//! two messages that there are.
//!
//! In a dag-pb node the links (field 2) come before the data (field 1). A link has its hash (1), its name
//! (2), which is empty and still present, and its `Tsize` (3): the bytes of all blocks below it, protobuf
//! included. The data is a `UnixFS` message: type (1), for a leaf its bytes (2, left out if there are none),
//! file size (3) and, one by one, the content bytes of every link (4).

use crate::domain::digest::CidCodec;

/// The `UnixFS` type of bytes without metadata, which old encoders gave to leaves.
pub(super) const TYPE_RAW: u8 = 0;
/// The `UnixFS` type of a file or a part of one.
pub(super) const TYPE_FILE: u8 = 2;

/// Version 1, codec raw, hash sha2-256 of 32 bytes.
pub(super) const CID_V1_RAW: [u8; 4] = [0x01, 0x55, 0x12, 0x20];
/// Version 1, codec dag-pb, hash sha2-256 of 32 bytes.
pub(super) const CID_V1_DAG_PB: [u8; 4] = [0x01, 0x70, 0x12, 0x20];
/// A `CIDv0` is a bare multihash: sha2-256 of 32 bytes.
pub(super) const CID_V0: [u8; 2] = [0x12, 0x20];

/// Which form links to dag-pb blocks take; raw blocks have only the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CidVersion {
    V0,
    V1,
}

/// A block, as its parent knows it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) codec: CidCodec,
    pub(super) digest: [u8; 32],
    /// Bytes of the file below this block.
    pub(super) content_bytes: u64,
    /// Bytes of this block and all below it.
    pub(super) dag_bytes: u64,
}

/// Appends a number in base 128, low digits first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn varint_bytes(number: u64) -> u64 {
    u64::from((64 - (number | 1).leading_zeros()).div_ceil(7))
}

/// What a CID has before its digest.
pub(super) fn cid_prefix(version: CidVersion, codec: CidCodec) -> &'static [u8] {
    match (version, codec) {
        (_, CidCodec::Raw) => &CID_V1_RAW,
        (CidVersion::V1, CidCodec::DagPb) => &CID_V1_DAG_PB,
        (CidVersion::V0, CidCodec::DagPb) => &CID_V0,
    }
}

/// The inner node over these links.
pub(super) fn node(links: &[Link], version: CidVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(links.len() * 60 + 32);
    for link in links {
        let prefix = cid_prefix(version, link.codec);
        let cid_bytes = (prefix.len() + link.digest.len()) as u64;
        out.push(0x12);
        put_varint(&mut out, 1 + varint_bytes(cid_bytes) + cid_bytes + 2 + 1 + varint_bytes(link.dag_bytes));
        out.push(0x0a);
        put_varint(&mut out, cid_bytes);
        out.extend_from_slice(prefix);
        out.extend_from_slice(&link.digest);
        out.extend_from_slice(&[0x12, 0x00, 0x18]);
        put_varint(&mut out, link.dag_bytes);
    }
    let mut data = vec![0x08, TYPE_FILE, 0x18];
    put_varint(&mut data, links.iter().map(|link| link.content_bytes).sum());
    for link in links {
        data.push(0x20);
        put_varint(&mut data, link.content_bytes);
    }
    out.push(0x0a);
    put_varint(&mut out, data.len() as u64);
    out.extend_from_slice(&data);
    out
}

/// What stands before and after the bytes of a wrapped leaf.
pub(super) fn leaf_frame(kind: u8, content_bytes: u64) -> (Vec<u8>, Vec<u8>) {
    let mut suffix = vec![0x18];
    put_varint(&mut suffix, content_bytes);
    let mut inner = vec![0x08, kind];
    if content_bytes > 0 {
        inner.push(0x12);
        put_varint(&mut inner, content_bytes);
    }
    let mut prefix = vec![0x0a];
    put_varint(&mut prefix, (inner.len() + suffix.len()) as u64 + content_bytes);
    prefix.extend_from_slice(&inner);
    (prefix, suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_number_is_known_before_it_is_written() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out.len() as u64, varint_bytes(number), "{number}");
        }
    }

    #[test]
    fn an_empty_leaf_has_no_data_and_a_size() {
        let (prefix, suffix) = leaf_frame(TYPE_FILE, 0);
        assert_eq!([prefix, suffix].concat(), [0x0a, 0x04, 0x08, 0x02, 0x18, 0x00]);
    }
}
