//! Pipes between blocking code, which packs and unpacks, and asynchronous code, which stores and fetches.
//!
//! [`writer`] leads from a blocking [`Write`] to an asynchronous [`Consumer`]; [`reader`] from an
//! asynchronous stream to a blocking [`Read`]. Both hold a few chunks and no more, so that the faster end
//! waits for the slower one. Neither end waits for one that is gone: dropping an end, an error of either side
//! and cancellation all wake the other. The end of the bytes is always said, never guessed: an end that
//! vanishes without a word is an error and not the end.
//!
//! Blocking ends belong on threads that may block (`spawn_blocking`, or threads of one's own). Used in
//! asynchronous code they panic, as everything that blocks does there.

use std::error::Error;
use std::io::{self, Read, Write};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

/// The bytes of a chunk that a writer collects.
pub const CHUNK: usize = 1 << 20;

/// The most chunks that a pipe holds.
pub const CHUNKS: usize = 8;

/// Why a pipe broke. An [`io::Error`] of a blocking end wraps this, or the error of the stream itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipeError {
    /// The work was canceled.
    #[error("canceled")]
    Canceled,
    /// The other end is gone and has said nothing.
    #[error("the other end of the pipe is gone")]
    Disconnected,
    /// The consumer failed; its own error is what [`Outlet::drain`] returns.
    #[error("the bytes were not taken: {0}")]
    NotTaken(String),
}

impl From<PipeError> for io::Error {
    fn from(error: PipeError) -> Self {
        // Never `Interrupted`, after which `write_all` and `read_exact` would try again.
        let kind = match &error {
            PipeError::Canceled => io::ErrorKind::Other,
            PipeError::Disconnected | PipeError::NotTaken(_) => io::ErrorKind::BrokenPipe,
        };
        io::Error::new(kind, error)
    }
}

/// Something that takes bytes, chunk by chunk.
#[async_trait]
pub trait Consumer: Send {
    /// Why it could not take them.
    type Error: Error + Send + Sync + 'static;

    /// Takes the next bytes.
    async fn consume(&mut self, chunk: Bytes) -> Result<(), Self::Error>;
}

/// Why draining a pipe ended before its bytes did.
#[derive(Debug, thiserror::Error)]
pub enum DrainError<E: Error + 'static> {
    /// The consumer failed.
    #[error(transparent)]
    Consumer(E),
    /// The pipe broke: canceled, or the writer was dropped before [`PipeWriter::finish`].
    #[error(transparent)]
    Pipe(#[from] PipeError),
}

enum Message<T> {
    Chunk(T),
    End,
}

/// A pipe from blocking code to asynchronous code; to be called within a runtime.
pub fn writer(cancel: &CancellationToken) -> (PipeWriter, Outlet) {
    let (sender, receiver) = channel(CHUNKS);
    // Why the consumer failed, for the other end.
    let (reason, failure) = tokio::sync::watch::channel(None);
    let writer = PipeWriter {
        runtime: Handle::current(),
        cancel: cancel.clone(),
        sender,
        failure,
        chunk: BytesMut::new(),
    };
    (writer, Outlet { cancel: cancel.clone(), receiver, reason })
}

/// The blocking end into which bytes are written.
///
/// Dropped without [`finish`](PipeWriter::finish), it tells the other end that the bytes are not complete.
#[derive(Debug)]
pub struct PipeWriter {
    runtime: Handle,
    cancel: CancellationToken,
    sender: Sender<Message<Bytes>>,
    failure: tokio::sync::watch::Receiver<Option<String>>,
    chunk: BytesMut,
}

impl PipeWriter {
    /// Says that all bytes are written. They are on their way then, and not yet taken: whether they were is
    /// for [`Outlet::drain`] to tell.
    pub fn finish(mut self) -> io::Result<()> {
        self.send_chunk()?;
        self.send(Message::End)
    }

    fn send_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = self.chunk.split().freeze();
        self.send(Message::Chunk(chunk))
    }

    fn send(&self, message: Message<Bytes>) -> io::Result<()> {
        let sent = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(PipeError::Canceled),
                sent = self.sender.send(message) => sent.map_err(|_| self.why_disconnected()),
            }
        });
        Ok(sent?)
    }

    fn why_disconnected(&self) -> PipeError {
        match &*self.failure.borrow() {
            Some(reason) => PipeError::NotTaken(reason.clone()),
            None => PipeError::Disconnected,
        }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.reserve(CHUNK - self.chunk.len());
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.send_chunk()?;
        }
        Ok(taken)
    }

    /// Does nothing: chunks leave when they are full, the last one in [`finish`](PipeWriter::finish).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The asynchronous end from which bytes are taken.
