//! CAR streams (version 1): every block verified as it comes, and none missing at the end.
//!
//! A gateway may end a response early and still have answered 200, so a stream is complete only when every
//! block that the root leads to has come. Blocks are taken in depth-first order, which gateways send
//! (`order=dfs`), with or without repetitions of blocks that came before; so the file is written as the
//! stream is read, and nothing is kept but where in the file each block's content lies.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::decode;
use super::encode;
use super::error::{BlockId, DagError, MAX_BLOCK_BYTES};
use crate::domain::digest::CidCodec;
use crate::fs::cancel;

/// Longer headers are refused: one root takes 59 bytes.
const MAX_HEADER_BYTES: u64 = 4096;
/// The length of the longer of the two binary CIDs with sha2-256.
const MAX_CID_BYTES: u64 = 36;
/// Deeper trees are refused; 64 levels of two links hold more bytes than a `u64` can count.
pub(super) const MAX_DEPTH: usize = 64;
/// Bytes copied at once where content repeats.
const COPY_BYTES: u64 = 1024 * 1024;

/// Reads a CAR of exactly the blocks below `root` and writes the file that they are to `output`, from its
/// beginning.
///
/// Returns the length of the file in bytes. `output` must be empty; it is read where content repeats. Nothing is written
/// for a root that stands for more than `max_bytes`. On any error, what was written must be discarded.
pub fn unpack<O: Read + Write + Seek>(
    input: &mut dyn Read,
    root: BlockId,
    output: &mut O,
    max_bytes: u64,
    cancel: &CancellationToken,
) -> Result<u64, DagError> {
    let mut blocks = Blocks::open(input)?;
    if !blocks.roots.is_empty() && !blocks.roots.contains(&root) {
        return Err(DagError::NotCar("its root is another"));
    }
    let mut writer = CarWriter { output, written: 0, done: HashMap::new(), max_bytes, cancel };
    let mut steps = vec![CarStep::Expect(CarPart { block: root, content_bytes: None, depth: 0 })];
    while let Some(step) = steps.pop() {
        cancel::check(cancel)?;
        match step {
            CarStep::Complete { block, offset } => writer.complete(block, offset),
            CarStep::Expect(part) => {
                if let Some(bytes) = blocks.take(part.block)? {
                    writer.put(&part, &bytes, &mut steps)?;
                    continue;
                }
                let next = blocks.peek()?;
                if !writer.repeat(&part)? {
                    return Err(missing(part.block, next));
                }
            }
        }
    }
    if let Some(found) = blocks.peek()? {
        return Err(DagError::Unexpected { found, expected: None });
    }
    writer.output.flush()?;
    Ok(writer.written)
}

/// The error for a CAR that goes on with `next` instead of `block`.
fn missing(block: BlockId, next: Option<BlockId>) -> DagError {
    match next {
        None => DagError::Incomplete(block),
        Some(found) => DagError::Unexpected { found, expected: Some(block) },
    }
}

/// A block in its place in the tree.
struct CarPart {
    block: BlockId,
    /// Bytes of the file under it, as its parent gives them; `None` for the root.
    content_bytes: Option<u64>,
    /// Its distance from the root.
    depth: usize,
}

impl CarPart {
    /// Refuses a file that is larger than the caller allows. Only the root has no parent that gives its size.
    fn check_size(&self, bytes: u64, allowed: u64) -> Result<(), DagError> {
        if self.content_bytes.is_none() && bytes > allowed {
            return Err(DagError::LargeFile { bytes, allowed });
        }
        Ok(())
    }

    fn has_another_size(&self) -> DagError {
        DagError::Malformed { block: self.block, why: "its parent gives it another size" }
    }
}

enum CarStep {
    /// This block comes next.
    Expect(CarPart),
    /// All below this block is written, from this offset.
    Complete { block: BlockId, offset: u64 },
}

/// Writes a file and remembers which block's content lies where, for blocks that come once and count twice.
struct CarWriter<'a, O> {
    output: &'a mut O,
    written: u64,
    done: HashMap<[u8; 36], (u64, u64)>,
    max_bytes: u64,
    cancel: &'a CancellationToken,
}

