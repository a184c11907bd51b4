//! Frames decompressed to the tar stream: on a bounded pool, delivered in order.

use std::io::Read;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use tokio_util::sync::CancellationToken;
use zstd::bulk::Decompressor;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::buffer::{Buffers, Chunk, Slice};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::frame::{Part, Splitter};
use crate::archive::format::manifest::LARGEST_FRAME;
use crate::domain::digest::Sha256Digest;
use crate::fs::cancel;
use crate::threads::contain::contain;
use crate::threads::start;

/// The largest window that frames of other programs may need, as a power of two: what `zstd -d` allows.
const LARGEST_WINDOW: u32 = 27;

/// Upper bound for what one block decompresses to, with what the decoder held back, in bytes.
const BLOCK_ROOM: usize = 256 << 10;

/// Upper bound for the frames in memory at once, compressed and decompressed: with more workers memory would grow with
/// the machine, and writing files is slower than as many can decompress.
const MOST_FRAMES: usize = 8;

/// Yields the tar stream; `None` after its last byte, once the archive is verified to its end.
pub(crate) trait Source {
    fn next(&mut self) -> Result<Option<Slice>, ArchiveError>;

    /// What the archive's end shows; valid after it.
    fn end(&self) -> StreamEnd;
}

/// What the end of an archive shows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamEnd {
    /// Length of the archive.
    pub(crate) archive_bytes: u64,
    /// The SHA-256 of the rows of its list; `None` if it has none.
    pub(crate) list: Option<Sha256Digest>,
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next(&mut self) -> Result<Option<Slice>, ArchiveError> {
        (**self).next()
    }

    fn end(&self) -> StreamEnd {
        (**self).end()
    }
}

/// Cuts an archive, or parts of several, into what decompresses by itself.
pub(crate) trait Parts {
    /// The next part, its bytes in the buffer; `None` after the last.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Part>, ArchiveError>;

    /// What the end shows; valid after it.
    fn end(&self) -> StreamEnd;
}

impl<R: Read> Parts for Splitter<R> {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Part>, ArchiveError> {
        Splitter::next(self, buffer)
    }

    fn end(&self) -> StreamEnd {
        StreamEnd { archive_bytes: self.position(), list: self.list() }
    }
}

/// Decompresses on the calling thread.
pub(crate) struct Inline<'a, P> {
    parts: P,
    buffers: Arc<Buffers>,
    whole: Decompressor<'static>,
    pieces: Pieces,
    cancel: &'a CancellationToken,
}

impl<'a, P: Parts> Inline<'a, P> {
    pub(crate) fn new(parts: P, cancel: &'a CancellationToken) -> Result<Self, ArchiveError> {
        Ok(Inline {
            parts,
            buffers: Buffers::new(MOST_FRAMES),
            whole: decompressor()?,
            pieces: Pieces::default(),
            cancel,
        })
    }
}

impl<P: Parts> Source for Inline<'_, P> {
    fn next(&mut self) -> Result<Option<Slice>, ArchiveError> {
        loop {
            if cancel::is_cancelled(self.cancel) {
                return Err(ArchiveError::Cancelled);
            }
            let mut chunk = self.buffers.take();
            match self.parts.next(&mut chunk.buffer().compressed)? {
                None => return Ok(None),
                Some(Part::Frame { content }) => {
                    self.buffers.keep_large(true);
                    decompress(&mut self.whole, &mut chunk, content)?;
                }
                Some(Part::Piece { first, last }) => {
                    self.buffers.keep_large(false);
                    self.pieces.decode(&mut chunk, first, last)?;
                }
            }
            if !chunk.buffer().data.is_empty() {
                return Ok(Some(chunk.into_slice()));
            }
        }
    }

    fn end(&self) -> StreamEnd {
        self.parts.end()
    }
}

