//! Archives packed: a tree becomes a stream, without a temporary file.
//!
//! One thread walks and cuts the tar stream into frames by names and sizes; a bounded pool reads files and
//! compresses; the calling thread writes the frames in order, or does it all if no threads can be had. Memory holds one
//! uncompressed frame for each worker and a few compressed ones.

pub(super) mod compress;
pub(super) mod plan;
pub(super) mod survey;
pub(super) mod thin;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::format::error::ArchiveError;
use super::format::list::{LARGEST_LIST, Row, RowKind};
use super::format::list_frame::{self, ListWriter, Proof};
use super::format::manifest::{Manifest, Root};
use super::format::seek_table::SeekTable;
use super::format::version::{FORMAT, UNLISTED};
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Meter;
use crate::domain::version::portable_roots;
use crate::fs::cancel;
use crate::threads::contain::contain;
use crate::threads::start;
use crate::transport::pipe::{Crossing, PipeWriter};
use crate::tree::selection::Selection;
use crate::tree::walk::WalkError;
use compress::{CompressionPace, Frame, Levels, Measured, Worker, compress_frame};
use plan::{Count, Cutter, Layout, PlannedFrame, Totals, Tree};

/// Bytes of the tar stream in a frame, and in one of a stream too short to keep several threads busy.
const FRAME_BYTES: u32 = 4 << 20;
const SMALL_FRAME_BYTES: u32 = 1 << 20;
const SHORT_STREAM: u64 = 64 << 20;

/// Upper bound for the path patterns that a manifest records; of a cache with more none are.
const MOST_PATTERN_BYTES: usize = 256 << 10;

/// What to pack.
#[derive(Debug, Clone, Copy)]
pub struct PackRequest<'a> {
    /// The cache's name.
    pub cache: &'a str,
    /// Its roots.
    pub selections: &'a [Selection],
    /// A file, relative to the first root, that must be the last in the archive: the sentinel.
    pub last: Option<&'a Path>,
    /// Threads that read and compress, if they can be had; with 0 it all happens on the calling thread.
    pub workers: usize,
    /// The range of compression levels.
    pub levels: Levels,
    /// The program and its version, for the manifest.
    pub producer: &'a str,
}

/// What was packed.
#[derive(Debug, Clone)]
pub struct Packed {
    /// What the archive holds.
    pub manifest: Manifest,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// The digest that the archive carries.
    pub digest: Sha256Digest,
    /// Sockets, pipes and devices that were left out: the first hundred.
    pub skipped: Vec<PathBuf>,
    /// How many were left out.
    pub skipped_count: u64,
    /// Roots that do not exist; never all of them.
    pub missing_roots: Vec<PathBuf>,
}

