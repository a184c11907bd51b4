//! Files written by a bounded pool of threads: small files whole and several at once, large ones in parts.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Scope;

use filetime::FileTime;

use super::destination;
use crate::archive::format::error::ArchiveError;
use crate::archive::read::buffer::Slice;
use crate::archive::read::entries::{Attributes, PromisedHash, Spot};
use crate::archive::read::tar_stream::is_zero;
use crate::domain::digest::Sha256Digest;
use crate::fs::{holes, mode};
use crate::threads::contain::contain;
use crate::threads::start;
use crate::tree::fingerprint::{ContentDigest, QuickSum};
use crate::tree::hashed::HashedFile;
use crate::tree::walk::{Item, Modified};

/// Upper bound for waiting jobs; each holds at most some small files or a part of a frame.
const WAITING: usize = 32;

/// Small files are handed over together, up to so many files or bytes: waking a thread takes about as long as writing a file.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: usize = 512 << 10;

#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const HOLE: usize = holes::HOLE as usize;

/// Bytes to be written: shared with the frame they came in, or gathered from several.
#[derive(Debug)]
pub(super) enum Content {
    Shared(Slice),
    Gathered(Vec<u8>),
}

impl Content {
    fn shared(&self) -> Option<&Slice> {
        match self {
            Content::Shared(slice) => Some(slice),
            Content::Gathered(_) => None,
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Shared(slice) => slice,
            Content::Gathered(bytes) => bytes,
        }
    }
}

/// A file that does not exist yet, whole.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) path: PathBuf,
    pub(super) content: Content,
    pub(super) attributes: Attributes,
    pub(super) hash: Option<WantedHash>,
}

/// What the hash of a file is wanted for: the one who waits for it, and the digest of the tree.
#[derive(Debug)]
pub(super) struct WantedHash {
    pub(super) spot: Spot,
    pub(super) mode: u32,
    pub(super) promise: PromisedHash,
}

/// Digests of what was written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Digests {
    /// Of the contents of the files that were hashed.
    pub(super) content: ContentDigest,
    /// The quick fingerprint of the files of which the caller said where they are.
    pub(super) quick: QuickSum,
}

impl Digests {
    fn add_content(&mut self, wanted: &WantedHash, content: &[u8]) {
        let hash = Sha256Digest::of(content);
        self.content.add_file(wanted.spot.root, &wanted.spot.relative, wanted.mode, &hash.0);
        wanted.promise.keep(hash);
    }

    /// Adds a file that is complete to the quick fingerprint.
    fn add_quick(&mut self, spot: Spot, file: &File, path: &Path) -> Result<(), ArchiveError> {
        let metadata = file.metadata().map_err(ArchiveError::write("read", path))?;
        self.quick.add(spot.root, &Item::file(spot.relative, &metadata));
        Ok(())
    }

    fn merge(&mut self, other: &Digests) {
        self.content.merge(other.content);
        self.quick.merge(&other.quick);
    }
}

/// A piece of work for the pool.
#[derive(Debug)]
pub(super) enum WriteJob {
    /// Small files.
    Create(Vec<NewFile>),
    /// A file that does not exist yet, with the content of another one.
    Copy { path: PathBuf, source: HashedFile, attributes: Attributes },
    /// A file that does not exist yet, and is there in the tree that it will replace: linked where that comes to the same.
    Reuse { path: PathBuf, source: HashedFile, attributes: Attributes },
    /// A file just created, whole.
    Fill { file: Arc<OpenFile>, content: Content, hash: Option<WantedHash> },
    /// A part of a large file.
    Part { file: Arc<OpenFile>, offset: u64, content: Content },
}

/// A file that several jobs write; the one that writes its last byte sets its attributes.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    file: File,
    attributes: Attributes,
    missing: AtomicU64,
    /// Where it is, if it is part of the quick fingerprint.
    spot: Option<Spot>,
}

impl OpenFile {
    /// Creates a file that does not exist yet.
    pub(super) fn create(path: PathBuf, size: u64, attributes: Attributes) -> Result<Self, ArchiveError> {
        let file = create(&path)?;
        Ok(OpenFile { path, file, attributes, missing: AtomicU64::new(size), spot: None })
    }

    /// The same, as part of the quick fingerprint if its place is given.
    pub(super) fn at(self, spot: Option<Spot>) -> Self {
        OpenFile { spot, ..self }
    }

    /// Sets the length of the file, so that parts of zeros need not be written.
    pub(super) fn stretch(&self) -> Result<(), ArchiveError> {
        let size = self.missing.load(Ordering::Relaxed);
        self.file.set_len(size).map_err(ArchiveError::write("write", &self.path))
    }

