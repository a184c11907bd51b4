//! Threads, one or several with the same work.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Starts a thread that lives no longer than its scope. The error leaves the work to the caller.
pub(crate) fn scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work)
}

/// Starts a thread. The error leaves the work to the caller.
pub(crate) fn detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(work)
}

/// Starts up to `count` threads with the same work, and returns how many there are: fewer if no more can be had.
pub(crate) fn several<'scope, W: FnOnce() + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    count: usize,
    work: impl Fn() -> W,
) -> usize {
    (0..count).map_while(|_| scoped(scope, name, work()).ok()).count()
}

/// The results of `work` for all items, in their order. Up to `workers` threads and the calling one take them in turn.
pub(crate) fn map<T: Sync, R: Send + Sync>(
    items: &[T],
    name: &str,
    workers: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let results: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        items.get(index).zip(results.get(index))
    };
    let run = || {
        while let Some((item, result)) = take() {
            let _ = result.set(work(item));
        }
    };
    std::thread::scope(|scope| {
        several(scope, name, workers.saturating_sub(1).min(items.len().saturating_sub(1)), || run);
        run();
    });
    results.into_iter().map(|result| result.into_inner().expect("each item is taken once")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_their_items() {
        let items: Vec<usize> = (0..500).collect();
        for workers in [0, 1, 3] {
            let doubled: Vec<usize> = map(&items, "test", workers, |item| item * 2);
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert!(map(&Vec::<u8>::new(), "test", 3, |item| *item).is_empty());
    }

    #[test]
    fn all_threads_of_a_kind_do_the_work() {
        let done = AtomicUsize::new(0);
        let started = std::thread::scope(|scope| {
            several(scope, "test", 3, || {
                || {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        assert_eq!((started, done.into_inner()), (3, 3));
    }
}
