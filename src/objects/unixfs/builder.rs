//! Builders: from a stream of bytes to the root of its tree, with no more memory than a chunk and one row of
//! links per level.

use sha2::{Digest as _, Sha256};

use super::encode::{self, CidVersion, Link, TYPE_FILE};
use super::profile::{Layout, Leaves, Profile};
use crate::domain::digest::CidCodec;

/// The root of a file's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// What the root block is: dag-pb, or raw where a single raw chunk is the whole tree.
    pub codec: CidCodec,
    /// SHA-256 of the root block.
    pub digest: [u8; 32],
    /// Bytes of the file.
    pub bytes: u64,
}

impl Root {
    /// Whether a CID of this codec and digest names this root.
    pub fn names(&self, codec: CidCodec, digest: &[u8; 32]) -> bool {
        self.codec == codec && self.digest == *digest
    }
}

/// Computes the root of one layout from bytes as they come, in pieces of any size.
#[derive(Debug, Clone)]
pub struct Builder(Pass);

impl Builder {
    /// A builder with nothing pushed.
    pub fn new(layout: Layout) -> Self {
        Builder(Pass::new(layout, [layout.links()]))
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    /// The root of the tree over all bytes pushed.
    pub fn finish(self) -> Root {
        self.0.finish().pop().expect("one tree was asked for")
    }
}

/// Computes the roots of several profiles at once; those with the same chunks and leaves share their hashing.
#[derive(Debug, Clone)]
pub struct DagCandidates {
    passes: Vec<(Vec<Profile>, Pass)>,
}

impl DagCandidates {
    /// Builders of these profiles with nothing pushed.
    pub fn new(profiles: &[Profile]) -> Self {
        let mut groups: Vec<Vec<Profile>> = Vec::new();
        for &profile in profiles {
            let layout = profile.layout();
            let alike = |group: &&mut Vec<Profile>| {
                let other = group[0].layout();
                (other.chunk_bytes(), other.leaves()) == (layout.chunk_bytes(), layout.leaves())
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(profile),
                None => groups.push(vec![profile]),
            }
        }
        let pass = |group: Vec<Profile>| {
            let pass = Pass::new(group[0].layout(), group.iter().map(|profile| profile.layout().links()));
            (group, pass)
        };
        DagCandidates { passes: groups.into_iter().map(pass).collect() }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        for (_, pass) in &mut self.passes {
            pass.push(bytes);
        }
    }

    /// The roots, each with its profile.
    pub fn finish(self) -> Vec<(Profile, Root)> {
        self.passes.into_iter().flat_map(|(profiles, pass)| profiles.into_iter().zip(pass.finish())).collect()
    }
}

/// One hashing of all chunks, and the trees that grow from it.
#[derive(Debug, Clone)]
struct Pass {
    chunker: Chunker,
    trees: Vec<DagTree>,
}

impl Pass {
    fn new(layout: Layout, widths: impl IntoIterator<Item = usize>) -> Self {
        let (chunker, version) = match layout.leaves() {
            Leaves::Raw => (Chunker::raw(layout.chunk_bytes()), CidVersion::V1),
            Leaves::DagPb => (Chunker::wrapped(layout.chunk_bytes()), CidVersion::V0),
        };
        let trees = widths.into_iter().map(|width| DagTree { width, version, rows: Vec::new() }).collect();
        Pass { chunker, trees }
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (leaf, rest) = self.chunker.push(bytes);
            bytes = rest;
            self.grow(leaf);
        }
    }

    fn grow(&mut self, leaf: Option<Link>) {
        if let Some(leaf) = leaf {
            for tree in &mut self.trees {
                tree.push(0, leaf.clone());
            }
        }
    }

    fn finish(mut self) -> Vec<Root> {
        let last = self.chunker.finish();
        self.grow(last);
        let root = |tree: DagTree| {
            let link = tree.finish();
            Root { codec: link.codec, digest: link.digest, bytes: link.content_bytes }
        };
        self.trees.into_iter().map(root).collect()
    }
}

/// Cuts bytes into chunks and hashes each as a leaf.
#[derive(Debug, Clone)]
struct Chunker {
    chunk_bytes: usize,
    form: Form,
    /// Bytes of the chunk that is being taken in.
    filled: usize,
    /// Whether a leaf was made, so that only an empty file gets an empty leaf.
    any: bool,
}

