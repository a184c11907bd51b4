//! Proofs: the inner blocks of a file's tree, which tie the file to its CID however the tree was built.
//!
//! Inner blocks say which bytes of the file each block below them holds, and its hash. So no leaf needs to be
//! fetched: it is hashed from the file, bare or wrapped as encoders wrap leaves. The blocks that were fetched
//! are the proof. It is small (about 50 bytes per chunk), and with it the file can be checked again without a
//! network.
//!
//! A proof is kept as a CAR of version 1 that has the inner blocks only. It is not trusted when it is read
//! back: all it says follows from hashes, beginning with the CID that the caller knows.
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::car::{self, Blocks, MAX_DEPTH};
use super::decode;
use super::encode::{self, TYPE_FILE, TYPE_RAW};
use super::error::{BlockId, DagError, MAX_BLOCK_BYTES};
use crate::domain::digest::CidCodec;
use crate::fs::cancel;
use crate::fs::open::{self, Links};

/// Larger proofs are neither made nor read, since a proof is in memory as a whole: this is enough for 256 GiB in the
/// smallest usual chunks.
pub const MAX_PROOF_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a file hashed at once.
const READ_BYTES: usize = 1024 * 1024;

/// The inner blocks of a tree, in the order in which the tree needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    order: Vec<[u8; 32]>,
    blocks: HashMap<[u8; 32], Vec<u8>>,
    bytes: usize,
}

/// Checks a file against the dag-pb block `root` and all below it; `fetch` gets the inner blocks from
/// anywhere, in `?format=raw`, and need not check them.
///
/// The file is read once, and each block is fetched once. Gives the proof with which [`Proof::check`] needs
/// no network.
pub fn prove(
    path: &Path,
    root: &[u8; 32],
    fetch: &mut dyn FnMut(BlockId) -> io::Result<Vec<u8>>,
    cancel: &CancellationToken,
) -> Result<Proof, DagError> {
    let mut proof = Proof::default();
    verify_file(path, root, &mut FetchedBlock { proof: &mut proof, fetch }, cancel)?;
    Ok(proof)
}

impl Proof {
    /// Checks a file against the dag-pb block `root` with the blocks of this proof alone.
    pub fn check(&self, path: &Path, root: &[u8; 32], cancel: &CancellationToken) -> Result<(), DagError> {
        verify_file(path, root, &mut Kept(self), cancel)
    }

    /// A block that it has.
    pub fn block(&self, block: BlockId) -> Option<&[u8]> {
        self.blocks.get(&block.digest).map(Vec::as_slice)
    }

    /// How many blocks it has; none, where the file's only block is a wrapped leaf.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it has no blocks.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Writes the proof as a CAR whose root is `root`.
    pub fn write_to(&self, root: &[u8; 32], output: &mut dyn Write) -> io::Result<()> {
        output.write_all(&car::header(BlockId { codec: CidCodec::DagPb, digest: *root }))?;
        for digest in &self.order {
            let block = BlockId { codec: CidCodec::DagPb, digest: *digest };
            output.write_all(&car::section(block, &self.blocks[digest]))?;
        }
        Ok(())
    }

    /// Reads a proof that [`write_to`](Self::write_to) wrote, or any CAR of the inner blocks of a tree.
    pub fn read_from(input: &mut dyn Read) -> Result<Self, DagError> {
        let mut proof = Proof::default();
        let mut blocks = Blocks::open(input)?;
        while let Some((block, bytes)) = blocks.next()? {
            if block.codec == CidCodec::DagPb {
                proof.insert(block, bytes)?;
            }
        }
        Ok(proof)
    }

    /// Reads the inner blocks of any CAR of a tree: those that lead to others. Its leaves are passed over, so that
    /// the proof stays small whatever the file's size.
    pub fn read_inner(input: &mut dyn Read) -> Result<Self, DagError> {
        let mut proof = Proof::default();
        let mut blocks = Blocks::open(input)?;
        while let Some((block, bytes)) = blocks.next()? {
            let is_inner = block.codec == CidCodec::DagPb
                && decode::node(block, &bytes, None).is_ok_and(|node| !node.children.is_empty());
            if is_inner {
                proof.insert(block, bytes)?;
            }
        }
        Ok(proof)
    }

    fn insert(&mut self, block: BlockId, bytes: Vec<u8>) -> Result<(), DagError> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(DagError::LargeBlock(block));
        }
        if !block.names(&bytes) {
            return Err(DagError::WrongHash(block));
        }
        self.bytes += bytes.len();
        if self.bytes > MAX_PROOF_BYTES {
            return Err(DagError::LargeProof(MAX_PROOF_BYTES));
        }
        if self.blocks.insert(block.digest, bytes).is_none() {
            self.order.push(block.digest);
        }
        Ok(())
    }
}

/// Where the blocks of a tree come from.
trait BlockSource {
    /// Whether the source has the block.
    fn has(&self, block: BlockId) -> bool;
    /// The block, its hash checked.
    fn get(&mut self, block: BlockId) -> Result<&[u8], DagError>;
}

struct Kept<'a>(&'a Proof);

