//! How full everything is, for machines.

use serde::Serialize;

use super::usage::EntryDocument;
use crate::domain::status::{Status, StoreStatus};

/// What `status --json` prints.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StatusDocument {
    /// `status`.
    pub command: &'static str,
    /// The store; absent if it is not one of our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreDocument>,
    /// The local caches.
    pub caches: Vec<CacheDocument>,
    /// The volumes that they are on.
    pub volumes: Vec<VolumeDocument>,
}

/// A store.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StoreDocument {
    /// Its location.
    pub location: String,
    /// Bytes of its entries.
    pub bytes: u64,
    /// How many there are.
    pub entries: usize,
    /// How many of them are being read.
    pub leased: usize,
    /// Bytes above which the least recently used are deleted.
    pub quota_bytes: Option<u64>,
    /// Entries that were deleted for that so far.
    pub evicted: Option<u64>,
    /// Their bytes.
    pub evicted_bytes: Option<u64>,
    /// Bytes saved in a day, of late.
    pub per_day: Option<u64>,
    /// When the quota is reached at that rate.
    pub runs_out_at: Option<String>,
    /// What would be deleted next, the first first.
    pub next: Vec<EntryDocument>,
}

/// A local cache.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CacheDocument {
    /// Its name.
    pub cache: String,
    /// Bytes that it takes on its volume.
    pub bytes: u64,
    /// What a trim takes as a whole: files, or children of its directories.
    pub units: usize,
    /// How many of them are in use.
    pub held: usize,
    /// Upper bound for its bytes.
    pub limit_bytes: Option<u64>,
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VolumeDocument {
    /// A path on it.
    pub path: String,
    /// All bytes.
    pub total_bytes: u64,
    /// Bytes that this user may still use.
    pub free_bytes: u64,
    /// All inodes.
    pub total_inodes: Option<u64>,
    /// Those that this user may still use.
    pub free_inodes: Option<u64>,
}

impl From<&Status> for StatusDocument {
    fn from(status: &Status) -> Self {
        let caches = status.caches.iter().map(|cache| CacheDocument {
            cache: cache.name.clone(),
            bytes: cache.bytes.0,
            units: cache.units,
            held: cache.held,
            limit_bytes: cache.limit.map(|limit| limit.0),
        });
        let volumes = status.volumes.iter().map(|volume| VolumeDocument {
            path: volume.path.clone(),
            total_bytes: volume.total.0,
            free_bytes: volume.free.0,
            total_inodes: volume.inodes.map(|(total, _)| total),
            free_inodes: volume.inodes.map(|(_, free)| free),
        });
        StatusDocument {
            command: "status",
            store: status.store.as_ref().map(StoreDocument::from),
            caches: caches.collect(),
            volumes: volumes.collect(),
        }
    }
}

impl From<&StoreStatus> for StoreDocument {
    fn from(store: &StoreStatus) -> Self {
        let forecast = store.forecast.as_ref();
        StoreDocument {
            location: store.location.clone(),
            bytes: store.bytes.0,
            entries: store.entries,
            leased: store.leased,
            quota_bytes: store.quota.map(|quota| quota.0),
            evicted: store.evicted.map(|(entries, _)| entries),
            evicted_bytes: store.evicted.map(|(_, bytes)| bytes),
            per_day: forecast.map(|forecast| forecast.per_day.0),
            runs_out_at: forecast.and_then(|forecast| forecast.runs_out_at).map(|at| at.to_rfc3339()),
            next: store.next.iter().map(EntryDocument::from).collect(),
        }
    }
}
