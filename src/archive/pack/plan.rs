//! The tar stream of a cache, laid out from names and sizes alone: counted first, then cut into frames.
//!
//! Both passes walk the tree, so that memory holds only the first names of files with several names. The one that counts needs only the
//! lengths of headers, the other one writes them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{ROW_BYTES, Row, RowKind};
use crate::archive::format::manifest::Counts;
use crate::archive::format::tar_header::{self, BLOCK, Kind, LONGEST_NAME};
use crate::domain::digest::Sha256Digest;
use crate::fs::cancel;
use crate::fs::holes;
use crate::fs::mode;
use crate::fs::open::{self, Links};
use crate::tree::selection::Selection;
use crate::tree::walk::{Item, ItemKind, ListedAhead, Modified, Walk, WalkError, place_of};

/// Upper bound for the paths of skipped files that are reported.
const SKIPPED_NAMED: usize = 100;

/// The result of a pass over the tree.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) counts: Counts,
    pub(super) unpacked_bytes: u64,
    pub(super) stream_bytes: u64,
    /// Bytes that the rows of all entries have at most.
    pub(super) list_bytes: u64,
    /// Entries and bytes of files of each root.
    pub(super) roots: Vec<(u64, u64)>,
    /// Sockets, pipes and devices; the first of them by path.
    pub(super) skipped: Vec<PathBuf>,
    pub(super) skipped_count: u64,
    /// Roots that do not exist.
    pub(super) missing: Vec<PathBuf>,
}

/// A file as the walk found it; the worker that compresses its part of a frame reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedFile {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) modified: Modified,
}

/// Receives the stream in order.
pub(super) trait Layout {
    /// Whether headers are wanted. If not, their lengths are counted.
    fn is_written(&self) -> bool {
        false
    }
    /// Headers, if they are wanted, and padding.
    fn bytes(&mut self, _: &[u8]) -> Result<(), ArchiveError> {
        Ok(())
    }
    /// Whether rows are wanted.
    fn is_listed(&self) -> bool;
    /// The row of an entry without content, which has been laid out.
    fn row(&mut self, _: Row) -> Result<(), ArchiveError> {
        Ok(())
    }
    /// The content of a file that is not empty, and its row without the hash.
    fn file(&mut self, root: &Path, item: &Item, row: Option<Row>) -> Result<(), ArchiveError>;
}

/// The trees that are packed, and where their roots lie in the archive.
pub(super) struct Tree<'a> {
    pub(super) selections: &'a [Selection],
    pub(super) prefixes: &'a [String],
    /// Their directories, as far as they were listed before.
    pub(super) listed: Vec<Option<ListedAhead>>,
    /// The file below the first root that is packed last.
    pub(super) last: Option<&'a Path>,
}

impl<'a> Tree<'a> {
    /// Lists the trees on up to `workers` threads, so that all passes see the same.
    pub(super) fn list(
        selections: &'a [Selection],
        prefixes: &'a [String],
        last: Option<&'a Path>,
        workers: usize,
        cancel: &CancellationToken,
    ) -> Self {
        let ahead = |selection: &Selection| ListedAhead::of(selection, workers, cancel);
        let listed = selections.iter().map(ahead).collect();
        Tree { selections, prefixes, listed, last }
    }
}

/// Walks the listed trees, each in the order of [`Walk`], and gives `layout` the whole stream with its end: headers as bytes, and contents by
/// their place, which are read where they are compressed.
pub(super) fn lay_out(
    tree: &Tree<'_>,
    layout: &mut dyn Layout,
    cancel: &CancellationToken,
) -> Result<Totals, ArchiveError> {
    let mut pass = PlanPass { totals: Totals::default(), layout, header: Vec::new() };
    let mut last = None;
    for (index, (selection, prefix)) in tree.selections.iter().zip(tree.prefixes).enumerate() {
        let mut first_names = HashMap::new();
        let (entries, bytes) = pass.content();
        for item in Walk::over(selection, tree.listed[index].as_ref()) {
            if cancel::is_cancelled(cancel) {
                return Err(ArchiveError::Cancelled);
            }
            let item = match item {
                Err(WalkError::Missing(root)) => {
                    pass.totals.missing.push(root);
                    break;
                }
                item => item?,
            };
            if index == 0 && item.kind == ItemKind::File && tree.last == Some(&item.relative) {
                last = Some(item);
                continue;
            }
            pass.item(&selection.root, prefix, &item, &mut first_names)?;
        }
        let all = pass.content();
        pass.totals.roots.push((all.0 - entries, all.1 - bytes));
    }
    if let Some(item) = last {
        let alone = Item { identity: None, ..item };
        pass.totals.roots[0].0 += 1;
        pass.totals.roots[0].1 += alone.size;
        pass.item(&tree.selections[0].root, &tree.prefixes[0], &alone, &mut HashMap::new())?;
    }
    pass.bytes(&tar_header::END)?;
    Ok(pass.totals)
}

