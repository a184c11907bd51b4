//! Blocking work of asynchronous code.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::contain::contain;
use super::start;

/// Does blocking work beside the tasks of the runtime; in its place if the runtime has no threads. The error is a panic.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    match Handle::current().runtime_flavor() {
        // It keeps a thread for this: `executor` sees to it.
        RuntimeFlavor::MultiThread => {
            let done = tokio::task::spawn_blocking(|| contain(work)).await;
            Ok(done.map_err(io::Error::other)??)
        }
        _ => Ok(contain(work)?),
    }
}

/// The same on a thread of its own, for work that other blocking work may wait for.
pub(crate) async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (send, receive) = oneshot::channel();
    let work = Arc::new(Mutex::new(Some(work)));
    let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let given = Arc::clone(&work);
    let started = start::detached(name, move || {
        // Sending fails if the result is no longer wanted.
        take(&given).map(|work| send.send(contain(work)))
    });
    match started {
        Ok(_) => Ok(receive.await.map_err(io::Error::other)??),
        Err(error) => Ok(contain(take(&work).ok_or(error)?)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check() {
        assert_eq!(blocking(|| 5).await.expect("done"), 5);
        assert_eq!(aside("test", || 6).await.expect("done"), 6);
        let panicked: io::Result<()> = blocking(|| panic!("a mistake")).await;
        assert_eq!(panicked.expect_err("it panicked").to_string(), "internal error: a mistake");
        let panicked: io::Result<()> = aside("test", || panic!("a mistake")).await;
        assert_eq!(panicked.expect_err("it panicked").to_string(), "internal error: a mistake");
    }

    #[tokio::test]
    async fn work_is_done_in_place_without_threads() {
        check().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_is_done_beside_tasks_with_threads() {
        check().await;
    }
}
