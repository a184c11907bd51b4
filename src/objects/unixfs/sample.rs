//! Trees for tests, built apart from the builders: balanced ones, and irregular ones that no profile builds.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::encode::{self, CidVersion, Link, TYPE_FILE, TYPE_RAW};
use super::{BlockId, Leaves, car, decode};
use crate::domain::digest::CidCodec;

/// A small generator, so that every failure can be repeated.
pub(in crate::objects) struct Dice(pub(in crate::objects) u64);

impl Dice {
    /// A number below `limit`.
    pub(in crate::objects) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    pub(in crate::objects) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }
}

/// A tree with all its blocks.
pub(in crate::objects) struct Dag {
    pub(in crate::objects) root: BlockId,
    pub(in crate::objects) content: Vec<u8>,
    pub(in crate::objects) blocks: HashMap<[u8; 36], Vec<u8>>,
}

impl Dag {
    /// A tree whose leaves are all equally deep.
    pub(in crate::objects) fn balanced(
        content: &[u8],
        chunk_bytes: usize,
        width: usize,
        leaves: Leaves,
    ) -> Self {
        let mut blocks = HashMap::new();
        let mut row: Vec<Link> =
            content.chunks(chunk_bytes).map(|chunk| leaf(&mut blocks, chunk, leaves, TYPE_FILE)).collect();
        while row.len() > 1 {
            row = row.chunks(width).map(|links| inner(&mut blocks, links)).collect();
        }
        Self::under(&row[0], content, blocks)
    }

    /// A tree of pieces of any size, with leaves of every kind at every depth.
    pub(in crate::objects) fn irregular(content: &[u8], dice: &mut Dice) -> Self {
        let mut blocks = HashMap::new();
        let links = Self::split(content, dice, &mut blocks, 5);
        let root = inner(&mut blocks, &links);
        Self::under(&root, content, blocks)
    }

    fn split(
        content: &[u8],
        dice: &mut Dice,
        blocks: &mut HashMap<[u8; 36], Vec<u8>>,
        deep: usize,
    ) -> Vec<Link> {
        let mut links = Vec::new();
        let mut rest = content;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + dice.below(rest.len().min(400)));
            rest = after;
            links.push(match dice.below(6) {
                0 => leaf(blocks, piece, Leaves::DagPb, TYPE_RAW),
                1 => leaf(blocks, piece, Leaves::DagPb, TYPE_FILE),
                2 | 3 if deep > 0 => {
                    let below = Self::split(piece, dice, blocks, deep - 1);
                    inner(blocks, &below)
                }
                4 => with_data(blocks, piece),
                _ => leaf(blocks, piece, Leaves::Raw, TYPE_RAW),
            });
        }
        links
    }

    fn under(root: &Link, content: &[u8], blocks: HashMap<[u8; 36], Vec<u8>>) -> Self {
        Dag { root: BlockId { codec: root.codec, digest: root.digest }, content: content.to_vec(), blocks }
    }

    pub(in crate::objects) fn block(&self, block: BlockId) -> &[u8] {
        &self.blocks[&block.to_bytes()]
    }

    /// All blocks in depth-first order; those that came before are sent again, or not.
    pub(in crate::objects) fn car(&self, again: bool) -> Vec<u8> {
        let mut out = car::header(self.root);
        let mut seen = HashSet::new();
        let mut stack = vec![self.root];
        while let Some(block) = stack.pop() {
            if !seen.insert(block.to_bytes()) && !again {
                continue;
            }
            let bytes = self.block(block);
            out.extend(car::section(block, bytes));
            if block.codec == CidCodec::DagPb {
                let node = decode::node(block, bytes, None).expect("built right");
                stack.extend(node.children.iter().rev().map(|child| child.0));
            }
        }
        out
    }
}

fn keep(blocks: &mut HashMap<[u8; 36], Vec<u8>>, codec: CidCodec, bytes: Vec<u8>) -> [u8; 32] {
    let digest = Sha256::digest(&bytes).into();
    blocks.insert(BlockId { codec, digest }.to_bytes(), bytes);
    digest
}

fn leaf(blocks: &mut HashMap<[u8; 36], Vec<u8>>, chunk: &[u8], leaves: Leaves, kind: u8) -> Link {
    let content_bytes = chunk.len() as u64;
    let (codec, block) = match leaves {
        Leaves::Raw => (CidCodec::Raw, chunk.to_vec()),
        Leaves::DagPb => {
            let (prefix, suffix) = encode::leaf_frame(kind, content_bytes);
            (CidCodec::DagPb, [&prefix, chunk, &suffix].concat())
        }
    };
    let dag_bytes = block.len() as u64;
    Link { codec, digest: keep(blocks, codec, block), content_bytes, dag_bytes }
}

fn inner(blocks: &mut HashMap<[u8; 36], Vec<u8>>, links: &[Link]) -> Link {
    let block = encode::node(links, CidVersion::V1);
    Link {
        codec: CidCodec::DagPb,
        content_bytes: links.iter().map(|link| link.content_bytes).sum(),
        dag_bytes: block.len() as u64 + links.iter().map(|link| link.dag_bytes).sum::<u64>(),
        digest: keep(blocks, CidCodec::DagPb, block),
    }
}

/// A node with bytes of its own before one raw leaf, with a mode, and fields in an order that no encoder
/// writes.
fn with_data(blocks: &mut HashMap<[u8; 36], Vec<u8>>, piece: &[u8]) -> Link {
    let (own, rest) = piece.split_at(piece.len() / 2);
    let below = leaf(blocks, rest, Leaves::Raw, TYPE_RAW);
    let mut data = vec![0x38, 0o44, 0x12];
    encode::put_varint(&mut data, own.len() as u64);
    data.extend_from_slice(own);
    data.push(0x20);
    encode::put_varint(&mut data, below.content_bytes);
    data.extend_from_slice(&[0x08, TYPE_FILE]);
    let mut block = vec![0x0a];
    encode::put_varint(&mut block, data.len() as u64);
    block.extend_from_slice(&data);
    block.extend_from_slice(&[0x12, 38, 0x0a, 36]);
    block.extend_from_slice(&BlockId { codec: CidCodec::Raw, digest: below.digest }.to_bytes());
    Link {
        codec: CidCodec::DagPb,
        content_bytes: piece.len() as u64,
        dag_bytes: block.len() as u64 + below.dag_bytes,
        digest: keep(blocks, CidCodec::DagPb, block),
    }
}
