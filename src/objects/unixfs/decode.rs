//! Reading dag-pb blocks of files, strictly: what is not understood in full is refused.

use super::encode::{TYPE_FILE, TYPE_RAW};
use super::error::{BlockId, DagError};

/// A block of codec dag-pb that is a file or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node<'a> {
    /// Bytes of the file that the block itself holds; they come before those of its children.
    pub(super) data: &'a [u8],
    /// The blocks below, in order, each with the bytes of the file that it holds (never 0).
    pub(super) children: Vec<(BlockId, u64)>,
    /// Bytes of the file at and below this block.
    pub(super) content_bytes: u64,
}

/// Reads a block whose hash was checked, and that its parent says to hold `content_bytes`.
pub(super) fn node(block: BlockId, bytes: &[u8], content_bytes: Option<u64>) -> Result<Node<'_>, DagError> {
    let node = parse(bytes).map_err(|why| DagError::Malformed { block, why })?;
    if content_bytes.is_some_and(|expected| expected != node.content_bytes) {
        return Err(DagError::Malformed { block, why: "its parent gives it another size" });
    }
    Ok(node)
}

fn parse(bytes: &[u8]) -> Result<Node<'_>, &'static str> {
    let mut links = Vec::new();
    let mut unixfs = None;
    for field in WireFields(bytes) {
        match field? {
            (1, Value::Bytes(data)) if unixfs.is_none() => unixfs = Some(data),
            (2, Value::Bytes(link)) => links.push(parse_link(link)?),
            _ => return Err("unknown or repeated field in its node"),
        }
    }
    let unixfs = parse_unixfs(unixfs.ok_or("no UnixFS data")?)?;
    if unixfs.kind == u64::from(TYPE_RAW) && !links.is_empty() {
        return Err("links below raw data");
    }
    if links.len() != unixfs.block_sizes.len() {
        return Err("another number of links than of sizes");
    }
    if unixfs.block_sizes.contains(&0) {
        return Err("a link to nothing");
    }
    let below = unixfs.block_sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
    let content_bytes =
        below.and_then(|sum| sum.checked_add(unixfs.data.len() as u64)).ok_or("its sizes are absurd")?;
    if unixfs.file_size.is_some_and(|size| size != content_bytes) {
        return Err("its parts do not add up to its size");
    }
    let children = links.into_iter().zip(unixfs.block_sizes).collect();
    Ok(Node { data: unixfs.data, children, content_bytes })
}

fn parse_link(bytes: &[u8]) -> Result<BlockId, &'static str> {
    let mut id = None;
    let mut last = 0;
    for field in WireFields(bytes) {
        let (number, value) = field?;
        if number <= last {
            return Err("fields of a link repeated or out of order");
        }
        last = number;
        match (number, value) {
            (1, Value::Bytes(cid)) => match BlockId::split_from(cid) {
                Some((block, [])) => id = Some(block),
                _ => return Err("a link that is neither raw nor dag-pb with sha2-256"),
            },
            // The name and the size of the tree below say nothing about the content.
            (2, Value::Bytes(_)) | (3, Value::Number(_)) => {}
            _ => return Err("unknown field in a link"),
        }
    }
    id.ok_or("a link without a hash")
}

struct Unixfs<'a> {
    kind: u64,
    data: &'a [u8],
    file_size: Option<u64>,
    block_sizes: Vec<u64>,
}

fn parse_unixfs(bytes: &[u8]) -> Result<Unixfs<'_>, &'static str> {
    let (mut kind, mut data, mut file_size, mut block_sizes) = (None, None, None, Vec::new());
    for field in WireFields(bytes) {
        match field? {
            (1, Value::Number(number)) if kind.is_none() => kind = Some(number),
            (2, Value::Bytes(bytes)) if data.is_none() => data = Some(bytes),
            (3, Value::Number(number)) if file_size.is_none() => file_size = Some(number),
            (4, Value::Number(number)) => block_sizes.push(number),
            (4, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    block_sizes.push(take_varint(&mut packed)?);
                }
            }
            // Mode and time of modification: metadata, not content.
            (7, Value::Number(_)) | (8, Value::Bytes(_)) => {}
            _ => return Err("unknown or repeated field in its UnixFS data"),
        }
    }
    let kind = kind.ok_or("no UnixFS type")?;
    if kind != u64::from(TYPE_FILE) && kind != u64::from(TYPE_RAW) {
        return Err("a directory, a link or something else that is not a file");
    }
    Ok(Unixfs { kind, data: data.unwrap_or_default(), file_size, block_sizes })
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message; after an error there are no more.
struct WireFields<'a>(&'a [u8]);

impl<'a> Iterator for WireFields<'a> {
    type Item = Result<(u64, Value<'a>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = take_field(&mut self.0);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn take_field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Value<'a>), &'static str> {
    let tag = take_varint(bytes)?;
    let value = match tag & 7 {
        0 => Value::Number(take_varint(bytes)?),
        2 => {
            let length = usize::try_from(take_varint(bytes)?).map_err(|_| "a field longer than the block")?;
            let (value, rest) = bytes.split_at_checked(length).ok_or("a field longer than the block")?;
            *bytes = rest;
            Value::Bytes(value)
        }
        _ => return Err("a field of a kind that is not used"),
    };
    Ok((tag >> 3, value))
}

