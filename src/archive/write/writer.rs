//! The writer of entries: the only code that makes files, directories and links of an archive.
//!
//! It is safe and exact by its order: files and directories as they come, then hard links, then symbolic links, then the
//! modes and times of directories, innermost first. (Without a manifest hard links are made as they come.) While files are written there is no symbolic link that a name could lead
//! through. Memory holds what differs between the names of directories and links, within a bound.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Scope;

use tokio_util::sync::CancellationToken;

use super::destination::{self, Destination, name_of};
use super::pool::{self, Content, NewFile, OpenFile, WantedHash, WriteJob, WritePool, file_time};
use super::remembered::RememberedEntries;
use crate::archive::format::error::ArchiveError;
use crate::archive::read::buffer::Slice;
use crate::archive::read::entries::{Attributes, Hashing, PromisedHash, Spot, Visitor};
use crate::archive::read::guard;
use crate::fs::{cancel, holes, link, mode, unsupported};
use crate::tree::fingerprint::{ContentDigest, Quick, QuickSum};
use crate::tree::hashed::HashedFile;
use crate::tree::walk::{Item, ItemKind, Modified};

/// Files up to this size are written whole by one thread.
const SMALL: u64 = holes::WITHOUT_HOLES;

/// Which later entry may take the place of an earlier one of the same name. Directories are never replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// None: an archive with a manifest holds every name once.
    Refused,
    /// One of the same kind: programs that pack a cache name a file twice if their arguments do.
    SameKind,
    /// A file or a link: tar archives that were appended to hold several versions.
    FilesAndLinks,
}

/// What a writer has written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// The digest of all contents that were hashed.
    pub(crate) content: ContentDigest,
    /// The quick fingerprint of the trees; `None` where it takes a walk.
    pub(crate) quick: Option<Quick>,
}

/// Writes entries below its destinations, which start empty: directories at once, files by a pool of threads as they come, links and the
/// modes and times of directories at the end.
pub(crate) struct Writer {
    pool: WritePool,
    destinations: Vec<Destination>,
    repeats: Repeats,
    file: Option<Incoming>,
    /// Whether the contents of files are hashed: not where the caller knows them.
    is_hashing: bool,
    /// Of links and large files so far, of which the pool has the rest.
    digest: ContentDigest,
    /// The quick fingerprint of directories and links, of which the pool has the rest.
    quick: QuickSum,
    /// Whether everything is in the quick fingerprint: not where names repeat, nor where files get further names.
    is_counted: bool,
    remembered: RememberedEntries,
}

/// The file whose content arrives.
enum Incoming {
    /// Written when complete.
    Small { target: SmallTarget, size: usize, gathered: Vec<u8>, hash: Option<WantedHash> },
    /// Written as it comes.
    Large { file: Arc<OpenFile>, offset: u64, spot: Spot, mode: u32, hash: PromisedHash },
}

/// Where a file goes that is written when complete.
enum SmallTarget {
    /// Created with it.
    New { path: PathBuf, attributes: Attributes },
    /// Created already, where a later entry may take its place.
    Open(Arc<OpenFile>),
}

