//! The pipe between blocking and asynchronous code: packing blocks a thread, storing does not.
//!
//! Both directions go through a bounded channel of chunks: the faster side waits, and memory holds a few
//! mebibytes. An error on one side comes out on the other as an [`io::Error`] that carries it as its source; either
//! end may be dropped at any time, which frees the other.

use std::error::Error;
use std::future::Future;
use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::threads::executor::Executor;

/// Chunks that may wait in a pipe.
const WAITING: usize = 8;

/// Bytes of a chunk; larger ones are handed on in parts.
const CHUNK: usize = 1 << 20;

/// An error that can cross a pipe.
pub(crate) trait Crossing: Error + Send + Sync + 'static {}

impl<E: Error + Send + Sync + 'static> Crossing for E {}

fn cancelled() -> io::Error {
    io::Error::other("interrupted")
}

/// Blocking reads of an asynchronous stream.
#[derive(Debug)]
pub(crate) struct PipeReader {
    receive: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    is_at_end: bool,
    task: JoinHandle<()>,
    runtime: Executor,
}

/// Reads a stream from a blocking thread; it is fetched ahead by a task on `runtime`. A read waits for the next bytes, and fails as the stream
/// fails.
///
/// Not to be used from asynchronous code: a read would block its executor.
pub(crate) fn reader<S, E>(runtime: &Executor, stream: S, cancel: &CancellationToken) -> PipeReader
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Crossing,
{
    let (send, receive) = mpsc::channel(WAITING);
    let cancel = cancel.clone();
    let task = runtime.spawn(async move {
        let mut stream = std::pin::pin!(stream);
        loop {
            let next = tokio::select! {
                biased;
                () = cancel.cancelled() => Some(Err(cancelled())),
                next = stream.next() => next.map(|chunk| chunk.map_err(io::Error::other)),
            };
            let Some(chunk) = next else {
                // The end is sent, so that a runtime that shuts down is not taken for it.
                let _ = send.send(Ok(Bytes::new())).await;
                return;
            };
            let is_last = chunk.is_err();
            // The reader was dropped, or has its error.
            if !hand_on(&send, chunk).await || is_last {
                return;
            }
        }
    });
    PipeReader { receive, current: Bytes::new(), is_at_end: false, task, runtime: runtime.clone() }
}