/// A file of which the content goes into a thin archive.
#[derive(Debug)]
pub(super) struct NewFile<'a> {
    pub(super) root: &'a Path,
    /// Its name in the archive.
    pub(super) name: &'a [u8],
    pub(super) item: &'a Item,
}

/// Lays out the stream of a thin archive, which has these files alone, with its end.
pub(super) fn lay_out_files(
    files: &[NewFile<'_>],
    layout: &mut dyn Layout,
    cancel: &CancellationToken,
) -> Result<Totals, ArchiveError> {
    let mut pass = PlanPass { totals: Totals::default(), layout, header: Vec::new() };
    for NewFile { root, name, item } in files {
        if cancel::is_cancelled(cancel) {
            return Err(ArchiveError::Cancelled);
        }
        pass.file(root, name, item)?;
    }
    pass.bytes(&tar_header::END)?;
    Ok(pass.totals)
}

struct PlanPass<'a> {
    totals: Totals,
    layout: &'a mut dyn Layout,
    header: Vec<u8>,
}

/// The first name of a file, by volume and number, and how many names are still to come.
type FirstNames = HashMap<(u64, u64), (Vec<u8>, u64)>;

impl PlanPass<'_> {
    /// Entries and bytes of files so far.
    fn content(&self) -> (u64, u64) {
        (self.totals.counts.entries(), self.totals.unpacked_bytes)
    }

    fn item(
        &mut self,
        root: &Path,
        prefix: &str,
        item: &Item,
        first_names: &mut FirstNames,
    ) -> Result<(), ArchiveError> {
        let full = || place_of(root, &item.relative);
        let name = portable_name(prefix, &item.relative)
            .and_then(not_too_long)
            .map_err(|reason| ArchiveError::Name { path: full(), reason })?;
        match &item.kind {
            ItemKind::Directory => {
                self.totals.counts.directories += 1;
                self.header(&name, Kind::Directory, item)?;
                self.row(&name, item, || RowKind::Directory)
            }
            ItemKind::Symlink { target } => {
                let target = link_target(target)
                    .and_then(not_too_long)
                    .map_err(|reason| ArchiveError::Name { path: full(), reason })?;
                self.totals.counts.symlinks += 1;
                self.header(&name, Kind::Symlink(&target), item)?;
                self.totals.list_bytes += target.len() as u64;
                self.row(&name, item, || RowKind::Symlink { target })
            }
            ItemKind::Special => {
                self.totals.skipped_count += 1;
                if self.totals.skipped.len() < SKIPPED_NAMED {
                    self.totals.skipped.push(full());
                }
                Ok(())
            }
            ItemKind::File => match first_name(first_names, item, &name) {
                Some(first) => {
                    self.totals.counts.hard_links += 1;
                    self.header(&name, Kind::HardLink(&first), item)?;
                    self.totals.list_bytes += first.len() as u64;
                    self.row(&name, item, || RowKind::HardLink { target: first })
                }
                None => self.file(root, &name, item),
            },
        }
    }

    fn file(&mut self, root: &Path, name: &[u8], item: &Item) -> Result<(), ArchiveError> {
        self.totals.counts.files += 1;
        self.totals.unpacked_bytes += item.size;
        self.header(name, Kind::File(item.size), item)?;
        let offset = self.totals.stream_bytes;
        if item.size == 0 {
            return self.row(name, item, || RowKind::file(0, Sha256Digest::of(b""), offset));
        }
        self.totals.stream_bytes += item.size;
        // The hash is entered where the content is read.
        let row = self.draw(name, item, || RowKind::file(item.size, Sha256Digest([0; 32]), offset));
        self.layout.file(root, item, row)?;
        self.bytes(&tar_header::END[..tar_header::padding(item.size)])
    }

    /// The row of an entry, if rows are wanted.
    fn draw(&mut self, name: &[u8], item: &Item, kind: impl FnOnce() -> RowKind) -> Option<Row> {
        self.totals.list_bytes += ROW_BYTES + name.len() as u64;
        let mode = item.mode & mode::PERMISSIONS;
        self.layout.is_listed().then(|| Row {
            name: name.to_vec(),
            kind: kind(),
            mode,
            modified: item.modified,
        })
    }

    fn row(&mut self, name: &[u8], item: &Item, kind: impl FnOnce() -> RowKind) -> Result<(), ArchiveError> {
        self.draw(name, item, kind).map_or(Ok(()), |row| self.layout.row(row))
    }

    fn header(&mut self, name: &[u8], kind: Kind<'_>, item: &Item) -> Result<(), ArchiveError> {
        if !self.layout.is_written() {
            self.totals.stream_bytes += tar_header::length(name, kind, item.modified) as u64;
            return Ok(());
        }
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        tar_header::append(&mut header, name, kind, item.mode, item.modified);
        let done = self.bytes(&header);
        self.header = header;
        done
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.totals.stream_bytes += bytes.len() as u64;
        self.layout.bytes(bytes)
    }
}

