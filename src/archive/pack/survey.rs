//! A tree surveyed: a row for each entry, with the hashes of all files, before anything is packed.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::plan::{self, Count, Layout, Totals, Tree};
use super::{PackRequest, roots};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{Row, RowKind};
use crate::archive::format::manifest::Root;
use crate::domain::event::Meter;
use crate::domain::version::portable_roots;
use crate::fs::cancel;
use crate::tree::hashed::HashedFile;
use crate::tree::walk::{Item, WalkError, place_of};

/// Upper bound for the rows of a tree that is surveyed, in bytes: they are in memory, with as much again for each file.
const LARGEST_SURVEY: u64 = 24 << 20;

/// A tree as it was found: what its archive would hold.
#[derive(Debug)]
pub struct Survey {
    /// All entries in the order of an archive of the whole tree, with the places that contents would have in it.
    pub(super) rows: Vec<Row>,
    /// The files that are not empty, in the same order.
    pub(super) files: Vec<SurveyedFile>,
    pub(super) roots: Vec<Root>,
    pub(super) totals: Totals,
}

/// A file that is not empty.
#[derive(Debug)]
pub(super) struct SurveyedFile {
    /// Its row.
    pub(super) row: usize,
    /// The root that it lies below.
    pub(super) root: PathBuf,
    pub(super) item: Item,
}

impl Survey {
    /// Bytes of the tar stream that an archive of the whole tree would have.
    pub fn stream_bytes(&self) -> u64 {
        self.totals.stream_bytes
    }
}

/// Walks a tree and hashes its files; `None` for one with more entries than fit into the memory for them.
///
/// # Errors
/// A file cannot be read, or changes while it is read.
pub fn survey(
    request: &PackRequest<'_>,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Option<Survey>, ArchiveError> {
    let prefixes = portable_roots(request.cache, request.selections.len());
    let tree = Tree::list(request.selections, &prefixes, request.last, request.workers, cancel);
    let mut walked = Walked::default();
    let totals = match plan::lay_out(&tree, &mut walked, cancel) {
        Err(ArchiveError::Limit { .. }) => return Ok(None),
        totals => totals?,
    };
    if totals.missing.len() == request.selections.len() {
        let root = totals.missing.into_iter().next().unwrap_or_default();
        return Err(WalkError::Missing(root).into());
    }
    meter.set_total(totals.unpacked_bytes);
    meter.set_total_items(totals.counts.files);
    let Walked { mut rows, files, count, .. } = walked;
    let to_hash: Vec<HashedFile> = files.iter().map(SurveyedFile::to_hash).collect();
    let hashes = HashedFile::hash_all(to_hash.iter(), request.workers, cancel);
    if cancel::is_cancelled(cancel) {
        return Err(ArchiveError::Cancelled);
    }
    for (file, hash) in files.iter().zip(hashes) {
        let changed = || ArchiveError::Changed(place_of(&file.root, &file.item.relative));
        if let RowKind::File { content, .. } = &mut rows[file.row].kind {
            *content = hash.ok_or_else(changed)?;
        }
        meter.add_bytes(file.item.size);
        meter.add_items(1);
    }
    let roots = roots(&tree, &totals, &count);
    Ok(Some(Survey { rows, files, roots, totals }))
}

impl SurveyedFile {
    fn to_hash(&self) -> HashedFile {
        let Item { size, modified, .. } = self.item;
        HashedFile::found(place_of(&self.root, &self.item.relative), size, modified)
    }
}

/// What a pass over a tree found.
#[derive(Default)]
struct Walked {
    rows: Vec<Row>,
    files: Vec<SurveyedFile>,
    count: Count,
    bytes: u64,
}

impl Walked {
    fn note(&mut self, row: Row) -> Result<(), ArchiveError> {
        self.bytes += plan::row_bytes(&row);
        self.rows.push(row);
        if self.bytes > LARGEST_SURVEY {
            return Err(ArchiveError::Limit { limit: LARGEST_SURVEY, unit: "bytes of rows" });
        }
        Ok(())
    }
}

impl Layout for Walked {
    fn is_listed(&self) -> bool {
        true
    }

    fn row(&mut self, row: Row) -> Result<(), ArchiveError> {
        self.note(row)
    }

    fn file(&mut self, root: &Path, item: &Item, row: Option<Row>) -> Result<(), ArchiveError> {
        self.count.file(root, item, None)?;
        let Some(row) = row else { return Ok(()) };
        self.files.push(SurveyedFile { row: self.rows.len(), root: root.to_owned(), item: item.clone() });
        self.note(row)
    }
}