/// Hands a chunk on in parts, so that the bytes in the channel are bounded however large chunks are. Returns whether the
/// reader still exists.
async fn hand_on(send: &mpsc::Sender<io::Result<Bytes>>, chunk: io::Result<Bytes>) -> bool {
    let mut rest = match chunk {
        Ok(bytes) => bytes,
        error => return send.send(error).await.is_ok(),
    };
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(CHUNK));
        if send.send(Ok(part)).await.is_err() {
            return false;
        }
    }
    true
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.is_at_end && !buffer.is_empty() {
            // Not `blocking_recv`: a runtime without threads goes on only while it is waited for.
            let next = self.runtime.block_on(self.receive.recv());
            self.current = next.ok_or(io::ErrorKind::BrokenPipe)??;
            self.is_at_end = self.current.is_empty();
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Blocking writes into an asynchronous consumer.
pub(crate) struct PipeWriter<T, E> {
    send: Option<mpsc::Sender<Bytes>>,
    buffer: BytesMut,
    task: Option<JoinHandle<Result<T, E>>>,
    runtime: Executor,
    cancel: CancellationToken,
}

/// Chunks as they come out of a pipe. The end comes only after the writer finished: a writer that was dropped
/// cancels its consumer.
pub(crate) struct Chunks(mpsc::Receiver<Bytes>);

impl Chunks {
    /// The next chunk; nothing after the last.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

/// Feeds a consumer from a blocking thread; it runs as a task on `runtime` and what it returns comes out of
/// [`PipeWriter::finish`].
pub(crate) fn writer<F, T, E>(
    runtime: &Executor,
    consume: impl FnOnce(Chunks) -> F,
    cancel: &CancellationToken,
) -> PipeWriter<T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Crossing,
{
    let (send, receive) = mpsc::channel(WAITING);
    let task = runtime.spawn(consume(Chunks(receive)));
    PipeWriter {
        send: Some(send),
        buffer: BytesMut::with_capacity(CHUNK),
        task: Some(task),
        runtime: runtime.clone(),
        cancel: cancel.clone(),
    }
}

impl<T, E: Crossing> PipeWriter<T, E> {
    /// Hands over what is left and waits for the consumer.
    ///
    /// # Errors
    /// The consumer's own error, or that the work was cancelled.
    pub(crate) fn finish(mut self) -> Result<T, PipeError<E>> {
        let sent = self.hand_over();
        self.send = None;
        let task = self.task.take().expect("a pipe is finished once");
        match sent {
            Ok(()) => {}
            // The consumer stopped; its own result holds the reason.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                task.abort();
                return Err(PipeError::Cancelled(error));
            }
        }
        Self::outcome(&self.runtime, task)
    }

    /// Writes bytes, which are handed over once there are enough.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(part);
            if self.buffer.len() == CHUNK {
                self.hand_over()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Hands over what was written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.hand_over()
    }

    /// Hands bytes over without copying them, in parts, so that the bytes that wait are bounded.
    pub(crate) fn pass(&mut self, mut bytes: Bytes) -> io::Result<()> {
        self.hand_over()?;
        while !bytes.is_empty() {
            self.send(bytes.split_to(bytes.len().min(CHUNK)))?;
        }
        Ok(())
    }

    fn outcome(runtime: &Executor, task: JoinHandle<Result<T, E>>) -> Result<T, PipeError<E>> {
        match runtime.block_on(task) {
            Ok(result) => result.map_err(PipeError::Consumer),
            Err(error) => Err(PipeError::Cancelled(io::Error::other(error))),
        }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = self.buffer.split().freeze();
        self.buffer.reserve(CHUNK);
        self.send(chunk)
    }

    fn send(&self, chunk: Bytes) -> io::Result<()> {
        let Some(outlet) = &self.send else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let cancel = &self.cancel;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(cancelled()),
                sent = outlet.send(chunk) => sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            }
        })
    }
}

/// Why a consumer has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipeError<E: Crossing> {
    /// The consumer failed.
    #[error(transparent)]
    Consumer(E),
    /// The work was cancelled, or the consumer's task was.
    #[error(transparent)]
    Cancelled(io::Error),
}