impl BlockSource for Kept<'_> {
    fn has(&self, block: BlockId) -> bool {
        self.0.blocks.contains_key(&block.digest)
    }

    fn get(&mut self, block: BlockId) -> Result<&[u8], DagError> {
        self.0.blocks.get(&block.digest).map(Vec::as_slice).ok_or(DagError::Missing(block))
    }
}

struct FetchedBlock<'a> {
    proof: &'a mut Proof,
    fetch: &'a mut dyn FnMut(BlockId) -> io::Result<Vec<u8>>,
}

impl BlockSource for FetchedBlock<'_> {
    fn has(&self, block: BlockId) -> bool {
        self.proof.blocks.contains_key(&block.digest)
    }

    fn get(&mut self, block: BlockId) -> Result<&[u8], DagError> {
        if !self.has(block) {
            let bytes = (self.fetch)(block).map_err(|source| DagError::Fetch { block, source })?;
            self.proof.insert(block, bytes)?;
        }
        Ok(&self.proof.blocks[&block.digest])
    }
}

fn verify_file(
    path: &Path,
    root: &[u8; 32],
    source: &mut dyn BlockSource,
    cancel: &CancellationToken,
) -> Result<(), DagError> {
    let mut file = open::file(path, Links::Refused)?;
    let length = file.metadata()?.len();
    verify(&mut ProvenContent { file: &mut file, buffer: Vec::new(), cancel }, length, root, source)
}

/// A block and the part of the file that it stands for.
struct ProofPart {
    block: BlockId,
    offset: u64,
    bytes: u64,
    depth: usize,
}

/// Walks the tree from the root, depth first, so that the file is read from front to back.
fn verify<F: Read + Seek>(
    content: &mut ProvenContent<'_, F>,
    length: u64,
    root: &[u8; 32],
    source: &mut dyn BlockSource,
) -> Result<(), DagError> {
    let root = BlockId { codec: CidCodec::DagPb, digest: *root };
    let mut parts = vec![ProofPart { block: root, offset: 0, bytes: length, depth: 0 }];
    while let Some(part @ ProofPart { block, offset, bytes, depth }) = parts.pop() {
        let differs = DagError::Differs { offset, bytes };
        if block.codec == CidCodec::Raw {
            let digest = content.hash(offset, bytes, Sha256::new())?;
            if digest != block.digest {
                return Err(differs);
            }
            continue;
        }
        if !source.has(block) && content.is_wrapped_leaf(&part)? {
            continue;
        }
        if depth == MAX_DEPTH {
            return Err(DagError::Malformed { block, why: "it lies too deep" });
        }
        let is_root = depth == 0;
        let node = decode::node(block, source.get(block)?, (!is_root).then_some(bytes))?;
        if node.content_bytes != bytes {
            return Err(DagError::Length { expected: node.content_bytes, found: bytes });
        }
        if !content.equals(offset, node.data)? {
            return Err(differs);
        }
        let mut end = offset + bytes;
        // The last part goes down first, and lies at the bottom of the stack.
        for &(block, bytes) in node.children.iter().rev() {
            end -= bytes;
            parts.push(ProofPart { block, offset: end, bytes, depth: depth + 1 });
        }
    }
    Ok(())
}

/// The file that is checked.
struct ProvenContent<'a, F> {
    file: &'a mut F,
    buffer: Vec<u8>,
    cancel: &'a CancellationToken,
}

impl<F: Read + Seek> ProvenContent<'_, F> {
    /// Reads this many bytes into the buffer.
    fn read(&mut self, bytes: usize) -> Result<(), DagError> {
        cancel::check(self.cancel)?;
        self.buffer.resize(bytes, 0);
        Ok(self.file.read_exact(&mut self.buffer)?)
    }

    fn hash(&mut self, offset: u64, bytes: u64, mut hasher: Sha256) -> Result<[u8; 32], DagError> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut left = bytes;
        while left > 0 {
            let piece = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            self.read(piece)?;
            hasher.update(&self.buffer);
            left -= piece as u64;
        }
        Ok(hasher.finalize().into())
    }

    fn equals(&mut self, offset: u64, data: &[u8]) -> Result<bool, DagError> {
        if data.is_empty() {
            return Ok(true);
        }
        self.file.seek(SeekFrom::Start(offset))?;
        self.read(data.len())?;
        Ok(self.buffer == data)
    }

    /// Whether this part of the file, wrapped as encoders wrap leaves, is the block.
    fn is_wrapped_leaf(&mut self, part: &ProofPart) -> Result<bool, DagError> {
        if part.bytes > MAX_BLOCK_BYTES as u64 {
            return Ok(false);
        }
        self.file.seek(SeekFrom::Start(part.offset))?;
        self.read(usize::try_from(part.bytes).expect("no more than a block"))?;
        let wrapped_as = |kind: u8| {
            let (prefix, suffix) = encode::leaf_frame(kind, part.bytes);
            let hasher = Sha256::new().chain_update(prefix).chain_update(&self.buffer).chain_update(suffix);
            hasher.finalize()[..] == part.block.digest
        };
        Ok(wrapped_as(TYPE_FILE) || wrapped_as(TYPE_RAW))
    }
}

#[cfg(test)]
mod tests;
