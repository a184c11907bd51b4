//! Progress and messages of a running command: events, and meters that workers increment and a reporter reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A phase of work on a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Finishing or undoing what killed processes left.
    Recover,
    /// Reading the tree: links, keys, sizes.
    Scan,
    /// Fetching and unpacking an entry.
    Restore,
    /// Filling a cache from a release archive.
    Seed,
    /// Fetching single objects from mirrors.
    Fetch,
    /// Hashing objects.
    Verify,
    /// Packing and storing an entry.
    Save,
    /// Reading a saved entry back.
    ReadBack,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Recover => "recover",
            Phase::Scan => "scan",
            Phase::Restore => "restore",
            Phase::Seed => "seed",
            Phase::Fetch => "fetch",
            Phase::Verify => "verify",
            Phase::Save => "save",
            Phase::ReadBack => "read back",
        })
    }
}

/// A progress counter, shared by the threads that work and the reporter that shows it.
#[derive(Debug)]
pub struct Meter {
    /// The name of the cache.
    pub cache: String,
    /// The phase that is measured.
    pub phase: Phase,
    total: AtomicU64,
    total_items: AtomicU64,
    bytes: AtomicU64,
    items: AtomicU64,
}

impl Meter {
    /// A meter at zero with an unknown total.
    pub fn new(cache: &str, phase: Phase) -> Arc<Self> {
        Arc::new(Meter {
            cache: cache.to_owned(),
            phase,
            total: AtomicU64::new(0),
            total_items: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            items: AtomicU64::new(0),
        })
    }

    /// Adds processed bytes.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds processed files or objects.
    pub fn add_items(&self, items: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
    }

    /// Sets the expected number of bytes; 0 stands for unknown.
    pub fn set_total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    /// Sets the expected number of files or objects; 0 stands for unknown.
    pub fn set_total_items(&self, items: u64) {
        self.total_items.store(items, Ordering::Relaxed);
    }

    /// Bytes processed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Files or objects processed so far.
    pub fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    /// The expected number of files or objects, if known.
    pub fn total_items(&self) -> Option<u64> {
        Some(self.total_items.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }

    /// The expected number of bytes, if known.
    pub fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }
}

/// The severity of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Detail that is shown with `--verbose`.
    Debug,
    /// A result.
    Info,
    /// A failure that does not fail the command.
    Warning,
    /// A failure that fails the command.
    Error,
}

/// Progress or a message.
#[derive(Debug, Clone)]
pub enum Event {
    /// A phase begins; its meter is read until [`Event::Finished`] with the same meter.
    Started(Arc<Meter>),
    /// The phase ended, successfully or not.
    Finished(Arc<Meter>),
    /// A message with an optional hint.
    Message {
        /// Its severity.
        level: Level,
        /// The cache that it concerns; `None` for the command as a whole.
        cache: Option<String>,
        /// One line.
        text: String,
        /// What the user can do about it.
        hint: Option<String>,
    },
    /// A command to the CI runner, formatted by the platform; printed verbatim at every verbosity.
    Command(String),
    /// A group of messages begins (a foldable section where the platform has them).
    GroupStarted(String),
    /// The group ends.
    GroupFinished,
}

/// Receives events. Everything emits them; only the `report` room prints.
pub trait Observer: Send + Sync {
    /// Handles one event; called from any thread.
    fn observe(&self, event: Event);
}

/// Receives details of background work, such as requests, retries and waits, which `--verbose` shows.
#[derive(Clone, Default)]
pub struct Details(Option<Arc<dyn Observer>>);

impl Details {
    /// Sends details to this observer.
    pub fn to(observer: Arc<dyn Observer>) -> Self {
        Details(Some(observer))
    }

    /// Discards details.
    pub fn none() -> Self {
        Details(None)
    }

    /// Emits one detail, which is rendered only if there is an observer.
    pub fn tell(&self, text: fmt::Arguments<'_>) {
        if let Some(observer) = &self.0 {
            let text = text.to_string();
            observer.observe(Event::Message { level: Level::Debug, cache: None, text, hint: None });
        }
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Details(told)" } else { "Details(none)" })
    }
}

/// A running phase: emits [`Event::Finished`] when dropped, so that no error path leaves a progress bar behind.
pub struct Running<'a> {
    observer: &'a dyn Observer,
    /// The meter of this phase.
    pub meter: Arc<Meter>,
}

impl<'a> Running<'a> {
    /// Emits [`Event::Started`].
    pub fn start(observer: &'a dyn Observer, cache: &str, phase: Phase) -> Self {
        let meter = Meter::new(cache, phase);
        observer.observe(Event::Started(Arc::clone(&meter)));
        Running { observer, meter }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.observer.observe(Event::Finished(Arc::clone(&self.meter)));
    }
}