/// Takes a number in base 128 off the front: at most 64 bits, in the shortest form.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("ends within a number")?;
        *bytes = rest;
        let digits = u64::from(byte & 0x7f);
        if (digits << shift) >> shift != digits {
            return Err("a number of more than 64 bits");
        }
        number |= digits << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 { Err("a number longer than it must be") } else { Ok(number) };
        }
    }
    Err("a number of more than 64 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::digest::CidCodec;
    use crate::objects::unixfs::encode::{self, CidVersion, Link};

    fn links(sizes: &[u64]) -> Vec<Link> {
        let link = |(index, size): (u8, &u64)| Link {
            codec: if index % 2 == 0 { CidCodec::Raw } else { CidCodec::DagPb },
            digest: [index; 32],
            content_bytes: *size,
            dag_bytes: size + 14,
        };
        (0..).zip(sizes).map(link).collect()
    }

    #[test]
    fn what_was_encoded_is_read() {
        for version in [CidVersion::V0, CidVersion::V1] {
            let bytes = encode::node(&links(&[300, 1, u64::from(u32::MAX)]), version);
            let node = parse(&bytes).expect("well-formed");
            assert_eq!(node.content_bytes, 301 + u64::from(u32::MAX));
            assert_eq!(node.children.len(), 3);
            assert_eq!(node.children[1], (BlockId { codec: CidCodec::DagPb, digest: [1; 32] }, 1));
        }
        let (prefix, suffix) = encode::leaf_frame(TYPE_FILE, 3);
        let block = [&prefix[..], b"abc", &suffix].concat();
        assert_eq!(parse(&block), Ok(Node { data: b"abc", children: Vec::new(), content_bytes: 3 }));
    }

    #[test]
    fn what_is_not_understood_in_full_is_refused() {
        let short = |inner: &[u8]| u8::try_from(inner.len()).unwrap();
        let leaf = |inner: &[u8]| [&[0x0a, short(inner)], inner].concat();
        let link = |inner: &[u8]| [&[0x12, short(inner)], inner, &[0x0a, 4, 8, 2, 0x20, 1]].concat();
        let cid = [&[0x0a, 36][..], &encode::CID_V1_RAW, &[7; 32]].concat();
        assert!(parse(&link(&cid)).is_ok());
        for (bytes, why) in [
            (vec![], "no UnixFS data"),
            (leaf(&[]), "no UnixFS type"),
            (leaf(&[8, 1]), "a directory, a link or something else that is not a file"),
            (leaf(&[8, 5]), "a directory, a link or something else that is not a file"),
            (leaf(&[8, 2, 8, 2]), "unknown or repeated field in its UnixFS data"),
            (leaf(&[8, 2, 0x28, 0]), "unknown or repeated field in its UnixFS data"),
            (leaf(&[8, 2, 0x18, 1]), "its parts do not add up to its size"),
            (leaf(&[8, 2, 0x20, 1]), "another number of links than of sizes"),
            (leaf(&[8, 0x82, 0]), "a number longer than it must be"),
            (leaf(&[8, 0x82]), "ends within a number"),
            (leaf(&[0x12, 9, 1]), "a field longer than the block"),
            (leaf(&[9, 9, 1]), "a field of a kind that is not used"),
            ([&leaf(&[8, 2])[..], &leaf(&[8, 2])].concat(), "unknown or repeated field in its node"),
            ([&leaf(&[8, 2])[..], &[0]].concat(), "ends within a number"),
            (link(&[0x12, 0]), "a link without a hash"),
            (link(&[&[0x12, 0], &cid[..]].concat()), "fields of a link repeated or out of order"),
            (link(&[&cid[..], &[0x20, 0]].concat()), "unknown field in a link"),
            (link(&cid[..37]), "a field longer than the block"),
            (
                link(&[&[0x0a, 36, 1, 0x71, 0x12, 0x20][..], &[7; 32]].concat()),
                "a link that is neither raw nor dag-pb with sha2-256",
            ),
        ] {
            assert_eq!(parse(&bytes), Err(why), "{bytes:02x?}");
        }
        let mut nothing_below = link(&cid);
        *nothing_below.last_mut().unwrap() = 0;
        assert_eq!(parse(&nothing_below), Err("a link to nothing"));
        let mut number: &[u8] = &[0xff; 10];
        assert_eq!(take_varint(&mut number), Err("a number of more than 64 bits"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn sizes_always_add_up(
            sizes in prop::collection::vec(1..1_u64 << 62, 1..6),
            flip in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let small: Vec<u64> = sizes.iter().map(|size| (size / 8).max(1)).collect();
            let mut bytes = encode::node(&links(&small), CidVersion::V1);
            let at = flip.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(node) = parse(&bytes) {
                let below: u64 = node.children.iter().map(|child| child.1).sum();
                prop_assert_eq!(below + node.data.len() as u64, node.content_bytes);
            }
        }
    }
}
