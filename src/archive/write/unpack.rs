//! Archives on the way in: a stream becomes files, below directories that nobody else uses.
//!
//! Order is what makes it safe and exact: files and directories as they come, then hard links, then
//! symbolic links, then the modes and times of directories, innermost first. While files are written there
//! is no link that a name could lead through. Memory holds a few frames, and a few hundred bytes for each
//! directory and link.
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::clash;
use super::destination::{Destination, name_as_archived};
use super::placement;
use super::pool::{self, Content, Job, OpenFile, WritePool, file_time};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::manifest::{Counts, Manifest};
use crate::archive::read::buffer::Slice;
use crate::archive::read::content::Digesting;
use crate::archive::read::decode::Threaded;
use crate::archive::read::entries::{self, Attributes, Found, Spot, Visitor};
use crate::archive::read::guard::{self, Guard};
use crate::archive::read::limits::Limits;
use crate::domain::event::Meter;
use crate::tree::fingerprint::ContentDigest;

/// Files up to this size are written whole by one thread.
const SMALL: u64 = 256 << 10;

/// What to unpack, and where to.
pub struct UnpackRequest<'a> {
    /// Where each root of the archive goes.
    pub destinations: Vec<Destination>,
    /// Threads that decompress, and as many that write; at least one.
    pub workers: usize,
    /// What an archive may hold that has no manifest.
    pub foreign: Limits,
    /// Told what the archive holds before anything is written; an error stops there.
    pub on_manifest: &'a mut dyn FnMut(&Manifest) -> Result<(), String>,
}

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// The manifest; none in an archive made by another program.
    pub manifest: Option<Manifest>,
    /// How many of what.
    pub counts: Counts,
    /// Bytes of all files.
    pub unpacked_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// The digest of all contents, as [`crate::tree::fingerprint::content`] gives it for the unpacked tree.
    pub content: ContentDigest,
}

/// Unpacks an archive from a stream.
///
/// On an error the destinations hold anything between nothing and all of the archive: they are the caller's
/// to remove. Nothing outside of them is touched, ever.
pub fn unpack<R: Read + Send>(
    request: UnpackRequest<'_>,
    input: R,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Unpacked, ArchiveError> {
    for Destination { directory, .. } in &request.destinations {
        let mut entries = fs::read_dir(directory).map_err(ArchiveError::write("unpack into", directory))?;
        if entries.next().is_some() {
            let taken = io::ErrorKind::DirectoryNotEmpty.into();
            return Err(ArchiveError::write("unpack into", directory)(taken));
        }
    }
    let workers = request.workers.max(1);
    let places = request.destinations.clone();
    let unpacked = std::thread::scope(|scope| {
        let source = Threaded::start(scope, input, workers, cancel)?;
        let mut writer = Writer {
            pool: WritePool::start(scope, workers),
            destinations: request.destinations,
            on_manifest: request.on_manifest,
            trusted: false,
            file: None,
            directories: Vec::new(),
            symlinks: Vec::new(),
            hard_links: Vec::new(),
        };
        let mut digesting = Digesting::new(&mut writer);
        let Found { manifest, counts, unpacked_bytes, archive_bytes } =
            entries::visit(source, request.foreign, &mut digesting, cancel, meter)?;
        let content = digesting.finish();
        writer.settle(cancel)?;
        Ok(Unpacked { manifest, counts, unpacked_bytes, archive_bytes, content })
    });
    unpacked.map_err(|error| name_as_archived(clash::told(error, &places), &places))
}

/// Writes what it visits.
struct Writer<'a> {
    pool: WritePool,
    destinations: Vec<Destination>,
    on_manifest: &'a mut dyn FnMut(&Manifest) -> Result<(), String>,
    /// Whether the archive has a manifest, and so no two entries of one name.
    trusted: bool,
    file: Option<Incoming>,
    directories: Vec<(PathBuf, Attributes)>,
    symlinks: Vec<(PathBuf, Vec<u8>, Attributes)>,
    hard_links: Vec<(PathBuf, PathBuf)>,
}

