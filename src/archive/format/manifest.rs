//! The manifest at the head of an archive: what it holds, known before the first byte is unpacked.

use super::version::{FORMAT, UNLISTED};
use serde::{Deserialize, Serialize};

use super::error::ArchiveError;
use super::skippable::{MANIFEST_MAGIC, skippable};
use crate::domain::thin::MOST_PARENTS;

/// The largest frame, decompressed, that a manifest may announce: what this program makes. Several are in memory at once.
pub(crate) const LARGEST_FRAME: u32 = 4 << 20;

/// Upper bound for the manifest's frame, in bytes.
pub(super) const LARGEST_MANIFEST: usize = 1 << 20;

const MANIFEST_TAG: &[u8] = b"cachekeep manifest\n";

/// Upper bound for the roots of a cache.
const MOST_ROOTS: usize = 1024;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of the archive, [`FORMAT`] or one before it.
    pub format: u32,
    /// The program that made it.
    pub producer: String,
    /// The cache's name.
    pub cache: String,
    /// The roots of the cache.
    pub roots: Vec<Root>,
    /// Entries of each kind.
    pub counts: Counts,
    /// Bytes of all files.
    pub unpacked_bytes: u64,
    /// Bytes of the tar stream.
    pub stream_bytes: u64,
    /// Bytes of the tar stream in every frame but the last, which may have fewer.
    pub frame_bytes: u32,
    /// The archives that a thin archive takes content from, the base first; none in one that holds all of its content. The list
    /// calls them 1 and on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
}

/// An archive that a thin one takes content from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The key that its entry is stored under.
    pub key: String,
    /// The version of its entry.
    pub version: String,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of its tar stream.
    pub stream_bytes: u64,
    /// The digest that it carries, in hexadecimal digits.
    pub digest: String,
}

/// A root of a cache, and the room it needs: roots may go to different volumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Where it lies in the tar stream.
    pub prefix: String,
    /// How many entries it has, itself included.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Those of them that are in holes, which are made again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub holes: u64,
    /// The path patterns that it was saved by ([`crate::domain::written_paths`]); none where they are not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

impl Root {
    /// The room that its files take on a volume that has holes.
    pub fn room(&self) -> u64 {
        // A hole in the stream is cut by the ends of frames, where a part of it is written.
        self.bytes - self.holes + self.holes / 64
    }
}

/// How many entries of each kind an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Regular files.
    pub files: u64,
    /// Directories, roots included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hard_links: u64,
}

impl Counts {
    /// All entries: a bound for the inodes that unpacking takes.
    pub fn entries(&self) -> u64 {
        [self.directories, self.symlinks, self.hard_links]
            .iter()
            .fold(self.files, |a, b| a.saturating_add(*b))
    }
}

impl Manifest {
    /// Whether a list of all files follows the frames.
    pub(crate) fn is_listed(&self) -> bool {
        self.format > UNLISTED
    }