/// Packs a tree into an archive.
///
/// A file that changes while it is packed is an error, since the archive would hold a content that the file never had.
/// After an error the output holds the beginning of an archive, which readers refuse as damaged.
pub fn pack(
    request: &PackRequest<'_>,
    out: impl ArchiveOutput,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Packed, ArchiveError> {
    let prefixes = portable_roots(request.cache, request.selections.len());
    let tree = Tree::list(request.selections, &prefixes, request.last, request.workers, cancel);
    let mut count = Count::default();
    let totals = plan::lay_out(&tree, &mut count, cancel)?;
    if totals.missing.len() == request.selections.len() {
        let root = totals.missing.into_iter().next().unwrap_or_default();
        return Err(WalkError::Missing(root).into());
    }
    meter.set_total(totals.unpacked_bytes);
    meter.set_total_items(totals.counts.files);
    let frame_bytes = frame_bytes(totals.stream_bytes);
    let manifest = Manifest {
        format: if totals.list_bytes <= LARGEST_LIST { FORMAT } else { UNLISTED },
        producer: request.producer.to_owned(),
        cache: request.cache.to_owned(),
        roots: roots(&tree, &totals, &count),
        counts: totals.counts,
        unpacked_bytes: totals.unpacked_bytes,
        stream_bytes: totals.stream_bytes,
        frame_bytes,
        parents: Vec::new(),
    };
    let mut output = PackOutput::new(out, &manifest, None)?;
    let cutting = Cutting {
        lay_out: &|layout, cancel| plan::lay_out(&tree, layout, cancel),
        root: &tree.selections[0].root,
        expected: &totals,
        frame_bytes: frame_bytes as usize,
        is_listed: manifest.is_listed(),
    };
    frames(request, &cutting, &mut output, cancel, meter)?;
    let (archive_bytes, digest) = output.seal()?;
    let Totals { skipped, skipped_count, missing: missing_roots, .. } = totals;
    Ok(Packed { manifest, archive_bytes, digest, skipped, skipped_count, missing_roots })
}

/// Bytes of the tar stream in each frame of a stream of this length.
fn frame_bytes(stream_bytes: u64) -> u32 {
    if stream_bytes < SHORT_STREAM { SMALL_FRAME_BYTES } else { FRAME_BYTES }
}

fn roots(tree: &Tree<'_>, totals: &Totals, count: &Count) -> Vec<Root> {
    let bytes = tree.selections.iter().flat_map(Selection::written).map(String::len).sum::<usize>();
    let is_recorded = bytes <= MOST_PATTERN_BYTES;
    let roots = tree.selections.iter().zip(tree.prefixes).zip(&totals.roots);
    roots
        .map(|((selection, prefix), &(entries, bytes))| {
            let holes = count.holes(&selection.root).min(bytes);
            let paths = if is_recorded { selection.written().to_vec() } else { Vec::new() };
            Root { prefix: prefix.clone(), entries, bytes, holes, paths }
        })
        .collect()
}

/// A frame to be compressed.
struct PackJob {
    planned: PlannedFrame,
    buffer: Vec<u8>,
    done: Sender<Result<Frame, ArchiveError>>,
}

/// What the planning thread sends to the writing thread: a frame to wait for, or the error that ended the planning.
type OrderedFrames = Result<Receiver<Result<Frame, ArchiveError>>, ArchiveError>;

/// Plans the frames on one thread, compresses them on others, and writes them here, in their order.
fn frames<W: ArchiveOutput>(
    request: &PackRequest<'_>,
    cutting: &Cutting<'_>,
    output: &mut PackOutput<'_, W>,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<(), ArchiveError> {
    let pace = CompressionPace::new(request.levels, request.workers);
    let mut writing = Writing { output, pace: &pace, measured: Measured::default(), cancel, meter };
    let on_threads = std::thread::scope(|scope| -> Result<bool, ArchiveError> {
        let Some(packing) = Packing::start(scope, cutting, request.workers, &pace, cancel)? else {
            return Ok(false);
        };
        loop {
            let asked = Instant::now();
            // The planning thread closes the channel after the last frame.
            let Ok(promise) = packing.ordered.recv() else { return Ok(true) };
            let lost = |_| ArchiveError::Worker(io::Error::other("a thread that compressed has failed"));
            let frame = promise?.recv().map_err(lost)??;
            let buffer = writing.write(frame, asked)?;
            // The planning thread may be gone: then no buffer is needed any more.
            let _ = packing.give_back.send(buffer);
        }
    })?;
    if on_threads { Ok(()) } else { pack_in_place(cutting, &pace, &mut writing) }
}

/// Lays out a stream.
type LayOut<'a> = dyn Fn(&mut dyn Layout, &CancellationToken) -> Result<Totals, ArchiveError> + Sync + 'a;

/// What is cut into frames.
struct Cutting<'a> {
    lay_out: &'a LayOut<'a>,
    /// The first root, for messages.
    root: &'a Path,
    /// What an earlier pass found.
    expected: &'a Totals,
    frame_bytes: usize,
    /// Whether the archive has a list.
    is_listed: bool,
}

impl Cutting<'_> {
    /// Cuts the stream into frames, each of which goes to `emit`.
    fn cut(
        &self,
        emit: &mut dyn FnMut(PlannedFrame) -> Result<(), ArchiveError>,
        cancel: &CancellationToken,
    ) -> Result<(), ArchiveError> {
        let mut cutter = Cutter::new(self.frame_bytes, self.is_listed, emit);
        let totals = (self.lay_out)(&mut cutter, cancel)?;
        cutter.finish()?;
        if totals == *self.expected { Ok(()) } else { Err(ArchiveError::TreeChanged(self.root.to_owned())) }
    }
}

/// Frames on their way to the output.
struct Writing<'a, 'o, W> {
    output: &'a mut PackOutput<'o, W>,
    pace: &'a CompressionPace,
    measured: Measured,
    cancel: &'a CancellationToken,
    meter: &'a Meter,
}

impl<W: ArchiveOutput> Writing<'_, '_, W> {
    /// Writes a frame that has been waited for since `asked`; returns its buffer.
    fn write(&mut self, frame: Frame, asked: Instant) -> Result<Vec<u8>, ArchiveError> {
        if cancel::is_cancelled(self.cancel) {
            return Err(ArchiveError::Cancelled);
        }
        let got = Instant::now();
        let buffer = self.output.take(frame.compressed, frame.work.bytes.0)?;
        self.output.list(&frame.rows)?;
        self.pace.note(&mut self.measured, &frame.work, got - asked, got.elapsed());
        let (bytes, files) = frame.content;
        self.meter.add_bytes(bytes);
        self.meter.add_items(files);
        Ok(buffer)
    }
}