/// The file whose content arrives.
enum Incoming {
    /// Written when complete.
    Small {
        path: PathBuf,
        open: Option<Arc<OpenFile>>,
        size: usize,
        gathered: Vec<u8>,
        attributes: Attributes,
    },
    /// Written as it comes.
    Large { file: Arc<OpenFile>, offset: u64 },
}

impl Visitor for Writer<'_> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<Guard, ArchiveError> {
        let declared = manifest.prefixes();
        if !declared.clone().eq(self.destinations.iter().map(|d| d.prefix.as_str())) {
            let roots = declared.collect::<Vec<_>>().join("`, `");
            return Err(ArchiveError::refused(
                manifest.cache.as_bytes(),
                format!("has other roots: `{roots}`"),
            ));
        }
        self.trusted = true;
        let guard = Guard::new(declared);
        (self.on_manifest)(manifest).map_err(ArchiveError::Declined)?;
        Ok(guard)
    }

    fn foreign(&mut self) -> Result<Guard, ArchiveError> {
        Ok(Guard::new(self.destinations.iter().map(|d| d.prefix.as_str())))
    }

    fn directory(&mut self, spot: Spot, attributes: Attributes) -> Result<(), ArchiveError> {
        let path = self.path(&spot);
        // An archive of ours names a directory before what lies in it, and once.
        if self.trusted && !spot.relative.as_os_str().is_empty() {
            placement::make_new_directory(&path)?;
        } else {
            placement::make_directory(&path)?;
        }
        self.directories.push((path, attributes));
        Ok(())
    }

    fn file(&mut self, spot: Spot, size: u64, attributes: Attributes) -> Result<(), ArchiveError> {
        let path = self.path(&spot);
        if size > SMALL {
            let file = Arc::new(self.create(path, size, attributes)?);
            file.stretch()?;
            self.file = Some(Incoming::Large { file, offset: 0 });
            return Ok(());
        }
        let open =
            if self.trusted { None } else { Some(Arc::new(self.create(path.clone(), size, attributes)?)) };
        let size = usize::try_from(size).expect("small files fit into memory");
        self.file = Some(Incoming::Small { path, open, size, gathered: Vec::new(), attributes });
        if size == 0 { self.finish_small(Content::Gathered(Vec::new())) } else { Ok(()) }
    }

    fn content(&mut self, slice: Slice) -> Result<(), ArchiveError> {
        match self.file.as_mut().expect("content comes after its file") {
            Incoming::Large { file, offset } => {
                let (file, at) = (Arc::clone(file), *offset);
                *offset += slice.len() as u64;
                self.pool.submit(Job::Part { file, offset: at, content: Content::Shared(slice) })
            }
            Incoming::Small { size, gathered, .. } if gathered.is_empty() && slice.len() == *size => {
                self.finish_small(Content::Shared(slice))
            }
            Incoming::Small { size, gathered, .. } => {
                // Copied, so that a file in many tiny frames does not hold all their buffers.
                gathered.reserve_exact(*size - gathered.len());
                gathered.extend_from_slice(&slice);
                if gathered.len() < *size {
                    return Ok(());
                }
                let gathered = std::mem::take(gathered);
                self.finish_small(Content::Gathered(gathered))
            }
        }
    }

    fn symlink(&mut self, spot: Spot, target: Vec<u8>, attributes: Attributes) -> Result<(), ArchiveError> {
        self.symlinks.push((self.path(&spot), target, attributes));
        Ok(())
    }

    fn hard_link(&mut self, spot: Spot, target: Spot) -> Result<(), ArchiveError> {
        self.hard_links.push((self.path(&spot), self.path(&target)));
        Ok(())
    }
}