impl<O: Read + Write + Seek> CarWriter<'_, O> {
    /// Writes what a block itself holds, and adds the steps for the blocks below it.
    fn put(&mut self, part: &CarPart, bytes: &[u8], steps: &mut Vec<CarStep>) -> Result<(), DagError> {
        let (block, offset) = (part.block, self.written);
        if block.codec == CidCodec::Raw {
            let found = bytes.len() as u64;
            if part.content_bytes.is_some_and(|expected| expected != found) {
                return Err(part.has_another_size());
            }
            part.check_size(found, self.max_bytes)?;
            self.write(bytes)?;
            self.complete(block, offset);
            return Ok(());
        }
        if part.depth == MAX_DEPTH {
            return Err(DagError::Malformed { block, why: "it lies too deep" });
        }
        let node = decode::node(block, bytes, part.content_bytes)?;
        part.check_size(node.content_bytes, self.max_bytes)?;
        self.write(node.data)?;
        steps.push(CarStep::Complete { block, offset });
        let depth = part.depth + 1;
        steps.extend(node.children.iter().rev().map(|&(block, content_bytes)| {
            CarStep::Expect(CarPart { block, content_bytes: Some(content_bytes), depth })
        }));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DagError> {
        self.output.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn complete(&mut self, block: BlockId, offset: u64) {
        self.done.entry(block.to_bytes()).or_insert((offset, self.written - offset));
    }

    /// Writes the content of a block that was written before; `false` if it was not.
    fn repeat(&mut self, part: &CarPart) -> Result<bool, DagError> {
        let Some(&(mut from, length)) = self.done.get(&part.block.to_bytes()) else { return Ok(false) };
        if part.content_bytes != Some(length) {
            return Err(part.has_another_size());
        }
        let mut left = length;
        let mut buffer = Vec::new();
        while left > 0 {
            cancel::check(self.cancel)?;
            let piece = left.min(COPY_BYTES);
            buffer.resize(usize::try_from(piece).expect("at most COPY_BYTES"), 0);
            self.output.seek(SeekFrom::Start(from))?;
            self.output.read_exact(&mut buffer)?;
            self.output.seek(SeekFrom::Start(self.written))?;
            self.write(&buffer)?;
            from += piece;
            left -= piece;
        }
        Ok(true)
    }
}

/// The blocks of a CAR in their order, each with its hash checked.
pub(super) struct Blocks<'a> {
    input: &'a mut dyn Read,
    next: Option<(BlockId, Vec<u8>)>,
    /// The roots that the header names. They prove nothing.
    pub(super) roots: Vec<BlockId>,
}

impl<'a> Blocks<'a> {
    /// Reads the header.
    pub(super) fn open(input: &'a mut dyn Read) -> Result<Self, DagError> {
        let length = read_varint(input)?.ok_or(DagError::NotCar("it is empty"))?;
        if length > MAX_HEADER_BYTES {
            return Err(DagError::NotCar("its header is too long"));
        }
        let header = read_bytes(input, length)?;
        let roots = parse_header(&header).map_err(DagError::NotCar)?;
        Ok(Blocks { input, next: None, roots })
    }

    /// Which block comes next; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<BlockId>, DagError> {
        if self.next.is_none() {
            self.next = read_block(self.input)?;
        }
        Ok(self.next.as_ref().map(|next| next.0))
    }

    /// The next block.
    pub(super) fn next(&mut self) -> Result<Option<(BlockId, Vec<u8>)>, DagError> {
        self.peek()?;
        Ok(self.next.take())
    }

    /// The next block, if it is this one.
    fn take(&mut self, block: BlockId) -> Result<Option<Vec<u8>>, DagError> {
        if self.peek()? != Some(block) {
            return Ok(None);
        }
        Ok(self.next.take().map(|next| next.1))
    }
}