#[derive(Debug, Clone)]
enum Form {
    /// Hashed as it comes.
    Raw(Sha256),
    /// Kept until it is whole: a wrapped leaf begins with its length, which the last one does not know
    /// before.
    Wrapped(Vec<u8>),
}

impl Chunker {
    fn raw(chunk_bytes: usize) -> Self {
        Chunker { chunk_bytes, form: Form::Raw(Sha256::new()), filled: 0, any: false }
    }

    fn wrapped(chunk_bytes: usize) -> Self {
        Chunker { chunk_bytes, form: Form::Wrapped(Vec::new()), filled: 0, any: false }
    }

    /// Takes what the current chunk still needs; gives its leaf once it is whole, and what was not taken.
    fn push<'a>(&mut self, bytes: &'a [u8]) -> (Option<Link>, &'a [u8]) {
        let (taken, rest) = bytes.split_at(bytes.len().min(self.chunk_bytes - self.filled));
        if let (Form::Wrapped(_), true) = (&self.form, taken.len() == self.chunk_bytes) {
            self.any = true;
            return (Some(wrapped_leaf(taken)), rest);
        }
        match &mut self.form {
            Form::Raw(hasher) => hasher.update(taken),
            Form::Wrapped(buffer) => buffer.extend_from_slice(taken),
        }
        self.filled += taken.len();
        ((self.filled == self.chunk_bytes).then(|| self.leaf()), rest)
    }

    /// The leaf of the last chunk, if it is short, or that of an empty file.
    fn finish(&mut self) -> Option<Link> {
        (self.filled > 0 || !self.any).then(|| self.leaf())
    }

    fn leaf(&mut self) -> Link {
        let bytes = self.filled as u64;
        self.filled = 0;
        self.any = true;
        match &mut self.form {
            Form::Raw(hasher) => Link {
                codec: CidCodec::Raw,
                digest: hasher.finalize_reset().into(),
                content_bytes: bytes,
                dag_bytes: bytes,
            },
            Form::Wrapped(buffer) => {
                let leaf = wrapped_leaf(buffer);
                buffer.clear();
                leaf
            }
        }
    }
}

fn wrapped_leaf(chunk: &[u8]) -> Link {
    let content_bytes = chunk.len() as u64;
    let (prefix, suffix) = encode::leaf_frame(TYPE_FILE, content_bytes);
    let digest =
        Sha256::new().chain_update(&prefix).chain_update(chunk).chain_update(&suffix).finalize().into();
    let dag_bytes = content_bytes + (prefix.len() + suffix.len()) as u64;
    Link { codec: CidCodec::DagPb, digest, content_bytes, dag_bytes }
}

/// A balanced tree that grows from its leaves; full rows become nodes of the row above.
#[derive(Debug, Clone)]
struct DagTree {
    width: usize,
    version: CidVersion,
    rows: Vec<Vec<Link>>,
}

impl DagTree {
    fn push(&mut self, level: usize, link: Link) {
        if self.rows.len() == level {
            self.rows.push(Vec::new());
        }
        self.rows[level].push(link);
        if self.rows[level].len() == self.width {
            self.close_row(level);
        }
    }

    fn close_row(&mut self, level: usize) {
        let links = std::mem::take(&mut self.rows[level]);
        let node = encode::node(&links, self.version);
        let link = Link {
            codec: CidCodec::DagPb,
            digest: Sha256::digest(&node).into(),
            content_bytes: links.iter().map(|link| link.content_bytes).sum(),
            dag_bytes: node.len() as u64 + links.iter().map(|link| link.dag_bytes).sum::<u64>(),
        };
        self.push(level + 1, link);
    }

    /// All leaves are equally far from the root: what is left in a row becomes a node, even if it is one
    /// link, unless it is the whole tree.
    fn finish(mut self) -> Link {
        let mut level = 0;
        loop {
            let top = level + 1 == self.rows.len();
            match self.rows[level].len() {
                1 if top => return self.rows[level].pop().expect("it has one link"),
                0 => {}
                _ => self.close_row(level),
            }
            level += 1;
        }
    }
}
