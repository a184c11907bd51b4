//! Pipes carry every byte, every error, and never keep anyone waiting for an end that is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes, unless someone waits for ever.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("trouble {0}")]
struct Trouble(u8);

/// Collects bytes and fails at the chunk of this number.
struct Collector {
    bytes: Vec<u8>,
    largest: usize,
    fails_at: Option<usize>,
    seen: usize,
}

impl Collector {
    fn new(fails_at: Option<usize>) -> Self {
        Collector { bytes: Vec::new(), largest: 0, fails_at, seen: 0 }
    }
}

#[async_trait]
impl Consumer for Collector {
    type Error = Trouble;

    async fn consume(&mut self, chunk: Bytes) -> Result<(), Trouble> {
        if self.fails_at == Some(self.seen) {
            return Err(Trouble(7));
        }
        self.seen += 1;
        self.largest = self.largest.max(chunk.len());
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }
}

/// Never takes anything.
struct Stuck;

#[async_trait]
impl Consumer for Stuck {
    type Error = Trouble;

    async fn consume(&mut self, _chunk: Bytes) -> Result<(), Trouble> {
        std::future::pending().await
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).expect("below 251")).collect()
}

fn pipe_error(error: &io::Error) -> Option<&PipeError> {
    error.get_ref()?.downcast_ref()
}

#[tokio::test]
async fn what_is_written_is_taken_in_order_and_in_bounded_chunks() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17, 20 * CHUNK] {
        let (mut blocking, outlet) = writer(&CancellationToken::new());
        let bytes = pattern(length);
        let expect = bytes.clone();
        let written = spawn_blocking(move || {
            for piece in bytes.chunks(70_001) {
                blocking.write_all(piece)?;
            }
            blocking.finish()
        });
        let mut collector = Collector::new(None);
        let count = timeout(PATIENCE, outlet.drain(&mut collector)).await.expect("in time").expect("drained");
        written.await.expect("no panic").expect("written");
        assert_eq!(count, length as u64);
        assert!(collector.bytes == expect, "{length}");
        assert!(collector.largest <= CHUNK);
    }
}