/// Decompresses on a thread that reads and up to `workers` others, which end with the archive, or when the source is
/// dropped; on the calling thread if they cannot be had.
pub(crate) fn open<'scope, P: Parts + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    parts: P,
    workers: usize,
    cancel: &'scope CancellationToken,
) -> Result<Box<dyn Source + 'scope>, ArchiveError> {
    match Threaded::start(scope, parts, workers, cancel)? {
        Ok(threaded) => Ok(Box::new(threaded)),
        Err(parts) => Ok(Box::new(Inline::new(parts, cancel)?)),
    }
}

/// Decompresses on threads of its own.
struct Threaded {
    ordered: Receiver<Ordered>,
    end: StreamEnd,
}

/// In the order of the archive.
enum Ordered {
    /// A frame that a worker decompresses.
    Promised(Receiver<Result<Chunk, ArchiveError>>),
    Ready(Chunk),
    Failed(ArchiveError),
    /// The archive has ended properly.
    End(StreamEnd),
}

struct DecodeJob {
    chunk: Chunk,
    content: usize,
    done: Sender<Result<Chunk, ArchiveError>>,
}

impl Threaded {
    /// Starts its threads; gives the parts back if they cannot be had.
    fn start<'scope, P: Parts + Send + 'scope>(
        scope: &'scope Scope<'scope, '_>,
        parts: P,
        workers: usize,
        cancel: &'scope CancellationToken,
    ) -> Result<Result<Self, P>, ArchiveError> {
        let frames_in_flight = (workers + workers / 2 + 3).min(MOST_FRAMES);
        let (jobs, taken) = mpsc::channel::<DecodeJob>();
        let (order, ordered) = mpsc::sync_channel(frames_in_flight);
        let taken = Arc::new(Mutex::new(taken));
        let mut started = 0;
        while started < workers.min(MOST_FRAMES) {
            let (decompressor, taken) = (decompressor()?, Arc::clone(&taken));
            if start::scoped(scope, "decompress", move || decompress_all(decompressor, &taken)).is_err() {
                break;
            }
            started += 1;
        }
        // Without any the jobs would lie there for ever.
        if started == 0 {
            return Ok(Err(parts));
        }
        let buffers = Buffers::new(frames_in_flight);
        // Handed over once the thread is there.
        let (hand_over, handed) = mpsc::channel::<P>();
        let reading = start::scoped(scope, "read", move || {
            let Ok(mut parts) = handed.recv() else { return };
            let end = contain(|| split(&mut parts, &buffers, &jobs, &order, cancel));
            let _ = order.send(match end {
                Ok(Ok(())) => Ordered::End(parts.end()),
                Ok(Err(error)) => Ordered::Failed(error),
                Err(panicked) => Ordered::Failed(ArchiveError::Worker(panicked.into())),
            });
        });
        if reading.is_err() {
            return Ok(Err(parts));
        }
        Ok(match hand_over.send(parts) {
            Ok(()) => Ok(Threaded { ordered, end: StreamEnd::default() }),
            Err(mpsc::SendError(parts)) => Err(parts),
        })
    }
}

/// Decompresses frames until there are no more.
fn decompress_all(mut decompressor: Decompressor<'static>, taken: &Mutex<Receiver<DecodeJob>>) {
    loop {
        let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(DecodeJob { mut chunk, content, done }) = job else { break };
        let decompressed = contain(|| decompress(&mut decompressor, &mut chunk, content));
        let result = decompressed.unwrap_or_else(|panicked| Err(ArchiveError::Worker(panicked.into())));
        // The receiver is gone if another frame has failed.
        let _ = done.send(result.map(|()| chunk));
    }
}