impl Writer {
    /// A writer with threads that end when it is dropped.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        workers: usize,
        destinations: Vec<Destination>,
        repeats: Repeats,
    ) -> Self {
        Writer {
            pool: WritePool::start(scope, workers),
            destinations,
            repeats,
            file: None,
            is_hashing: true,
            digest: ContentDigest::default(),
            quick: QuickSum::default(),
            is_counted: repeats == Repeats::Refused,
            remembered: RememberedEntries::default(),
        }
    }

    /// The same, where the caller knows what files hold.
    #[must_use]
    pub(crate) fn without_hashing(self) -> Self {
        Writer { is_hashing: false, is_counted: false, ..self }
    }

    /// A file with the content of another one.
    pub(crate) fn copy(
        &mut self,
        spot: &Spot,
        source: HashedFile,
        attributes: Attributes,
    ) -> Result<(), ArchiveError> {
        self.make_way(spot)?;
        self.pool.submit(WriteJob::Copy { path: self.path(spot), source, attributes })
    }

    /// A file that the tree has which this one will replace.
    pub(crate) fn reuse(
        &mut self,
        spot: &Spot,
        source: HashedFile,
        attributes: Attributes,
    ) -> Result<(), ArchiveError> {
        self.make_way(spot)?;
        let path = self.path(spot);
        // A root is published by its name alone, and the system takes two names of one file for one.
        self.pool.submit(if spot.is_root() {
            WriteJob::Copy { path, source, attributes }
        } else {
            WriteJob::Reuse { path, source, attributes }
        })
    }

    /// A file that was written, as a source of copies.
    pub(crate) fn written(&self, spot: &Spot) -> Result<HashedFile, ArchiveError> {
        let path = self.path(spot);
        let metadata = fs::symlink_metadata(&path).map_err(ArchiveError::write("read", &path))?;
        Ok(HashedFile::found(path, metadata.len(), Modified::of(&metadata)))
    }

    /// Waits until all files so far are written.
    pub(crate) fn drain(&mut self) -> Result<(), ArchiveError> {
        self.pool.drain()
    }

    /// Makes what had to wait until every file is written: hard links, then symbolic links, then the modes and times of directories.
    /// Returns digests, which are right where no name repeats.
    pub(crate) fn finish(mut self, cancel: &CancellationToken) -> Result<Written, ArchiveError> {
        self.pool.drain()?;
        self.end_large();
        let remembered = std::mem::take(&mut self.remembered);
        let check = || if cancel::is_cancelled(cancel) { Err(ArchiveError::Cancelled) } else { Ok(()) };
        if self.repeats == Repeats::Refused {
            for link in remembered.hard_links() {
                let (name, target) = link?;
                check()?;
                self.make_way(&name)?;
                self.make_hard_link(&self.path(&name), &self.path(&target))?;
            }
        }
        // Before there are links to follow, and directories that cannot be entered.
        let mut digest = std::mem::take(&mut self.digest);
        let of_files = self.pool.digests();
        digest.merge(of_files.content);
        digest.merge(remembered.digest_hard_links(|spot| self.path(spot), cancel)?);
        self.make_symlinks(&remembered, check)?;
        for directory in remembered.directories() {
            let (spot, attributes) = directory?;
            set_attributes(&self.path(&spot), attributes)?;
        }
        for (path, mode) in remembered.unsearchable_directories() {
            mode::set_of_directory(path, mode).map_err(ArchiveError::write("set the mode of", path))?;
        }
        self.quick.merge(&of_files.quick);
        Ok(Written { content: digest, quick: self.is_counted.then(|| self.quick.quick()) })
    }

    /// Adds a directory or a link to the quick fingerprint, if that is wanted.
    fn count(&mut self, spot: &Spot, kind: ItemKind, mode: u32) {
        if self.is_counted {
            self.quick.add(spot.root, &Item::plain(spot.relative.clone(), kind, mode));
        }
    }

    fn make_symlinks(
        &self,
        remembered: &RememberedEntries,
        check: impl Fn() -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        // All parents first: once there is a link, a name could lead through it.
        let mut parent = PathBuf::new();
        let mut make_parent = |path: &Path| {
            if path.parent() != Some(&parent) {
                pool::make_parent(path)?;
                parent = path.parent().map(Path::to_owned).unwrap_or_default();
            }
            Ok::<_, ArchiveError>(())
        };
        remembered.replaceable.keys().try_for_each(|path| make_parent(path))?;
        for link in remembered.symlinks() {
            make_parent(&self.path(&link?.0))?;
        }
        for (path, (target, attributes)) in &remembered.replaceable {
            check()?;
            self.make_symlink(path, target, *attributes)?;
        }
        for link in remembered.symlinks() {
            let (spot, target, attributes) = link?;
            check()?;
            self.make_symlink(&self.path(&spot), &target, attributes)?;
        }
        Ok(())
    }

    fn path(&self, spot: &Spot) -> PathBuf {
        let directory = &self.destinations[spot.root].directory;
        if spot.is_root() { directory.clone() } else { directory.join(&spot.relative) }
    }

    /// Removes the file or link in whose place another entry comes.
    fn clear(&mut self, path: &Path) -> Result<(), ArchiveError> {
        if self.remembered.replaceable.remove(path).is_some() || fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        self.pool.drain()?;
        clear_for(path, |kind| kind.is_file())
    }

    /// Creates a file; a later one replaces an earlier one of the same name, where that is allowed.
    fn create(&mut self, path: PathBuf, size: u64, attributes: Attributes) -> Result<OpenFile, ArchiveError> {
        if self.repeats == Repeats::FilesAndLinks {
            self.remembered.replaceable.remove(&path);
        }
        match OpenFile::create(path.clone(), size, attributes) {
            Err(ArchiveError::Write { source, .. })
                if self.repeats != Repeats::Refused && source.kind() == io::ErrorKind::AlreadyExists =>
            {
                self.pool.drain()?;
                clear_for(&path, |kind| kind.is_file())?;
                OpenFile::create(path, size, attributes)
            }
            created => created,
        }
    }

    /// Closes and digests the file before, if it is a large one: its hash is there by now. Hard links are digested at the end: the file that one joins
    /// may be any of those before it.
    fn end_large(&mut self) {
        if let Some(Incoming::Large { spot, mode, hash, .. }) = self.file.take()
            && let Some(hash) = hash.get()
        {
            self.digest.add_file(spot.root, &spot.relative, mode, &hash.0);
        }
    }

    fn finish_small(&mut self, content: Content) -> Result<(), ArchiveError> {
        let Some(Incoming::Small { target, hash, .. }) = self.file.take() else { return Ok(()) };
        match target {
            SmallTarget::New { path, attributes } => {
                self.pool.create(NewFile { path, content, attributes, hash })
            }
            SmallTarget::Open(file) => self.pool.submit(WriteJob::Fill { file, content, hash }),
        }
    }

    /// Removes the destination of a root that is a file: an empty directory, before anything is in it.
    fn make_way(&self, spot: &Spot) -> Result<(), ArchiveError> {
        if !spot.is_root() {
            return Ok(());
        }
        let directory = &self.destinations[spot.root].directory;
        match fs::remove_dir(directory) {
            // Something is there by now, or will be once the pool has come to it, and is met when the file is made.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            Err(_) => Err(ArchiveError::refused(
                &name_of(directory),
                "is in the archive twice, as different things",
            )),
            Ok(()) => Ok(()),
        }
    }

    fn make_hard_link(&mut self, path: &Path, target: &Path) -> Result<(), ArchiveError> {
        if !fs::symlink_metadata(target).is_ok_and(|metadata| metadata.is_file()) {
            let reason = "is a hard link to a file that the archive does not hold";
            return Err(ArchiveError::refused(&name_of(path), reason));
        }
        // GNU tar stores what its arguments name twice as a link to itself.
        if path == target {
            return Ok(());
        }
        pool::make_parent(path)?;
        match self.repeats {
            Repeats::Refused => {}
            Repeats::SameKind if fs::symlink_metadata(path).is_err() => {}
            Repeats::SameKind => clear_for(path, |kind| kind.is_file())?,
            Repeats::FilesAndLinks => self.clear(path)?,
        }
        match fs::hard_link(target, path) {
            // Roots may go to different volumes, and some file systems have no hard links.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) =>
            {
                self.pool.drain()?;
                copy_file(target, path)
            }
            linked => linked.map_err(ArchiveError::write("link", path)),
        }
    }

    fn make_symlink(&self, path: &Path, target: &[u8], attributes: Attributes) -> Result<(), ArchiveError> {
        let target = guard::os_name(target).ok_or_else(|| {
            ArchiveError::unsupported(&name_of(path), "is a link to a name that is not Unicode")
        })?;
        if self.repeats != Repeats::Refused && fs::symlink_metadata(path).is_ok() {
            clear_for(path, |kind| kind.is_symlink())?;
        }
        link::make(&target, path).map_err(|error| match unsupported::link(&error) {
            Some(reason) => ArchiveError::unsupported(&name_of(path), reason),
            None => ArchiveError::write("link", path)(error),
        })?;
        let Some(modified) = attributes.modified else { return Ok(()) };
        let time = file_time(modified);
        filetime::set_symlink_file_times(path, time, time)
            .map_err(ArchiveError::write("set the time of", path))
    }
}