/// Bytes that a row takes in a list at most.
pub(super) fn row_bytes(row: &Row) -> u64 {
    let target = match &row.kind {
        RowKind::Symlink { target } | RowKind::HardLink { target } => target.len(),
        RowKind::Directory | RowKind::File { .. } => 0,
    };
    ROW_BYTES + (row.name.len() + target) as u64
}

/// The name under which a file with several names is already packed.
fn first_name(first_names: &mut FirstNames, item: &Item, name: &[u8]) -> Option<Vec<u8>> {
    let identity = item.identity?;
    let key = (identity.device, identity.inode);
    if let Some((first, left)) = first_names.get_mut(&key) {
        let first = first.clone();
        *left -= 1;
        if *left == 0 {
            first_names.remove(&key);
        }
        return Some(first);
    }
    first_names.insert(key, (name.to_vec(), identity.names - 1));
    None
}

/// A name or link target that a reader takes.
fn not_too_long(name: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    if name.len() <= LONGEST_NAME { Ok(name) } else { Err("it has more than 4096 bytes in the archive") }
}

/// The name in an archive of what lies at a path below a root; `None` if no archive can hold it.
pub(crate) fn name_of(prefix: &str, relative: &Path) -> Option<Vec<u8>> {
    portable_name(prefix, relative).and_then(not_too_long).ok()
}

/// The target of a symbolic link as archives have it; `None` if none can hold it.
pub(crate) fn target_of(target: &Path) -> Option<Vec<u8>> {
    link_target(target).and_then(not_too_long).ok()
}

/// A path in the form of archives: separated by `/`, bytes unchanged.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have names that archives cannot hold")]
fn portable_name(prefix: &str, relative: &Path) -> Result<Vec<u8>, &'static str> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut name = prefix.as_bytes().to_vec();
    if !relative.as_os_str().is_empty() {
        name.push(b'/');
        name.extend(relative.as_os_str().as_bytes());
    }
    Ok(name)
}

/// A path in the form of archives: separated by `/`, in UTF-8.
#[cfg(not(unix))]
fn portable_name(prefix: &str, relative: &Path) -> Result<Vec<u8>, &'static str> {
    let mut name = prefix.to_owned();
    for component in relative.components() {
        name.push('/');
        name.push_str(component.as_os_str().to_str().ok_or("it is not Unicode")?);
    }
    Ok(name.into_bytes())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have targets that archives cannot hold")]
fn link_target(target: &Path) -> Result<Vec<u8>, &'static str> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(target.as_os_str().as_bytes().to_vec())
}

#[cfg(not(unix))]
fn link_target(target: &Path) -> Result<Vec<u8>, &'static str> {
    target.to_str().map(|text| text.replace('\\', "/").into_bytes()).ok_or("its target is not Unicode")
}

/// Discards the stream, and counts holes: for the pass that counts.
#[derive(Default)]
pub(super) struct Count {
    holes: HashMap<PathBuf, u64>,
}