/// Reads the archive to its end, or until the receiver is gone.
fn split(
    parts: &mut impl Parts,
    buffers: &Arc<Buffers>,
    jobs: &Sender<DecodeJob>,
    order: &SyncSender<Ordered>,
    cancel: &CancellationToken,
) -> Result<(), ArchiveError> {
    let mut pieces = Pieces::default();
    loop {
        if cancel::is_cancelled(cancel) {
            return Err(ArchiveError::Cancelled);
        }
        // Taken here, in the order of the archive, so that the oldest frame always has its buffer: a frame that waits for
        // a buffer never delays one before it, and there is no deadlock.
        let mut chunk = buffers.take();
        let next = match parts.next(&mut chunk.buffer().compressed)? {
            None => return Ok(()),
            Some(Part::Frame { content }) => {
                buffers.keep_large(true);
                let (done, promise) = mpsc::channel();
                // Workers outlive this thread's sender, so a send cannot fail while they are needed.
                let _ = jobs.send(DecodeJob { chunk, content, done });
                Ordered::Promised(promise)
            }
            Some(Part::Piece { first, last }) => {
                buffers.keep_large(false);
                pieces.decode(&mut chunk, first, last)?;
                Ordered::Ready(chunk)
            }
        };
        if order.send(next).is_err() {
            return Ok(());
        }
    }
}

impl Source for Threaded {
    fn next(&mut self) -> Result<Option<Slice>, ArchiveError> {
        let lost = || ArchiveError::damaged("a thread that decompressed it has failed");
        loop {
            let chunk = match self.ordered.recv().map_err(|_| lost())? {
                Ordered::Promised(promise) => promise.recv().map_err(|_| lost())??,
                Ordered::Ready(chunk) => chunk,
                Ordered::Failed(error) => return Err(error),
                Ordered::End(end) => {
                    self.end = end;
                    return Ok(None);
                }
            };
            let slice = chunk.into_slice();
            if !slice.is_empty() {
                return Ok(Some(slice));
            }
        }
    }

    fn end(&self) -> StreamEnd {
        self.end
    }
}

fn decompressor() -> Result<Decompressor<'static>, ArchiveError> {
    Decompressor::new().map_err(ArchiveError::Worker)
}

fn decompress(
    decompressor: &mut Decompressor<'static>,
    chunk: &mut Chunk,
    content: usize,
) -> Result<(), ArchiveError> {
    let buffer = chunk.buffer();
    debug_assert!(content <= LARGEST_FRAME as usize);
    buffer.data.reserve(content);
    let length = decompressor
        .decompress_to_buffer(&buffer.compressed, &mut buffer.data)
        .map_err(|error| ArchiveError::damaged(format!("a frame does not decompress: {error}")))?;
    if length == content {
        Ok(())
    } else {
        Err(ArchiveError::damaged("a frame has another size than its header records"))
    }
}

/// Decompresses frames block by block: frames of other programs may be of any size, and need not record it.
#[derive(Default)]
struct Pieces {
    decoder: Option<Decoder<'static>>,
}

impl Pieces {
    fn decode(&mut self, chunk: &mut Chunk, first: bool, last: bool) -> Result<(), ArchiveError> {
        if first {
            // One window at a time.
            self.decoder = None;
            let mut decoder = Decoder::new().map_err(ArchiveError::Worker)?;
            decoder.set_parameter(DParameter::WindowLogMax(LARGEST_WINDOW)).map_err(ArchiveError::Worker)?;
            self.decoder = Some(decoder);
        }
        let decoder = self.decoder.as_mut().expect("the first piece of a frame comes first");
        let failed =
            |error: std::io::Error| ArchiveError::damaged(format!("a frame does not decompress: {error}"));
        let buffer = chunk.buffer();
        let mut input = InBuffer::around(&buffer.compressed);
        let mut hint = 1;
        let mut flushed = false;
        while input.pos() < buffer.compressed.len() || !flushed {
            let used = buffer.data.len();
            if buffer.data.capacity() - used < BLOCK_ROOM {
                buffer.data.reserve(BLOCK_ROOM);
            }
            let mut output = OutBuffer::around_pos(&mut buffer.data, used);
            hint = decoder.run(&mut input, &mut output).map_err(failed)?;
            flushed = output.pos() == used || hint == 0;
            if hint == 0 {
                break;
            }
        }
        let complete = hint == 0 && input.pos() == buffer.compressed.len();
        if last != (hint == 0) || (last && !complete) {
            return Err(ArchiveError::damaged("a frame has another length than its header records"));
        }
        if last {
            self.decoder = None;
        }
        Ok(())
    }
}
