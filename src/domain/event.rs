//! What is said while a command works: events, and meters that workers turn and a reporter reads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is being done to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Removing what killed processes left behind.
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

/// Counts work done; shared by the threads that do it and the reporter that shows it.
#[derive(Debug)]
pub struct Meter {
    /// The cache worked on.
    pub cache: String,
    /// What is done to it.
    pub phase: Phase,
    total: AtomicU64,
    bytes: AtomicU64,
    items: AtomicU64,
}

impl Meter {
    /// A meter at zero with no total known.
    pub fn new(cache: &str, phase: Phase) -> Arc<Self> {
        Arc::new(Meter {
            cache: cache.to_owned(),
            phase,
            total: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            items: AtomicU64::new(0),
        })
    }

    /// Adds bytes worked through.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds files or objects worked through.
    pub fn add_items(&self, items: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
    }

    /// Says how many bytes there will be; 0 is unknown.
    pub fn set_total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    /// Bytes worked through.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Files or objects worked through.
    pub fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    /// Bytes that there will be, where known.
    pub fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only for those who ask for detail.
    Debug,
    /// What was done.
    Info,
    /// Something went wrong and the build goes on.
    Warning,
    /// Something went wrong and the command fails.
    Error,
}

/// Something to be told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Long work begins; the meter is read until [`Event::Finished`] with the same one.
    Started(Arc<Meter>),
    /// That work ended, well or not.
    Finished(Arc<Meter>),
    /// A message, with what can be done about it.
    Message {
        /// How much it matters.
        level: Level,
        /// The cache it is about.
        cache: Option<String>,
        /// What happened, in one line.
        text: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A command of the platform's, made by the platform's own room: printed as it is, whatever is told else.
    Command(String),
    /// A group of messages begins (a foldable section where the platform has them).
    GroupStarted(String),
    /// The group ends.
    GroupFinished,
}

/// Where events go. Rooms that work emit; only the `report` room prints.
pub trait Observer: Send + Sync {
    /// Takes an event.
    fn observe(&self, event: Event);
}

/// Ends its meter's work when dropped, so that no error path leaves a bar standing.
pub struct Running<'a> {
    observer: &'a dyn Observer,
    /// The meter to turn.
    pub meter: Arc<Meter>,
}

impl<'a> Running<'a> {
    /// Announces work on a cache.
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