    fn write(
        &self,
        offset: u64,
        content: &[u8],
        holes: bool,
        digests: &mut Digests,
    ) -> Result<(), ArchiveError> {
        let written = if holes {
            write_sparse(&self.file, offset, content)
        } else {
            write_at(&self.file, content, offset)
        };
        written.map_err(ArchiveError::write("write", &self.path))?;
        let before = self.missing.fetch_sub(content.len() as u64, Ordering::AcqRel);
        if before == content.len() as u64 { self.finish(digests) } else { Ok(()) }
    }

    fn finish(&self, digests: &mut Digests) -> Result<(), ArchiveError> {
        finish(&self.file, &self.path, self.attributes)?;
        self.spot.clone().map_or(Ok(()), |spot| digests.add_quick(spot, &self.file, &self.path))
    }
}

/// A pool of threads that write.
pub(super) struct WritePool {
    /// `None` if there are no threads: jobs are done as they are added.
    jobs: Option<SyncSender<WriteJob>>,
    shared: Arc<SharedPool>,
    /// Small files that were not handed over yet.
    batch: Batch,
}

/// Files whose contents lie in one frame, or were copied out of their frames.
#[derive(Default)]
struct Batch {
    files: Vec<NewFile>,
    bytes: usize,
}

impl Batch {
    /// Whether a file has to go into another batch: the memory of a frame is free once its files are written, and the next frame
    /// may wait for it.
    fn is_of_other_frame(&self, content: &Content) -> bool {
        let held = self.files.iter().rev().find_map(|file| file.content.shared());
        held.is_some_and(|held| content.shared().is_some_and(|slice| !slice.shares_chunk_with(held)))
    }

    fn push(&mut self, file: NewFile) {
        self.bytes += file.content.len();
        self.files.push(file);
    }

    fn is_full(&self) -> bool {
        self.files.len() >= BATCH_FILES || self.bytes >= BATCH_BYTES
    }
}

#[derive(Default)]
struct SharedPool {
    state: Mutex<PoolState>,
    idle: Condvar,
}

#[derive(Default)]
struct PoolState {
    unfinished: usize,
    error: Option<ArchiveError>,
    digests: Digests,
}

impl WritePool {
    /// Starts threads that end when the pool is dropped; as many of them as can be had.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, workers: usize) -> Self {
        let (jobs, taken) = mpsc::sync_channel(WAITING);
        let taken = Arc::new(Mutex::new(taken));
        let shared = Arc::new(SharedPool::default());
        let started = start::several(scope, "write", workers, || {
            let (taken, shared) = (Arc::clone(&taken), Arc::clone(&shared));
            move || work(&taken, &shared)
        });
        WritePool { jobs: (started > 0).then_some(jobs), shared, batch: Batch::default() }
    }

    /// Adds a small file, which is handed over with others; returns the first error of earlier jobs.
    pub(super) fn create(&mut self, file: NewFile) -> Result<(), ArchiveError> {
        if self.batch.is_of_other_frame(&file.content) {
            self.hand_over()?;
        }
        self.batch.push(file);
        if self.batch.is_full() { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), ArchiveError> {
        let Batch { files, .. } = mem::take(&mut self.batch);
        if files.is_empty() { Ok(()) } else { self.submit(WriteJob::Create(files)) }
    }

    /// Adds a job; returns the first error of earlier jobs.
    pub(super) fn submit(&self, job: WriteJob) -> Result<(), ArchiveError> {
        let Some(jobs) = &self.jobs else {
            return perform(job, &mut self.shared.lock().digests);
        };
        {
            let mut state = self.shared.lock();
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            state.unfinished += 1;
        }
        jobs.send(job).map_err(|_| ArchiveError::Worker(io::Error::other("a thread that wrote has failed")))
    }

    /// Waits until every job is done.
    pub(super) fn drain(&mut self) -> Result<(), ArchiveError> {
        self.hand_over()?;
        let mut state = self.shared.lock();
        while state.unfinished > 0 {
            state = self.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.error.take().map_or(Ok(()), Err)
    }

    /// Digests of everything, once it is written.
    pub(super) fn digests(&self) -> Digests {
        self.shared.lock().digests
    }
}

impl SharedPool {
    fn lock(&self) -> std::sync::MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(taken: &Mutex<Receiver<WriteJob>>, shared: &SharedPool) {
    loop {
        let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { break };
        let mut digests = Digests::default();
        let done = if shared.lock().error.is_some() {
            Ok(())
        } else {
            // Contained, so that a panic leaves no job unfinished that others wait for.
            contain(|| perform(job, &mut digests))
                .unwrap_or_else(|panicked| Err(ArchiveError::Worker(panicked.into())))
        };
        let mut state = shared.lock();
        state.unfinished -= 1;
        state.digests.merge(&digests);
        if let Err(error) = done {
            state.error.get_or_insert(error);
        }
        if state.unfinished == 0 {
            shared.idle.notify_all();
        }
    }
}

fn perform(job: WriteJob, digests: &mut Digests) -> Result<(), ArchiveError> {
    match job {
        WriteJob::Create(files) => files.into_iter().try_for_each(|file| write_new(file, digests)),
        WriteJob::Copy { path, source, attributes } => copy(&path, &source, attributes),
        WriteJob::Reuse { path, source, attributes } => {
            make_parent(&path)?;
            let linked = source.link_to(&path, attributes.mode, attributes.modified);
            if linked.map_err(ArchiveError::write("link", &path))? {
                return Ok(());
            }
            copy(&path, &source, attributes)
        }
        WriteJob::Fill { file, content, hash } => {
            if content.is_empty() {
                file.finish(digests)?;
            } else {
                file.write(0, &content, false, digests)?;
            }
            if let Some(wanted) = hash {
                digests.add_content(&wanted, &content);
            }
            Ok(())
        }
        WriteJob::Part { file, offset, content } => file.write(offset, &content, true, digests),
    }
}

fn write_new(new: NewFile, digests: &mut Digests) -> Result<(), ArchiveError> {
    let NewFile { path, content, attributes, hash } = new;
    let file = create(&path)?;
    write_at(&file, &content, 0).map_err(ArchiveError::write("write", &path))?;
    finish(&file, &path, attributes)?;
    let Some(wanted) = hash else { return Ok(()) };
    digests.add_content(&wanted, &content);
    digests.add_quick(wanted.spot, &file, &path)
}

fn copy(path: &Path, source: &HashedFile, attributes: Attributes) -> Result<(), ArchiveError> {
    let file = create(path)?;
    source.copy_to(&file).map_err(ArchiveError::write("copy", source.path()))?;
    finish(&file, path, attributes)
}

/// Creates a file that must not exist yet, and the directories above it that do not.
fn create(path: &Path) -> Result<File, ArchiveError> {
    let attempt = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    };
    let created = match attempt() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_parent(path)?;
            attempt()
        }
        created => created,
    };
    created.map_err(destination::not_created(path))
}