/// Packs on the calling thread.
fn pack_in_place<W: ArchiveOutput>(
    cutting: &Cutting<'_>,
    pace: &CompressionPace,
    writing: &mut Writing<'_, '_, W>,
) -> Result<(), ArchiveError> {
    let mut worker = Worker::new(cutting.frame_bytes, pace).map_err(ArchiveError::Worker)?;
    let mut buffer = Vec::new();
    let cancel = writing.cancel;
    let mut emit = |planned: PlannedFrame| {
        let asked = Instant::now();
        let frame = compress_frame(&mut worker, planned, std::mem::take(&mut buffer))?;
        buffer = writing.write(frame, asked)?;
        Ok(())
    };
    cutting.cut(&mut emit, cancel)
}

/// The threads that plan and compress, seen from the one that writes.
struct Packing {
    ordered: Receiver<OrderedFrames>,
    give_back: Sender<Vec<u8>>,
}

impl Packing {
    /// Starts a thread that plans and up to `workers` that compress; `None` if they cannot be had.
    fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        cutting: &'scope Cutting<'_>,
        workers: usize,
        pace: &'scope CompressionPace,
        cancel: &'scope CancellationToken,
    ) -> Result<Option<Self>, ArchiveError> {
        let (jobs, taken) = mpsc::channel::<PackJob>();
        let taken = Arc::new(Mutex::new(taken));
        let mut started = 0;
        while started < workers {
            let mut worker = Worker::new(cutting.frame_bytes, pace).map_err(ArchiveError::Worker)?;
            let taken = Arc::clone(&taken);
            if start::scoped(scope, "compress", move || compress(&mut worker, &taken)).is_err() {
                break;
            }
            started += 1;
        }
        // Without any the jobs would lie there for ever.
        if started == 0 {
            return Ok(None);
        }
        // The bound is how many frames may be compressed or waiting to be written.
        let (order, ordered) = mpsc::sync_channel::<OrderedFrames>(started * 2);
        let (give_back, returned) = mpsc::channel::<Vec<u8>>();
        let planning = start::scoped(scope, "plan", move || {
            plan_frames(cutting, &jobs, &returned, &order, cancel);
        });
        Ok(planning.is_ok().then_some(Packing { ordered, give_back }))
    }
}

/// Cuts the stream into jobs, until the end or until the receiver is gone.
fn plan_frames(
    cutting: &Cutting<'_>,
    jobs: &Sender<PackJob>,
    returned: &Receiver<Vec<u8>>,
    order: &SyncSender<OrderedFrames>,
    cancel: &CancellationToken,
) {
    let mut emit = |planned| {
        let (done, promise) = mpsc::channel();
        let mut buffer = returned.try_recv().unwrap_or_default();
        buffer.clear();
        // Cancelled also when the writing thread has stopped listening; its error is reported.
        order.send(Ok(promise)).map_err(|_| ArchiveError::Cancelled)?;
        jobs.send(PackJob { planned, buffer, done }).map_err(|_| ArchiveError::Cancelled)
    };
    let planned = contain(|| cutting.cut(&mut emit, cancel));
    if let Err(error) = planned.unwrap_or_else(|panicked| Err(ArchiveError::Worker(panicked.into()))) {
        let _ = order.send(Err(error));
    }
}

fn compress(worker: &mut Worker<'_>, taken: &Mutex<Receiver<PackJob>>) {
    loop {
        let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(PackJob { planned, buffer, done }) = job else { break };
        let frame = contain(|| compress_frame(worker, planned, buffer));
        // The receiver is gone if another frame has failed.
        let _ = done.send(frame.unwrap_or_else(|panicked| Err(ArchiveError::Worker(panicked.into()))));
    }
}

