//! The content digest of an archive, computed while it is unpacked: a later save compares it with the tree.

use sha2::{Digest as _, Sha256};

use super::buffer::Slice;
use super::entries::{Attributes, Spot, Visitor};
use super::guard::{self, Guard};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::manifest::Manifest;
use crate::tree::fingerprint::ContentDigest;

/// Passes entries on to another visitor and digests them, but for hard links: the file that one joins may be any of those
/// before it, and is read again once it is known (`Writer::finish`). So nothing is remembered of files.
pub(crate) struct Digesting<'v, V> {
    inner: &'v mut V,
    digest: ContentDigest,
    file: Option<Open>,
}

struct Open {
    spot: Spot,
    mode: u32,
    left: u64,
    hasher: Sha256,
}

impl<'v, V: Visitor> Digesting<'v, V> {
    pub(crate) fn new(inner: &'v mut V) -> Self {
        Digesting { inner, digest: ContentDigest::default(), file: None }
    }

    /// The digest of all entries but hard links.
    pub(crate) fn finish(self) -> ContentDigest {
        self.digest
    }

    fn finish_file(&mut self) {
        let Some(Open { spot, mode, hasher, .. }) = self.file.take() else { return };
        let content: [u8; 32] = hasher.finalize().into();
        self.digest.add_file(spot.root, &spot.relative, mode, &content);
    }
}

impl<V: Visitor> Visitor for Digesting<'_, V> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<Guard, ArchiveError> {
        self.inner.manifest(manifest)
    }

    fn foreign(&mut self) -> Result<Guard, ArchiveError> {
        self.inner.foreign()
    }

    fn directory(&mut self, spot: Spot, attributes: Attributes) -> Result<(), ArchiveError> {
        self.inner.directory(spot, attributes)
    }

    fn file(&mut self, spot: Spot, size: u64, attributes: Attributes) -> Result<(), ArchiveError> {
        self.file =
            Some(Open { spot: spot.clone(), mode: attributes.mode, left: size, hasher: Sha256::new() });
        if size == 0 {
            self.finish_file();
        }
        self.inner.file(spot, size, attributes)
    }

    fn content(&mut self, slice: Slice) -> Result<(), ArchiveError> {
        if let Some(open) = &mut self.file {
            open.hasher.update(&slice[..]);
            open.left = open.left.saturating_sub(slice.len() as u64);
            if open.left == 0 {
                self.finish_file();
            }
        }
        self.inner.content(slice)
    }

    fn symlink(&mut self, spot: Spot, target: Vec<u8>, attributes: Attributes) -> Result<(), ArchiveError> {
        if let Some(target) = guard::os_name(&target) {
            self.digest.add_link(spot.root, &spot.relative, &target);
        }
        self.inner.symlink(spot, target, attributes)
    }

    fn hard_link(&mut self, spot: Spot, target: Spot) -> Result<(), ArchiveError> {
        self.inner.hard_link(spot, target)
    }
}