/// Makes the directories above a path.
pub(super) fn make_parent(path: &Path) -> Result<(), ArchiveError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(destination::not_created(parent))
}

fn finish(file: &File, path: &Path, attributes: Attributes) -> Result<(), ArchiveError> {
    mode::set_of_file(file, attributes.mode).map_err(ArchiveError::write("set the mode of", path))?;
    let Some(modified) = attributes.modified else { return Ok(()) };
    // As if it had been read when it was written: what a restore did says nothing about its use.
    let time = file_time(modified);
    filetime::set_file_handle_times(file, Some(time), Some(time))
        .map_err(ArchiveError::write("set the time of", path))
}

/// A time in the type of `filetime`.
pub(super) fn file_time(modified: Modified) -> FileTime {
    FileTime::from_unix_time(modified.seconds, modified.nanoseconds)
}

/// Writes all but long runs of zeros, into a file that already has its length.
fn write_sparse(file: &File, offset: u64, content: &[u8]) -> io::Result<()> {
    let (mut pending, mut at) = (0, 0);
    while at < content.len() {
        // Frames do not end at boundaries of holes: the first and the last piece may be short.
        let into_block = usize::try_from((offset + at as u64) % HOLE as u64).expect("below a boundary");
        let end = content.len().min(at + HOLE - into_block);
        if is_zero(&content[at..end]) {
            write_at(file, &content[pending..at], offset + pending as u64)?;
            pending = end;
        }
        at = end;
    }
    write_at(file, &content[pending..], offset + pending as u64)
}

#[cfg(unix)]
fn write_at(file: &File, content: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, content, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut content: &[u8], mut offset: u64) -> io::Result<()> {
    while !content.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, content, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        content = &content[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_read_as_the_zeros_they_stand_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let mut content = vec![0; 5 * HOLE + 17];
        content[0] = 1;
        content[3 * HOLE + 5] = 2;
        for offset in [0, 1, HOLE as u64 - 1, HOLE as u64 + 7] {
            let file = File::create(&path).expect("a file");
            file.set_len(offset + content.len() as u64).expect("a length");
            write_sparse(&file, offset, &content).expect("written");
            let read = fs::read(&path).expect("read");
            assert!(read.ends_with(&content), "{offset}");
        }
    }
}
