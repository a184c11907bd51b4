//! Profiles: the ways of building a file's tree that are in use, by the names that their users give them.

use std::fmt;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What stands at the ends of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leaves {
    /// The chunks themselves; links are `CIDv1`.
    Raw,
    /// Chunks wrapped in dag-pb blocks of `UnixFS` type file; links are `CIDv0`.
    DagPb,
}

/// How a file becomes a balanced tree of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    chunk_bytes: usize,
    links: usize,
    leaves: Leaves,
}

impl Layout {
    /// A layout with chunks of `chunk_bytes` and at most `links` links per inner node.
    ///
    /// # Panics
    /// If a chunk would have no bytes, or a node fewer than two links: such trees never end.
    pub const fn new(chunk_bytes: usize, links: usize, leaves: Leaves) -> Self {
        assert!(chunk_bytes > 0 && links > 1, "a tree needs chunks with bytes and nodes with two links");
        Layout { chunk_bytes, links, leaves }
    }

    /// Bytes in every chunk but the last.
    pub fn chunk_bytes(self) -> usize {
        self.chunk_bytes
    }

    /// The most links of an inner node.
    pub fn links(self) -> usize {
        self.links
    }

    /// What the ends of the tree are.
    pub fn leaves(self) -> Leaves {
        self.leaves
    }

    /// Whether a file of this length in bytes has a root of codec dag-pb; otherwise it is one raw chunk.
    pub fn has_dag_pb_root(self, bytes: u64) -> bool {
        self.leaves == Leaves::DagPb || bytes > self.chunk_bytes as u64
    }
}

/// A layout that people use, likeliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// 1 MiB chunks, 1024 links, raw leaves: `ipfs-car` from 1.0, Helia, w3up, Kubo from 0.40 when asked for
    /// it.
    UnixfsV1_2025,
    /// 1 MiB chunks, 174 links, raw leaves: Kubo's `test-cid-v1`. Equal to the above up to 174 MiB.
    TestCidV1,
    /// 256 KiB chunks, 174 links, raw leaves: `ipfs add --cid-version=1` up to Kubo 0.39.
    KuboCidV1,
    /// 256 KiB chunks, 174 links, wrapped leaves: `ipfs add` without options, `Qm…`.
    UnixfsV0_2015,
}

const PROFILES: &[(Profile, &str, Layout)] = &[
    (Profile::UnixfsV1_2025, "unixfs-v1-2025", Layout::new(MIB, 1024, Leaves::Raw)),
    (Profile::TestCidV1, "test-cid-v1", Layout::new(MIB, 174, Leaves::Raw)),
    (Profile::KuboCidV1, "kubo-cid-v1", Layout::new(256 * KIB, 174, Leaves::Raw)),
    (Profile::UnixfsV0_2015, "unixfs-v0-2015", Layout::new(256 * KIB, 174, Leaves::DagPb)),
];

impl Profile {
    /// Every profile, likeliest first.
    pub fn all() -> impl Iterator<Item = Profile> {
        PROFILES.iter().map(|row| row.0)
    }

    /// The profiles in the order to try them, those of one pass over a file together.
    ///
    /// The first pass hashes every byte once. The second hashes it twice, which still costs less than reading
    /// a large file a third time, and it is rarely needed.
    pub fn passes() -> [&'static [Profile]; 2] {
        [&[Profile::UnixfsV1_2025, Profile::TestCidV1], &[Profile::KuboCidV1, Profile::UnixfsV0_2015]]
    }

    fn row(self) -> &'static (Profile, &'static str, Layout) {
        PROFILES.iter().find(|row| row.0 == self).expect("every profile has a row")
    }

    /// Its name in the field.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// How it builds trees.
    pub fn layout(self) -> Layout {
        self.row().2
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