impl Writer<'_> {
    fn path(&self, spot: &Spot) -> PathBuf {
        let directory = &self.destinations[spot.root].directory;
        if spot.relative.as_os_str().is_empty() { directory.clone() } else { directory.join(&spot.relative) }
    }

    /// Creates a file; in a foreign archive a later one replaces an earlier one of the same name.
    fn create(&self, path: PathBuf, size: u64, attributes: Attributes) -> Result<OpenFile, ArchiveError> {
        match OpenFile::create(path.clone(), size, attributes) {
            Err(ArchiveError::Write { source, .. })
                if !self.trusted && source.kind() == io::ErrorKind::AlreadyExists =>
            {
                self.pool.drain()?;
                placement::clear_for(&path, |kind| kind.is_file())?;
                OpenFile::create(path, size, attributes)
            }
            created => created,
        }
    }

    fn finish_small(&mut self, content: Content) -> Result<(), ArchiveError> {
        match self.file.take() {
            Some(Incoming::Small { path, open: None, attributes, .. }) => {
                self.pool.submit(Job::Create { path, content, attributes })
            }
            Some(Incoming::Small { open: Some(file), .. }) => self.pool.submit(Job::Fill { file, content }),
            Some(Incoming::Large { .. }) | None => Ok(()),
        }
    }

    /// Makes what had to wait until every file is written.
    fn settle(mut self, cancel: &CancellationToken) -> Result<(), ArchiveError> {
        self.pool.drain()?;
        self.drop_repetitions();
        for (path, target) in &self.hard_links {
            if cancel.is_cancelled() {
                return Err(ArchiveError::Cancelled);
            }
            self.make_hard_link(path, target)?;
        }
        // All parents first: once there is a link, a name could lead through it.
        let mut parent = None;
        for (path, ..) in &self.symlinks {
            if path.parent() != parent {
                pool::make_parent(path)?;
                parent = path.parent();
            }
        }
        for (path, target, attributes) in &self.symlinks {
            if cancel.is_cancelled() {
                return Err(ArchiveError::Cancelled);
            }
            self.make_symlink(path, target, *attributes)?;
        }
        // Innermost first: what is above may forbid to go inside, and changes when its content does.
        self.directories.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (path, attributes) in &self.directories {
            placement::set_mode(path, attributes.mode)
                .map_err(ArchiveError::write("set the mode of", path))?;
            filetime::set_file_mtime(path, file_time(attributes.modified))
                .map_err(ArchiveError::write("set the time of", path))?;
        }
        Ok(())
    }

    fn make_hard_link(&self, path: &Path, target: &Path) -> Result<(), ArchiveError> {
        let name = path.as_os_str().as_encoded_bytes();
        match fs::symlink_metadata(target) {
            Ok(metadata) if metadata.is_file() => {}
            _ => {
                return Err(ArchiveError::refused(
                    name,
                    "is a hard link to a file that the archive does not hold",
                ));
            }
        }
        if path == target {
            return Ok(());
        }
        pool::make_parent(path)?;
        if !self.trusted && fs::symlink_metadata(path).is_ok() {
            placement::clear_for(path, |kind| kind.is_file())?;
        }
        match fs::hard_link(target, path) {
            // Roots may go to different volumes, and some file systems know no hard links.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) =>
            {
                placement::copy(target, path)
            }
            linked => linked.map_err(ArchiveError::write("link", path)),
        }
    }

    /// Forgets links of a name to itself: how GNU tar stores what its arguments name twice.
    fn drop_repetitions(&mut self) {
        if self.hard_links.iter().all(|(path, target)| path != target) {
            return;
        }
        let symlinks: HashSet<&Path> = self.symlinks.iter().map(|(path, ..)| path.as_path()).collect();
        let is_there = |path: &Path| {
            symlinks.contains(path) || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
        };
        self.hard_links.retain(|(path, target)| path != target || !is_there(path));
    }

    fn make_symlink(&self, path: &Path, target: &[u8], attributes: Attributes) -> Result<(), ArchiveError> {
        let target = guard::os_name(target)
            .ok_or_else(|| ArchiveError::refused(target, "is a link to a name that is not Unicode"))?;
        if !self.trusted && fs::symlink_metadata(path).is_ok() {
            placement::clear_for(path, |kind| kind.is_symlink())?;
        }
        placement::symlink(&target, path).map_err(ArchiveError::write("link", path))?;
        let time = file_time(attributes.modified);
        filetime::set_symlink_file_times(path, time, time)
            .map_err(ArchiveError::write("set the time of", path))
    }
}