/// Waits until so much is counted, and a little longer for what should not come.
async fn reached(counter: &AtomicUsize, count: usize) -> usize {
    let enough = async {
        while counter.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, enough).await.expect("it comes so far");
    tokio::time::sleep(Duration::from_millis(100)).await;
    counter.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_writer_waits_for_a_slow_consumer() {
    let (mut blocking, outlet) = writer(&CancellationToken::new());
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let written = spawn_blocking(move || {
        for _ in 0..40 {
            blocking.write_all(&vec![0; CHUNK])?;
            counter.fetch_add(1, Ordering::SeqCst);
        }
        blocking.finish()
    });
    assert_eq!(reached(&sent, CHUNKS).await, CHUNKS, "no more than the pipe holds");
    let count = outlet.drain(&mut Collector::new(None)).await.expect("drained");
    assert_eq!(count, 40 * CHUNK as u64);
    written.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn a_failure_of_the_consumer_reaches_both_ends() {
    let (mut blocking, outlet) = writer(&CancellationToken::new());
    let written = spawn_blocking(move || {
        (0..100).try_for_each(|_| blocking.write_all(&vec![0; CHUNK])).expect_err("it must stop")
    });
    let drained = outlet.drain(&mut Collector::new(Some(2))).await;
    assert!(matches!(drained, Err(DrainError::Consumer(Trouble(7)))));
    let error = timeout(PATIENCE, written).await.expect("in time").expect("no panic");
    assert_eq!(pipe_error(&error), Some(&PipeError::NotTaken("trouble 7".to_owned())));
}

#[tokio::test]
async fn a_writer_that_is_dropped_unfinished_is_no_end() {
    let (mut blocking, outlet) = writer(&CancellationToken::new());
    let written = spawn_blocking(move || blocking.write_all(&pattern(3 * CHUNK)));
    let drained = timeout(PATIENCE, outlet.drain(&mut Collector::new(None))).await.expect("in time");
    assert!(matches!(drained, Err(DrainError::Pipe(PipeError::Disconnected))));
    written.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn a_writer_does_not_wait_for_an_outlet_that_is_gone() {
    let (mut blocking, outlet) = writer(&CancellationToken::new());
    let written =
        spawn_blocking(move || blocking.write_all(&pattern(20 * CHUNK)).expect_err("nobody takes it"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(outlet);
    let error = timeout(PATIENCE, written).await.expect("in time").expect("no panic");
    assert_eq!(pipe_error(&error), Some(&PipeError::Disconnected));
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn cancellation_wakes_a_writer_and_an_outlet_that_wait() {
    let cancel = CancellationToken::new();
    let (mut blocking, outlet) = writer(&cancel);
    let written =
        spawn_blocking(move || blocking.write_all(&pattern(20 * CHUNK)).expect_err("it is canceled"));
    let drained = tokio::spawn(async move { outlet.drain(&mut Stuck).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel.cancel();
    let error = timeout(PATIENCE, written).await.expect("in time").expect("no panic");
    assert_eq!(pipe_error(&error), Some(&PipeError::Canceled));
    let drained = timeout(PATIENCE, drained).await.expect("in time").expect("no panic");
    assert!(matches!(drained, Err(DrainError::Pipe(PipeError::Canceled))));
}

#[tokio::test]
async fn what_a_stream_delivers_is_read() {
    for sizes in [&[][..], &[0], &[1], &[0, 5, 0, 0, 3], &[CHUNK, 3 * CHUNK, 1]] {
        let chunks: Vec<Result<Bytes, Trouble>> = sizes.iter().map(|n| Ok(pattern(*n).into())).collect();
        let expect: Vec<u8> = sizes.iter().flat_map(|n| pattern(*n)).collect();
        let mut blocking = reader(stream::iter(chunks), &CancellationToken::new());
        let read = spawn_blocking(move || {
            let mut bytes = Vec::new();
            blocking.read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = timeout(PATIENCE, read).await.expect("in time").expect("no panic").expect("read");
        assert!(bytes == expect, "{sizes:?}");
    }
}

#[tokio::test]
async fn an_error_of_the_stream_comes_out_of_read_as_itself() {
    let chunks = [Ok(Bytes::from_static(b"ab")), Err(Trouble(3)), Ok(Bytes::from_static(b"never"))];
    let mut blocking = reader(stream::iter(chunks), &CancellationToken::new());
    let (bytes, error) = spawn_blocking(move || {
        let mut bytes = Vec::new();
        let error = blocking.read_to_end(&mut bytes).expect_err("it fails");
        (bytes, error)
    })
    .await
    .expect("no panic");
    assert_eq!(bytes, b"ab");
    assert_eq!(error.downcast::<Trouble>().expect("its kind"), Trouble(3));
}

#[tokio::test]
async fn nothing_is_read_after_an_error_as_if_it_were_the_end() {
    let mut blocking = reader(stream::iter([Err(Trouble(1))]), &CancellationToken::new());
    spawn_blocking(move || {
        let mut buffer = [0; 8];
        assert!(blocking.read(&mut buffer).is_err());
        assert!(blocking.read(&mut buffer).is_err(), "an error is not followed by an end");
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn a_stream_is_read_ahead_but_not_far() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let endless = stream::repeat_with(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Trouble>(Bytes::from_static(b"x"))
    });
    let blocking = reader(endless, &CancellationToken::new());
    let ahead = reached(&asked, CHUNKS).await;
    assert!((CHUNKS..=CHUNKS + 1).contains(&ahead), "{ahead}");
    drop(blocking);
}

#[tokio::test]
async fn a_stream_is_dropped_with_its_reader_even_if_it_hangs() {
    let held = Arc::new(());
    let keeper = Arc::clone(&held);
    let hanging = stream::unfold(keeper, |keeper| async move {
        std::future::pending::<()>().await;
        Some((Ok::<_, Trouble>(Bytes::new()), keeper))
    });
    drop(reader(hanging, &CancellationToken::new()));
    let gone = async {
        while Arc::strong_count(&held) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the stream is dropped");
}

#[tokio::test]
async fn cancellation_wakes_a_reader_that_waits() {
    let cancel = CancellationToken::new();
    let mut blocking = reader(stream::pending::<Result<Bytes, Trouble>>(), &cancel);
    let read = spawn_blocking(move || blocking.read(&mut [0; 8]).expect_err("it is canceled"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel.cancel();
    let error = timeout(PATIENCE, read).await.expect("in time").expect("no panic");
    assert_eq!(pipe_error(&error), Some(&PipeError::Canceled));
}

#[tokio::test]
async fn a_stream_that_panics_is_an_error_and_not_the_end() {
    let panicking = stream::once(async {
        assert!(std::env::args().count() == usize::MAX, "on purpose");
        Ok::<_, Trouble>(Bytes::new())
    });
    let mut blocking = reader(panicking, &CancellationToken::new());
    let read = spawn_blocking(move || blocking.read(&mut [0; 8]).expect_err("it is broken"));
    let error = timeout(PATIENCE, read).await.expect("in time").expect("no panic");
    assert_eq!(pipe_error(&error), Some(&PipeError::Disconnected));
}