    /// Whether the archive takes content from others, so that its stream alone is not the tree.
    pub fn is_thin(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Where the roots of the cache lie in the tar stream.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> + Clone {
        self.roots.iter().map(|root| root.prefix.as_str())
    }

    /// The path patterns that each root was saved by; none where they are not recorded.
    pub(crate) fn written(&self) -> impl Iterator<Item = &[String]> {
        self.roots.iter().map(|root| &root.paths[..])
    }

    /// Whether the entries and bytes of the roots add up to those of the archive.
    fn are_roots_all(&self) -> bool {
        let sum = |part: fn(&Root) -> u64| {
            self.roots.iter().try_fold(0_u64, |sum, root| sum.checked_add(part(root)))
        };
        sum(|root| root.entries) == Some(self.counts.entries())
            && sum(|root| root.bytes) == Some(self.unpacked_bytes)
    }

    /// Whether the stream can hold a header for every entry and the content of every file.
    fn has_all(&self, entries: u64) -> bool {
        let least = entries.checked_mul(512).and_then(|headers| headers.checked_add(self.unpacked_bytes));
        least.is_some_and(|least| least <= self.stream_bytes)
    }

    /// The frame that begins an archive.
    pub(crate) fn to_frame(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a manifest has only strings and numbers");
        skippable(MANIFEST_MAGIC, &[MANIFEST_TAG, &json].concat())
    }

    /// Bytes of the frame that these bytes begin with; `None` if an archive without a manifest begins so.
    pub(crate) fn frame_length(head: &[u8]) -> Option<usize> {
        let payload = head.get(8..)?;
        let magic = head.starts_with(&MANIFEST_MAGIC.to_le_bytes()) && payload.starts_with(MANIFEST_TAG);
        let length = u32::from_le_bytes(head[4..8].try_into().expect("four bytes")) as usize;
        // The tag may lie behind the end that the header gives.
        (magic && (MANIFEST_TAG.len()..=LARGEST_MANIFEST).contains(&length)).then_some(length + 8)
    }

    /// Reads the manifest that a frame holds; `None` if it is of another kind.
    pub(crate) fn of_frame(magic: u32, payload: &[u8]) -> Option<Result<Self, ArchiveError>> {
        let json = payload.strip_prefix(MANIFEST_TAG).filter(|_| magic == MANIFEST_MAGIC)?;
        Some(Self::from_json(json))
    }

    fn from_json(json: &[u8]) -> Result<Self, ArchiveError> {
        /// The field that every format has.
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u32,
        }
        let unreadable =
            |error: serde_json::Error| ArchiveError::damaged(format!("its manifest does not parse: {error}"));
        let AnyFormat { format } = serde_json::from_slice(json).map_err(unreadable)?;
        if !(UNLISTED..=FORMAT).contains(&format) {
            return Err(ArchiveError::Format(format));
        }
        let manifest: Manifest = serde_json::from_slice(json).map_err(unreadable)?;
        let entries = manifest.counts.entries();
        let is_consistent = (1..=LARGEST_FRAME).contains(&manifest.frame_bytes)
            && (1..=MOST_ROOTS).contains(&manifest.roots.len())
            && manifest.are_roots_all()
            && manifest.roots.iter().all(|root| root.holes <= root.bytes)
            && manifest.stream_bytes.is_multiple_of(512)
            && manifest.parents.len() <= MOST_PARENTS
            && (manifest.parents.is_empty() || manifest.is_listed())
            && (manifest.is_thin() || manifest.has_all(entries));
        if is_consistent {
            Ok(manifest)
        } else {
            Err(ArchiveError::damaged("its manifest contradicts itself"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(manifest: &Manifest) -> Vec<u8> {
        manifest.to_frame()[8 + MANIFEST_TAG.len()..].to_vec()
    }

    fn read(manifest: &Manifest) -> Result<Manifest, ArchiveError> {
        Manifest::from_json(&json(manifest))
    }

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            producer: "cachekeep 0.1.0".to_owned(),
            cache: "c".to_owned(),
            roots: vec![Root {
                prefix: ".cachekeep/c".to_owned(),
                entries: 3,
                bytes: 1000,
                holes: 0,
                paths: vec![],
            }],
            counts: Counts { files: 2, directories: 1, symlinks: 0, hard_links: 0 },
            unpacked_bytes: 1000,
            stream_bytes: 4096,
            frame_bytes: 1 << 20,
            parents: vec![],
        }
    }

    fn parent() -> Parent {
        let text = || "x".to_owned();
        Parent { key: text(), version: text(), archive_bytes: 9, stream_bytes: 9, digest: text() }
    }

    #[test]
    fn a_thin_manifest_has_less_in_its_stream_than_in_its_tree() {
        let mut thin = manifest();
        thin.unpacked_bytes = 1 << 30;
        thin.roots[0].bytes = 1 << 30;
        assert!(read(&thin).is_err());
        thin.parents = vec![parent(); MOST_PARENTS];
        assert_eq!(read(&thin).expect("a manifest"), thin);
        assert!(read(&Manifest { format: UNLISTED, ..thin.clone() }).is_err());
        thin.parents.push(parent());
        assert!(read(&thin).is_err());
    }

    #[test]
    fn a_manifest_reads_back() {
        assert_eq!(read(&manifest()).expect("a manifest"), manifest());
    }

    #[test]
    fn a_manifest_without_paths_is_that_of_an_earlier_entry() {
        let mut with = manifest();
        with.roots[0].paths = vec!["build".to_owned(), "!build/tmp".to_owned()];
        assert_eq!(read(&with).expect("a manifest"), with);
        let without = String::from_utf8(json(&manifest())).expect("text");
        assert!(!without.contains("paths"), "{without}");
        let read = Manifest::from_json(without.as_bytes()).expect("a manifest");
        assert!(read.roots[0].paths.is_empty());
    }

    #[test]
    fn a_later_format_is_named() {
        let later = Manifest { format: 3, ..manifest() };
        let error = read(&later).expect_err("a refusal");
        assert_eq!(error.to_string(), "the archive has format 3, this program reads formats up to 2");
        let json = br#"{"format":7,"shape":"unknown"}"#;
        assert!(matches!(Manifest::from_json(json), Err(ArchiveError::Format(7))));
    }

    #[test]
    fn absurd_figures_are_refused() {
        let check = |change: fn(&mut Manifest)| {
            let mut absurd = manifest();
            change(&mut absurd);
            assert!(read(&absurd).is_err(), "{absurd:?}");
        };
        check(|m| m.frame_bytes = 0);
        check(|m| m.frame_bytes = LARGEST_FRAME + 1);
        check(|m| m.counts.files = u64::MAX);
        check(|m| m.counts.files = 9);
        check(|m| m.unpacked_bytes = u64::MAX);
        check(|m| m.stream_bytes = 4097);
        check(|m| m.roots.clear());
        check(|m| m.roots[0].bytes -= 1);
        check(|m| m.roots[0].entries += 1);
        check(|m| m.roots[0].holes = m.roots[0].bytes + 1);
        check(|m| {
            let (entries, bytes) = (u64::MAX, u64::MAX);
            m.roots.push(Root { prefix: "x".to_owned(), entries, bytes, holes: 0, paths: vec![] });
        });
    }
}
