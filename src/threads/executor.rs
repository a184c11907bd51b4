//! The runtime of asynchronous work: on threads of its own, or driven by whichever thread waits for it.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::thread::Builder as ThreadBuilder;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use super::contain::contain;

/// Threads that drive the network and the store.
const DRIVERS: usize = 2;

/// A runtime gets threads of its own only if this many could be started: the command of `run`, what it starts, and
/// the threads that pack and unpack need some as well.
const SPARE_THREADS: usize = 8;

/// Bytes of stack of a thread that only shows that it can be had.
const SMALL_STACK: usize = 64 << 10;

/// How long a thread for blocking work is kept. The last one must never end: where no other can be started, tokio leaves
/// work to it and waits for ever if there is none.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// How long the first thread for blocking work may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(10);

/// Why the panics of tokio while it is set up are errors of the system.
pub(crate) const NO_DESCRIPTORS: &str = "too many open files";

/// How often a thread that works lets the tasks of its runtime go on.
const TURN_EVERY: Duration = Duration::from_millis(100);

thread_local! {
    /// The runtime without threads that this thread has started, and when its tasks went on last.
    static DRIVEN: RefCell<Option<(Weak<Runtime>, Instant)>> = const { RefCell::new(None) };
}

/// Lets the tasks of a runtime without threads go on for a moment, now and then: deadlines are tasks. For work that takes
/// long without waiting, on the thread that has started the runtime; elsewhere it has no effect.
pub(crate) fn turn() {
    let due = DRIVEN.with_borrow_mut(|driven| {
        let (runtime, last) = driven.as_mut()?;
        if last.elapsed() < TURN_EVERY {
            return None;
        }
        *last = Instant::now();
        runtime.upgrade()
    });
    // Not within the runtime, which waits for this thread.
    if let Some(runtime) = due.filter(|_| Handle::try_current().is_err()) {
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }
}

/// Drives asynchronous work. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Executor(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// It has threads.
    Threads(Handle),
    /// It has none: work goes on while a thread waits in [`Executor::block_on`].
    Callers(Arc<Runtime>),
}

/// The owner of a runtime, which ends with it.
#[derive(Debug)]
pub(crate) struct Owner {
    executor: Executor,
    _runtime: Option<Runtime>,
}

impl Owner {
    /// Starts a runtime, with threads if they can be had.
    pub(crate) fn start() -> io::Result<Self> {
        match on_threads() {
            Some(runtime) => {
                let executor = Executor(Kind::Threads(runtime.handle().clone()));
                Ok(Owner { executor, _runtime: Some(runtime) })
            }
            None => Owner::start_without_threads(),
        }
    }

    /// Starts a runtime that is driven by its callers.
    pub(crate) fn start_without_threads() -> io::Result<Self> {
        // Panics without descriptors for what wakes it.
        let built = contain(|| Builder::new_current_thread().enable_all().build());
        let runtime = Arc::new(built.map_err(|_| io::Error::other(NO_DESCRIPTORS))??);
        DRIVEN.set(Some((Arc::downgrade(&runtime), Instant::now())));
        Ok(Owner { executor: Executor(Kind::Callers(runtime)), _runtime: None })
    }

    /// What drives its work.
    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }
}

/// A runtime with threads; `None` if there are not enough.
fn on_threads() -> Option<Runtime> {
    if !can_start(SPARE_THREADS) {
        return None;
    }
    let build =
        || Builder::new_multi_thread().worker_threads(DRIVERS).thread_keep_alive(KEPT).enable_all().build();
    // Both panic if another process took the last thread in between.
    let runtime = contain(build).ok()?.ok()?;
    let (started, is_started) = mpsc::channel();
    let start = || drop(runtime.spawn_blocking(move || started.send(())));
    if contain(start).is_err() || is_started.recv_timeout(STARTED_WITHIN).is_err() {
        runtime.shutdown_background();
        return None;
    }
    Some(runtime)
}

/// Whether this many threads can be had at once.
fn can_start(count: usize) -> bool {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    // Each waits until all were tried.
    let wait = || drop(released.lock().map(|released| released.recv()));
    std::thread::scope(|scope| {
        let start = || ThreadBuilder::new().stack_size(SMALL_STACK).spawn_scoped(scope, wait);
        let threads: Vec<_> = (0..count).map_while(|_| start().ok()).collect();
        drop(release);
        let could = threads.len() == count;
        // Joined, so that they no longer count when others are started.
        for thread in threads {
            let _ = thread.join();
        }
        could
    })
}

impl Executor {
    /// Starts a task.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.0 {
            Kind::Threads(handle) => handle.spawn(future),
            Kind::Callers(runtime) => runtime.spawn(future),
        }
    }

    /// Waits for a future. Whatever waits for tasks has to do it here: without threads they stand still meanwhile
    /// otherwise.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Kind::Threads(handle) => handle.block_on(future),
            Kind::Callers(runtime) => runtime.block_on(future),
        }
    }

    /// Waits for a while, in which tasks go on.
    pub(crate) fn pause(&self, duration: Duration) {
        // Made within the runtime, whose clock it uses.
        self.block_on(async { tokio::time::sleep(duration).await });
    }

    /// Whether this thread may wait. Without threads, blocking work of tasks is done by the thread that waits already.
    pub(crate) fn may_block(&self) -> bool {
        matches!(self.0, Kind::Threads(_)) || Handle::try_current().is_err()
    }

    /// Whether tasks go on while no thread waits for them.
    pub(crate) fn has_threads(&self) -> bool {
        matches!(self.0, Kind::Threads(_))
    }

    /// Has tasks and signals of this thread belong to the runtime until the returned value is dropped.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        match &self.0 {
            Kind::Threads(handle) => handle.enter(),
            Kind::Callers(runtime) => runtime.enter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn tasks_go_on_while_their_caller_waits() {
        for owner in [Owner::start().expect("a runtime"), Owner::start_without_threads().expect("a runtime")]
        {
            let executor = owner.executor();
            let done = Arc::new(AtomicBool::new(false));
            let (noted, note) = (Arc::clone(&done), tokio::sync::Notify::new());
            let note = Arc::new(note);
            let notify = Arc::clone(&note);
            executor.spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                noted.store(true, Ordering::Release);
                notify.notify_one();
            });
            executor.block_on(note.notified());
            assert!(done.load(Ordering::Acquire));
            assert!(executor.may_block());
            executor.pause(Duration::from_millis(1));
        }
    }

    #[test]
    fn without_threads_a_task_cannot_wait_for_another() {
        let owner = Owner::start_without_threads().expect("a runtime");
        let executor = owner.executor().clone();
        assert!(!owner.executor().block_on(async move { executor.may_block() }));
    }

    #[test]
    fn deadlines_pass_while_their_thread_works() {
        let owner = Owner::start_without_threads().expect("a runtime");
        let done = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&done);
        owner.executor().spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            noted.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            turn();
        }
    }

    #[test]
    fn more_threads_than_a_system_has_cannot_be_started() {
        assert!(can_start(1));
    }
}
