//! A thin archive with the archives that it takes content from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::io::Read;

use tokio_util::sync::CancellationToken;

use super::decode;
use super::listing::{Frames, Listing};
use super::scatter::{ReadPlan, SegmentRange, WantedContent};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{Extent, Row, RowKind};
use crate::archive::format::manifest::{Counts, Manifest};
use crate::domain::digest::Sha256Digest;
use crate::fs::mode;

/// A list of files, and where the contents of all of them lie.
pub struct Composite<'a> {
    listing: &'a Listing,
    rows: Vec<Row>,
    /// The archive itself, and its parents.
    segments: Vec<&'a Frames>,
}

impl<'a> Composite<'a> {
    /// The archive of a list, with the frames of its parents in their order.
    ///
    /// # Errors
    /// The list contradicts its manifest.
    pub fn new(listing: &'a Listing, parents: &'a [Frames]) -> Result<Self, ArchiveError> {
        let rows = listing.rows().collect::<Result<Vec<_>, _>>()?;
        check(&listing.manifest, &rows)?;
        let segments = std::iter::once(listing.frames()).chain(parents).collect();
        Ok(Composite { listing, rows, segments })
    }

    /// The list.
    pub fn listing(&self) -> &'a Listing {
        self.listing
    }

    /// All entries, in the order of the list.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Plans to read contents.
    pub(crate) fn plan(&self, contents: &[WantedContent]) -> Result<ReadPlan, ArchiveError> {
        ReadPlan::of(contents, &self.segments)
    }

    /// The contents of the files for whose rows `is_wanted` holds, each once: those of the archive itself, then those of its
    /// parents, the base last.
    pub(crate) fn contents(
        &self,
        is_wanted: impl Fn(usize, &Extent) -> bool,
    ) -> Result<Vec<WantedContent>, ArchiveError> {
        let count = self.segments.len() as u64;
        let place = |extent: &Extent| match extent.segment {
            0 => (0, extent.offset),
            segment => (count.saturating_sub(segment), extent.offset),
        };
        let mut contents: BTreeMap<(u64, u64), WantedContent> = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            let RowKind::File { content, extents, .. } = &row.kind else { continue };
            let Some(extent) = extents.first().filter(|extent| is_wanted(index, extent)) else { continue };
            match contents.entry(place(extent)) {
                MapEntry::Vacant(vacant) => {
                    vacant.insert(WantedContent { extent: *extent, digest: *content, rows: vec![index] });
                }
                MapEntry::Occupied(mut there) => {
                    let there = there.get_mut();
                    if (there.extent, there.digest) != (*extent, *content) {
                        return Err(ArchiveError::damaged("its list has two contents in one place"));
                    }
                    there.rows.push(index);
                }
            }
        }
        Ok(contents.into_values().collect())
    }

    /// Reads contents, those of the archive itself or of its parents as well, and compares them with its list. `open` gives the
    /// bytes of ranges, in their order.
    pub fn verify<R: Read + Send>(
        &self,
        with_parents: bool,
        open: impl FnOnce(Vec<SegmentRange>) -> R,
        workers: usize,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        let contents = self.contents(|_, extent| with_parents || extent.segment == 0)?;
        let plan = self.plan(&contents)?;
        std::thread::scope(|scope| {
            let source = decode::open(scope, plan.frames_in(open(plan.ranges())), workers, cancel)?;
            let mut reader = plan.contents(source);
            for wanted in &contents {
                let digest = reader.read(&wanted.extent, |_| Ok(()))?;
                self.check_content(wanted, &digest)?;
            }
            Ok(())
        })
    }

    /// Refuses a content with another hash than the list says.
    pub(crate) fn check_content(
        &self,
        wanted: &WantedContent,
        digest: &Sha256Digest,
    ) -> Result<(), ArchiveError> {
        if *digest == wanted.digest {
            return Ok(());
        }
        let name = self.rows[wanted.rows[0]].name.escape_ascii();
        Err(ArchiveError::damaged(format!("`{name}` has another content than its list says")))
    }
}

/// Refuses a list that does not add up to its manifest, or has what no archive has.
fn check(manifest: &Manifest, rows: &[Row]) -> Result<(), ArchiveError> {
    let (mut counts, mut bytes) = (Counts::default(), 0_u64);
    let empty = Sha256Digest::of(b"");
    for row in rows {
        let is_sound = match &row.kind {
            RowKind::File { size, content, extents } => {
                bytes = bytes.saturating_add(*size);
                // Each content of this format lies in one piece, and empty files have none.
                extents.len() == usize::from(*size > 0) && (*size > 0 || *content == empty)
            }
            _ => true,
        };
        if !is_sound || row.mode & !mode::PERMISSIONS != 0 {
            let name = row.name.escape_ascii();
            return Err(ArchiveError::damaged(format!("its list contradicts itself at `{name}`")));
        }
        *match row.kind {
            RowKind::Directory => &mut counts.directories,
            RowKind::File { .. } => &mut counts.files,
            RowKind::Symlink { .. } => &mut counts.symlinks,
            RowKind::HardLink { .. } => &mut counts.hard_links,
        } += 1;
    }
    if counts == manifest.counts && bytes == manifest.unpacked_bytes {
        Ok(())
    } else {
        Err(ArchiveError::damaged("its list does not match its manifest"))
    }
}