impl Visitor for Writer {
    /// A directory, whose attributes are set at the end.
    fn directory(&mut self, spot: &Spot, attributes: Attributes) -> Result<(), ArchiveError> {
        self.end_large();
        let path = self.path(spot);
        self.remembered.directory(spot, &path, attributes)?;
        self.count(spot, ItemKind::Directory, attributes.mode);
        if self.repeats == Repeats::FilesAndLinks {
            self.remembered.replaceable.remove(&path);
        }
        // With a manifest an archive names a directory before what lies in it, and once.
        if self.repeats == Repeats::Refused && !spot.is_root() {
            make_new_directory(&path)
        } else {
            make_directory(&path)
        }
    }

    /// A file: a small one is gathered and written whole, a large one as it comes.
    fn file(&mut self, spot: Spot, size: u64, attributes: Attributes) -> Result<Hashing, ArchiveError> {
        self.end_large();
        self.make_way(&spot)?;
        let path = self.path(&spot);
        let (mode, promise) = (attributes.mode, PromisedHash::default());
        if size > SMALL {
            let file =
                Arc::new(self.create(path, size, attributes)?.at(self.is_counted.then(|| spot.clone())));
            file.stretch()?;
            self.file = Some(Incoming::Large { file, offset: 0, spot, mode, hash: promise.clone() });
            return Ok(if self.is_hashing { Hashing::ByReader(promise) } else { Hashing::IfListed });
        }
        let target = match self.repeats {
            Repeats::Refused => SmallTarget::New { path, attributes },
            _ => SmallTarget::Open(Arc::new(self.create(path, size, attributes)?)),
        };
        let size = usize::try_from(size).expect("small files fit into memory");
        let hash = self.is_hashing.then(|| WantedHash { spot, mode, promise: promise.clone() });
        self.file = Some(Incoming::Small { target, size, gathered: Vec::new(), hash });
        if size == 0 {
            self.finish_small(Content::Gathered(Vec::new()))?;
        }
        Ok(if self.is_hashing { Hashing::ByVisitor(promise) } else { Hashing::IfListed })
    }