/// Takes an archive. Every [`Write`] does; a pipe copies no frame.
pub trait ArchiveOutput {
    /// Writes these bytes.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes these bytes, and returns a buffer that can be used for others.
    fn take(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>>;

    /// Ends the archive.
    fn end(&mut self) -> io::Result<()>;
}

impl<W: Write> ArchiveOutput for W {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn take(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.write_all(&bytes)?;
        Ok(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// An upload takes frames as they are.
impl<T, E: Crossing> ArchiveOutput for &mut PipeWriter<T, E> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn take(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.pass(bytes.into())?;
        Ok(Vec::new())
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// The output: hashes, lists and writes frames.
struct PackOutput<'a, W> {
    out: W,
    proof: Proving<'a>,
    table: SeekTable,
    bytes: u64,
}

/// What the digest of an archive is made of.
enum Proving<'a> {
    /// All bytes so far.
    Whole(Sha256),
    Parts {
        /// The SHA-256 of the manifest's frame.
        manifest: Sha256Digest,
        list: Box<ListWriter>,
        /// The list of a thin archive, which was made before its contents were packed.
        known: Option<KnownList<'a>>,
    },
}

/// A list that was made before the contents were packed that are new in it.
struct KnownList<'a> {
    /// All rows.
    rows: &'a [Row],
    /// The rows of the new contents, in the order in which they are packed.
    new: std::slice::Iter<'a, usize>,
}

impl KnownList<'_> {
    /// Refuses a content that is not the one that was hashed before.
    fn check(&mut self, packed: &Row) -> Result<(), ArchiveError> {
        let expected = self.new.next().and_then(|index| self.rows.get(*index));
        match (expected.map(|row| &row.kind), &packed.kind) {
            (Some(RowKind::File { content: expected, .. }), RowKind::File { content, .. })
                if expected == content =>
            {
                Ok(())
            }
            _ => Err(ArchiveError::Changed(String::from_utf8_lossy(&packed.name).into_owned().into())),
        }
    }
}

impl<'a, W: ArchiveOutput> PackOutput<'a, W> {
    /// Begins an archive with its manifest; of a thin one the list is known.
    fn new(out: W, manifest: &Manifest, known: Option<KnownList<'a>>) -> Result<Self, ArchiveError> {
        let first = manifest.to_frame();
        let proof = if manifest.is_listed() {
            Proving::Parts { manifest: Sha256Digest::of(&first), list: Box::default(), known }
        } else {
            Proving::Whole(Sha256::new())
        };
        let mut output = PackOutput { out, proof, table: SeekTable::default(), bytes: 0 };
        output.write(&first, 0)?;
        Ok(output)
    }

    /// Adds rows to the list, if the archive has one; compares them with those of a list that is known.
    fn list(&mut self, rows: &[Row]) -> Result<(), ArchiveError> {
        match &mut self.proof {
            Proving::Whole(_) => Ok(()),
            Proving::Parts { known: Some(known), .. } => rows.iter().try_for_each(|row| known.check(row)),
            Proving::Parts { list, .. } => rows.iter().try_for_each(|row| list.push(row)),
        }
    }

    /// Writes a frame and gives its buffer back, or another one.
    fn take(&mut self, frame: Vec<u8>, content: usize) -> Result<Vec<u8>, ArchiveError> {
        self.note(&frame, content);
        self.out.take(frame).map_err(ArchiveError::Output)
    }

    /// Writes list, digest and seek table; returns the archive's length and digest.
    fn seal(mut self) -> Result<(u64, Sha256Digest), ArchiveError> {
        let digest = match std::mem::replace(&mut self.proof, Proving::Whole(Sha256::new())) {
            Proving::Whole(hasher) => {
                let digest = Sha256Digest(hasher.finalize().into());
                self.write(&list_frame::digest_frame(&digest), 0)?;
                digest
            }
            Proving::Parts { manifest, mut list, known } => {
                known.iter().flat_map(|known| known.rows).try_for_each(|row| list.push(row))?;
                let (list, frames) = list.finish(self.bytes)?;
                frames.iter().try_for_each(|frame| self.write(frame, 0))?;
                // The table lists the frame that carries the digest, of which it needs only the length.
                self.table.push(Proof::LENGTH, 0);
                let digest = list.prove(&manifest, &self.table.digest());
                let proof = Proof { list, digest }.to_frame();
                self.bytes += proof.len() as u64;
                self.out.put(&proof).map_err(ArchiveError::Output)?;
                digest
            }
        };
        let table = self.table.to_frame();
        self.bytes += table.len() as u64;
        self.out.put(&table).map_err(ArchiveError::Output)?;
        self.out.end().map_err(ArchiveError::Output)?;
        Ok((self.bytes, digest))
    }

    fn write(&mut self, frame: &[u8], content: usize) -> Result<(), ArchiveError> {
        self.note(frame, content);
        self.out.put(frame).map_err(ArchiveError::Output)
    }

    fn note(&mut self, frame: &[u8], content: usize) {
        if let Proving::Whole(hasher) = &mut self.proof {
            hasher.update(frame);
        }
        self.table.push(frame.len(), content);
        self.bytes += frame.len() as u64;
    }
}
