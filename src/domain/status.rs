//! How full a store, caches and volumes are.

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::retention::usage::Forecast;
use super::unit::ByteSize;

/// How full everything is at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// When that was.
    pub now: DateTime<Utc>,
    /// The store, where it is one of our own.
    pub store: Option<StoreStatus>,
    /// The local caches.
    pub caches: Vec<CacheStatus>,
    /// The volumes that they are on.
    pub volumes: Vec<VolumeStatus>,
}

/// How full a store is: the entries of all repositories.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreStatus {
    /// Its location.
    pub location: String,
    /// Bytes of its entries.
    pub bytes: ByteSize,
    /// How many there are.
    pub entries: usize,
    /// How many of them are being read.
    pub leased: usize,
    /// Bytes above which the least recently used are deleted.
    pub quota: Option<ByteSize>,
    /// What was deleted for that so far, in entries and bytes; `None` if that is not counted.
    pub evicted: Option<(u64, u64)>,
    /// How fast it fills, and when the quota is reached.
    pub forecast: Option<Forecast>,
    /// What would be deleted next.
    pub next: Vec<Entry>,
}

/// How full a local cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus {
    /// Its name.
    pub name: String,
    /// Bytes that it takes on its volume.
    pub bytes: ByteSize,
    /// What a trim takes as a whole: files, or children of its directories.
    pub units: usize,
    /// How many of them are in use.
    pub held: usize,
    /// Upper bound for its bytes, by its `trim`.
    pub limit: Option<ByteSize>,
}

/// How full a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeStatus {
    /// A path on it.
    pub path: String,
    /// All bytes.
    pub total: ByteSize,
    /// Bytes that this user may still use.
    pub free: ByteSize,
    /// All inodes and those that are free; `None` where there are as many as room allows.
    pub inodes: Option<(u64, u64)>,
}