impl<T, E> Drop for PipeWriter<T, E> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The task cleans up as it is dropped: wait, so that its cleanup is complete on return.
            let _ = self.runtime.block_on(task);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests start threads")]

    use super::*;
    use crate::threads::executor::Owner;
    use futures::stream;

    /// With threads and without.
    fn on_each_runtime(test: impl Fn(&Executor)) {
        for owner in [Owner::start(), Owner::start_without_threads()] {
            test(owner.expect("a runtime").executor());
        }
    }

    fn collect(runtime: &Executor, cancel: &CancellationToken) -> PipeWriter<Vec<u8>, io::Error> {
        let consume = |mut chunks: Chunks| async move {
            let mut all = Vec::new();
            while let Some(chunk) = chunks.next().await {
                all.extend_from_slice(&chunk);
            }
            Ok(all)
        };
        writer(runtime, consume, cancel)
    }

    #[test]
    fn what_goes_in_comes_out() {
        on_each_runtime(|runtime| {
            let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
            let mut pipe = collect(runtime, &CancellationToken::new());
            for chunk in bytes.chunks(7_777) {
                pipe.write_all(chunk).expect("it takes");
            }
            assert!(pipe.finish().expect("it ends") == bytes);

            let chunks: Vec<io::Result<Bytes>> =
                bytes.chunks(9_999).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            let mut out = Vec::new();
            let mut pipe = reader(runtime, stream::iter(chunks), &CancellationToken::new());
            pipe.read_to_end(&mut out).expect("read");
            assert!(out == bytes);
        });
    }

    #[test]
    fn large_chunks_do_not_pile_up_before_a_slow_reader() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        on_each_runtime(|runtime| {
            let pulled = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&pulled);
            let large = stream::iter(0..100).map(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok::<_, io::Error>(Bytes::from(vec![0; 2 * WAITING * CHUNK]))
            });
            let mut pipe = reader(runtime, large, &CancellationToken::new());
            pipe.read_exact(&mut [0; 10]).expect("the first bytes");
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert_eq!(pulled.load(Ordering::SeqCst), 1, "half of the first chunk fills the pipe");
        });
    }

    #[test]
    fn what_is_passed_comes_out_between_what_is_written_and_is_not_copied() {
        on_each_runtime(|runtime| {
            let consume = |mut chunks: Chunks| async move {
                let mut all = Vec::new();
                while let Some(chunk) = chunks.next().await {
                    all.push(chunk);
                }
                Ok::<_, io::Error>(all)
            };
            let frame = Bytes::from(vec![7; CHUNK + 5]);
            let mut writer = super::writer(runtime, consume, &CancellationToken::new());
            writer.write_all(b"before").expect("taken");
            writer.pass(frame.clone()).expect("taken");
            writer.pass(Bytes::new()).expect("taken");
            writer.write_all(b"after").expect("taken");
            let chunks = writer.finish().expect("all of it");
            let expect = [&b"before"[..], &frame[..CHUNK], &frame[CHUNK..], &b"after"[..]];
            assert_eq!(chunks, expect);
            assert_eq!(chunks[1].as_ptr(), frame.as_ptr());
        });
    }

    #[test]
    fn a_failing_consumer_ends_the_writer_with_its_error() {
        on_each_runtime(|runtime| {
            let consume = |mut chunks: Chunks| async move {
                chunks.next().await;
                Err::<(), _>(io::Error::other("the store is gone"))
            };
            let mut pipe = writer(runtime, consume, &CancellationToken::new());
            let error = loop {
                if let Err(error) = pipe.write_all(&vec![0; CHUNK]) {
                    break error;
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(pipe.finish().expect_err("it failed").to_string(), "the store is gone");
        });
    }

    #[test]
    fn a_failing_stream_ends_the_reader_with_its_error() {
        on_each_runtime(|runtime| {
            let chunks = vec![Ok(Bytes::from_static(b"half")), Err(io::Error::other("connection lost"))];
            let mut out = Vec::new();
            let mut pipe = reader(runtime, stream::iter(chunks), &CancellationToken::new());
            let error = pipe.read_to_end(&mut out).expect_err("it failed");
            assert_eq!((out.as_slice(), error.to_string().as_str()), (&b"half"[..], "connection lost"));
        });
    }

    #[test]
    fn a_cancelled_pipe_frees_both_ends() {
        on_each_runtime(|runtime| {
            let cancel = CancellationToken::new();
            let mut stuck = reader(runtime, stream::pending::<Result<Bytes, io::Error>>(), &cancel);
            let consume = |chunks: Chunks| async move {
                // Held, or the pipe would break before it is full.
                let _chunks = chunks;
                std::future::pending::<Result<(), io::Error>>().await
            };
            let mut full = writer(runtime, consume, &cancel);
            let handle =
                std::thread::spawn(move || stuck.read(&mut [0; 1]).map_err(|error| error.to_string()));
            let other = std::thread::spawn(move || {
                loop {
                    if let Err(error) = full.write_all(&vec![0; CHUNK]) {
                        return error.to_string();
                    }
                }
            });
            cancel.cancel();
            assert_eq!(handle.join().expect("it ends"), Err("interrupted".to_owned()));
            assert_eq!(other.join().expect("it ends"), "interrupted");
        });
    }

    #[test]
    fn a_dropped_writer_drops_its_consumer_before_it_returns() {
        struct AbortGuard(std::sync::Arc<std::sync::atomic::AtomicBool>);
        impl Drop for AbortGuard {
            fn drop(&mut self) {
                self.0.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        }
        on_each_runtime(|runtime| {
            let dropped = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let guard = AbortGuard(std::sync::Arc::clone(&dropped));
            let consume = |mut chunks: Chunks| async move {
                let _guard = guard;
                while chunks.next().await.is_some() {}
                Ok::<(), io::Error>(())
            };
            let pipe = writer(runtime, consume, &CancellationToken::new());
            drop(pipe);
            assert!(dropped.load(std::sync::atomic::Ordering::SeqCst));
        });
    }
}