impl Count {
    /// Bytes in holes of the files below a root.
    pub(super) fn holes(&self, root: &Path) -> u64 {
        self.holes.get(root).copied().unwrap_or_default()
    }
}

impl Layout for Count {
    fn is_listed(&self) -> bool {
        false
    }

    fn file(&mut self, root: &Path, item: &Item, _: Option<Row>) -> Result<(), ArchiveError> {
        if item.size > holes::WITHOUT_HOLES {
            // What cannot be opened is an error of the pass that reads.
            let file = open::file(&place_of(root, &item.relative), Links::Refused);
            let holes = file.map_or(0, |file| holes::bytes_in_holes(&file, item.size));
            if holes > 0 {
                *self.holes.entry(root.to_owned()).or_default() += holes;
            }
        }
        Ok(())
    }
}

/// A part of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrameSegment {
    /// Headers and padding.
    Bytes(Vec<u8>),
    /// A range of a file.
    File { file: Arc<PlannedFile>, offset: u64, length: usize },
}

/// A frame that is laid out.
#[derive(Debug, Default)]
pub(super) struct PlannedFrame {
    pub(super) segments: Vec<FrameSegment>,
    /// Rows of the entries that end in it, if rows are wanted.
    pub(super) rows: Vec<Row>,
    /// Gives the hash so far of the file that begins before it, and takes that of the one that ends behind it.
    pub(super) before: Option<Receiver<Sha256>>,
    pub(super) after: Option<Sender<Sha256>>,
}

/// Takes a frame that is laid out.
type Emit<'a> = &'a mut dyn FnMut(PlannedFrame) -> Result<(), ArchiveError>;

/// Cuts the stream into frames of one size.
pub(super) struct Cutter<'a> {
    frame_bytes: usize,
    is_listed: bool,
    next: PlannedFrame,
    length: usize,
    emit: Emit<'a>,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(frame_bytes: usize, is_listed: bool, emit: Emit<'a>) -> Self {
        Cutter { frame_bytes, is_listed, next: PlannedFrame::default(), length: 0, emit }
    }

    /// Emits the last segments.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        if self.length > 0 { self.cut(false) } else { Ok(()) }
    }

    /// Emits the frame; `within` says whether a file goes on in the next one.
    fn cut(&mut self, within: bool) -> Result<(), ArchiveError> {
        self.length = 0;
        let mut frame = std::mem::take(&mut self.next);
        if within && self.is_listed {
            let (after, before) = mpsc::channel();
            frame.after = Some(after);
            self.next.before = Some(before);
        }
        (self.emit)(frame)
    }

    fn advance(&mut self, length: usize, within: bool) -> Result<(), ArchiveError> {
        self.length += length;
        if self.length == self.frame_bytes { self.cut(within) } else { Ok(()) }
    }
}

impl Layout for Cutter<'_> {
    fn is_written(&self) -> bool {
        true
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.frame_bytes - self.length));
            if let Some(FrameSegment::Bytes(last)) = self.next.segments.last_mut() {
                last.extend_from_slice(now);
            } else {
                // Most often the padding of a file, which the header of the next one follows.
                let mut first = Vec::with_capacity(4 * BLOCK);
                first.extend_from_slice(now);
                self.next.segments.push(FrameSegment::Bytes(first));
            }
            self.advance(now.len(), false)?;
            bytes = later;
        }
        Ok(())
    }

    fn is_listed(&self) -> bool {
        self.is_listed
    }

    fn row(&mut self, row: Row) -> Result<(), ArchiveError> {
        self.next.rows.push(row);
        Ok(())
    }

    fn file(&mut self, root: &Path, item: &Item, mut row: Option<Row>) -> Result<(), ArchiveError> {
        let Item { size, modified, .. } = *item;
        let file = Arc::new(PlannedFile { path: place_of(root, &item.relative), size, modified });
        let mut offset = 0;
        while offset < size {
            let free = self.frame_bytes - self.length;
            let length = usize::try_from(size - offset).map_or(free, |left| left.min(free));
            self.next.segments.push(FrameSegment::File { file: Arc::clone(&file), offset, length });
            offset += length as u64;
            if offset == size {
                self.next.rows.extend(row.take());
            }
            self.advance(length, offset < size)?;
        }
        Ok(())
    }
}