    fn content(&mut self, slice: Slice) -> Result<(), ArchiveError> {
        match self.file.as_mut().expect("content comes after its file") {
            Incoming::Large { file, offset, .. } => {
                let (file, at) = (Arc::clone(file), *offset);
                *offset += slice.len() as u64;
                self.pool.submit(WriteJob::Part { file, offset: at, content: Content::Shared(slice) })
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

    fn keep_promises(&mut self) -> Result<(), ArchiveError> {
        self.pool.drain()
    }

    /// A symbolic link, which is made at the end.
    fn symlink(&mut self, spot: &Spot, target: Vec<u8>, attributes: Attributes) -> Result<(), ArchiveError> {
        self.end_large();
        if let Some(target) = guard::os_name(&target) {
            self.digest.add_link(spot.root, &spot.relative, &target);
            self.count(spot, ItemKind::Symlink { target }, attributes.mode);
        }
        // Two of one name are noticed when they are made.
        if self.repeats == Repeats::Refused {
            return self.remembered.symlink(spot, &target, attributes);
        }
        let path = self.path(spot);
        if self.repeats == Repeats::FilesAndLinks {
            self.clear(&path)?;
        }
        self.remembered.replaceable(path, (target, attributes))
    }

    fn hard_link(&mut self, spot: &Spot, target: &Spot) -> Result<(), ArchiveError> {
        self.end_large();
        // Each further name changes the revision of the file.
        self.is_counted = false;
        if self.repeats != Repeats::FilesAndLinks {
            self.remembered.hard_link(spot, target)?;
        }
        if self.repeats == Repeats::Refused {
            return Ok(());
        }
        self.make_way(spot)?;
        let (path, target) = (self.path(spot), self.path(target));
        // Here every file exists from its entry on, and the order of entries decides which one is linked.
        let is_repetition = path == target;
        if let Some(link) = self.remembered.replaceable.get(&target).cloned() {
            if is_repetition {
                return Ok(());
            }
            if self.repeats == Repeats::FilesAndLinks {
                self.clear(&path)?;
                return self.remembered.replaceable(path, link);
            }
        }
        self.make_hard_link(&path, &target)
    }
}

/// Sets mode and time of a directory.
fn set_attributes(path: &Path, Attributes { mode, modified }: Attributes) -> Result<(), ArchiveError> {
    mode::set_of_directory(path, mode).map_err(ArchiveError::write("set the mode of", path))?;
    let Some(modified) = modified else { return Ok(()) };
    let time = file_time(modified);
    filetime::set_file_times(path, time, time).map_err(ArchiveError::write("set the time of", path))
}

/// Makes a directory, with those above it that are missing.
fn make_directory(path: &Path) -> Result<(), ArchiveError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(destination::not_created(path))
        }
        // It was made for an entry below it, or is the destination itself.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            _ => Err(ArchiveError::write("create", path)(error)),
        },
        Err(error) => Err(destination::not_created(path)(error)),
    }
}

/// Makes a directory that does not exist, with those above it that are missing.
fn make_new_directory(path: &Path) -> Result<(), ArchiveError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_directory(path),
        made => made.map_err(destination::not_created(path)),
    }
}

/// Removes what is in the place of an entry, if it has the kind that may be replaced.
fn clear_for(path: &Path, same: impl Fn(fs::FileType) -> bool) -> Result<(), ArchiveError> {
    let metadata = fs::symlink_metadata(path).map_err(|error| {
        // Something is in the way. If it is not there, it is a file above, which Windows does not tell from nothing.
        let is_above = error.kind() == io::ErrorKind::NotFound;
        ArchiveError::write("replace", path)(if is_above {
            io::ErrorKind::NotADirectory.into()
        } else {
            error
        })
    })?;
    if same(metadata.file_type()) {
        return fs::remove_file(path).map_err(ArchiveError::write("replace", path));
    }
    Err(ArchiveError::refused(&name_of(path), "is in the archive twice, as different things"))
}

/// Copies a file with its mode and time, in place of a hard link.
fn copy_file(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    let metadata = fs::metadata(from).map_err(ArchiveError::write("read", from))?;
    fs::copy(from, to).map_err(ArchiveError::write("copy", to))?;
    let time = filetime::FileTime::from_last_modification_time(&metadata);
    filetime::set_file_times(to, time, time).map_err(ArchiveError::write("set the time of", to))
}
