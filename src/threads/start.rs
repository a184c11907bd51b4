//! Single threads.

use std::io;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