#[derive(Debug)]
pub struct Outlet {
    cancel: CancellationToken,
    receiver: Receiver<Message<Bytes>>,
    reason: tokio::sync::watch::Sender<Option<String>>,
}

impl Outlet {
    /// Hands all bytes to a consumer and returns how many there were; only then are they complete.
    ///
    /// A failure of the consumer wakes the writing end with [`PipeError::NotTaken`].
    pub async fn drain<C: Consumer>(mut self, consumer: &mut C) -> Result<u64, DrainError<C::Error>> {
        let mut count = 0;
        loop {
            let chunk = match self.receive().await? {
                Message::End => return Ok(count),
                Message::Chunk(chunk) => chunk,
            };
            count += chunk.len() as u64;
            let result = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(PipeError::Canceled.into()),
                result = consumer.consume(chunk) => result,
            };
            if let Err(error) = result {
                // Before the receiver is dropped, so that the writer finds the reason.
                self.reason.send_replace(Some(error.to_string()));
                return Err(DrainError::Consumer(error));
            }
        }
    }

    async fn receive(&mut self) -> Result<Message<Bytes>, PipeError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(PipeError::Canceled),
            message = self.receiver.recv() => message.ok_or(PipeError::Disconnected),
        }
    }
}

/// A pipe from a stream to blocking code; to be called within a runtime.
///
/// The stream is read ahead by at most [`CHUNKS`] of its chunks. An error of the stream comes out of `read`
/// wrapped in an [`io::Error`], once; so does [`PipeError::Canceled`].
pub fn reader<E>(
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    cancel: &CancellationToken,
) -> PipeReader<E>
where
    E: Error + Send + Sync + 'static,
{
    let (sender, receiver) = channel(CHUNKS);
    let runtime = Handle::current();
    runtime.spawn(forward(Box::pin(stream), sender, cancel.clone()));
    PipeReader { runtime, cancel: cancel.clone(), receiver, chunk: Bytes::new(), ended: false }
}

/// Reads ahead until the stream ends or fails, or until nobody listens.
async fn forward<E>(
    mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    sender: Sender<Message<Result<Bytes, E>>>,
    cancel: CancellationToken,
) {
    loop {
        let item = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = sender.closed() => return,
            item = stream.next() => item,
        };
        let is_last = !matches!(item, Some(Ok(_)));
        let message = item.map_or(Message::End, Message::Chunk);
        if sender.send(message).await.is_err() || is_last {
            return;
        }
    }
}

/// The blocking end from which bytes are read.
#[derive(Debug)]
pub struct PipeReader<E> {
    runtime: Handle,
    cancel: CancellationToken,
    receiver: Receiver<Message<Result<Bytes, E>>>,
    chunk: Bytes,
    ended: bool,
}

impl<E: Error + Send + Sync + 'static> PipeReader<E> {
    /// The next bytes in the chunk in which they came; `None` at the end.
    ///
    /// Saves the copy that `read` makes.
    pub fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        while self.chunk.is_empty() && !self.ended {
            self.chunk = match self.receive()? {
                Message::Chunk(chunk) => chunk.map_err(io::Error::other)?,
                Message::End => {
                    self.ended = true;
                    Bytes::new()
                }
            };
        }
        Ok(Some(std::mem::take(&mut self.chunk)).filter(|chunk| !chunk.is_empty()))
    }

    fn receive(&mut self) -> Result<Message<Result<Bytes, E>>, PipeError> {
        let PipeReader { runtime, cancel, receiver, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(PipeError::Canceled),
                message = receiver.recv() => message.ok_or(PipeError::Disconnected),
            }
        })
    }
}

impl<E: Error + Send + Sync + 'static> Read for PipeReader<E> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(mut chunk) = self.next_chunk()? else { return Ok(0) };
        let taken = chunk.split_to(buffer.len().min(chunk.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        self.chunk = chunk;
        Ok(taken.len())
    }
}

#[cfg(test)]
#[path = "pipe/tests.rs"]
mod tests;