fn read_block(input: &mut dyn Read) -> Result<Option<(BlockId, Vec<u8>)>, DagError> {
    let Some(length) = read_varint(input)? else { return Ok(None) };
    if length > MAX_CID_BYTES + MAX_BLOCK_BYTES as u64 {
        return Err(DagError::NotCar("one of its blocks is too long"));
    }
    let mut bytes = read_bytes(input, length)?;
    let Some((block, rest)) = BlockId::split_from(&bytes) else {
        return Err(DagError::NotCar("it has a block that is neither raw nor dag-pb with sha2-256"));
    };
    let cid_bytes = bytes.len() - rest.len();
    if rest.len() > MAX_BLOCK_BYTES {
        return Err(DagError::LargeBlock(block));
    }
    if Sha256::digest(rest)[..] != block.digest {
        return Err(DagError::WrongHash(block));
    }
    bytes.drain(..cid_bytes);
    Ok(Some((block, bytes)))
}

/// A number in base 128, or `None` if nothing follows.
fn read_varint(input: &mut dyn Read) -> Result<Option<u64>, DagError> {
    let mut bytes = Vec::with_capacity(10);
    loop {
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(DagError::NotCar("it ends within a length")),
            Ok(_) => bytes.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if byte[0] & 0x80 == 0 || bytes.len() == 10 {
            break;
        }
    }
    decode::take_varint(&mut &bytes[..]).map(Some).map_err(DagError::NotCar)
}

/// Exactly `length` bytes. Memory grows with the bytes that arrive, not with the length that is announced.
fn read_bytes(input: &mut dyn Read, length: u64) -> Result<Vec<u8>, DagError> {
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(DagError::NotCar("it ends within a block")) }
}

/// The header of a CAR with one root: the DAG-CBOR map `{roots: [root], version: 1}`, after its length.
pub(super) fn header(root: BlockId) -> Vec<u8> {
    let mut map = HEADER_ROOTS.to_vec();
    map.push(0x81);
    map.extend_from_slice(&CBOR_CID);
    map.push(0x25);
    map.push(0x00);
    map.extend_from_slice(&root.to_bytes());
    map.extend_from_slice(HEADER_VERSION);
    let mut out = Vec::new();
    encode::put_varint(&mut out, map.len() as u64);
    out.extend_from_slice(&map);
    out
}

/// A block as it stands in a CAR.
pub(super) fn section(block: BlockId, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 40);
    encode::put_varint(&mut out, MAX_CID_BYTES + bytes.len() as u64);
    out.extend_from_slice(&block.to_bytes());
    out.extend_from_slice(bytes);
    out
}

/// A map of two, and its first key.
const HEADER_ROOTS: &[u8] = b"\xa2\x65roots";
/// The second key with its value.
const HEADER_VERSION: &[u8] = b"\x67version\x01";
/// Tag 42 on a byte string whose length is one byte.
const CBOR_CID: [u8; 3] = [0xd8, 0x2a, 0x58];

fn parse_header(bytes: &[u8]) -> Result<Vec<BlockId>, &'static str> {
    const WRONG: &str = "its header is not that of version 1";
    let mut rest = bytes.strip_prefix(HEADER_ROOTS).ok_or(WRONG)?;
    let (&count, after) = rest.split_first().ok_or(WRONG)?;
    rest = after;
    // Arrays of up to 23 items say their length in the first byte.
    if !(0x80..=0x97).contains(&count) {
        return Err(WRONG);
    }
    let mut roots = Vec::new();
    for _ in 0x80..count {
        let (&length, cid) = rest.strip_prefix(&CBOR_CID).and_then(<[u8]>::split_first).ok_or(WRONG)?;
        let (cid, after) = cid.split_at_checked(usize::from(length)).ok_or(WRONG)?;
        rest = after;
        // A CID in CBOR has a byte 0 before it. Roots of other kinds are ignored.
        if let Some((block, [])) = cid.strip_prefix(&[0]).and_then(BlockId::split_from) {
            roots.push(block);
        }
    }
    if rest == HEADER_VERSION { Ok(roots) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests;
