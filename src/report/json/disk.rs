//! Volumes, for machines.

use serde::Serialize;

use crate::domain::freeable::Freed;

/// What `disk --json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DiskDocument {
    /// `disk`.
    pub command: &'static str,
    /// Whether what is under `freed` was only listed.
    pub dry_run: bool,
    /// The volumes of the workspace, the temporary directory, the caches and the store.
    pub volumes: Vec<VolumeDocument>,
    /// What saves need, at most.
    pub needs: Vec<NeedDocument>,
    /// What was removed, or may be.
    pub freed: Vec<FreedDocument>,
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
    /// Bytes that stay free by `[disk] reserve`.
    pub reserve_bytes: u64,
    /// All inodes; absent where there are as many as room allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_inodes: Option<u64>,
    /// Those that this user may still use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_inodes: Option<u64>,
}

impl VolumeDocument {
    /// How much of it is used.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub(crate) fn used_percent(&self) -> f64 {
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        100.0 * used as f64 / self.total_bytes.max(1) as f64
    }
}

/// What the save of a cache needs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NeedDocument {
    /// The cache.
    pub cache: String,
    /// Where.
    pub path: String,
    /// Bytes, at most.
    pub bytes: u64,
    /// Whether they are there beside the reserve.
    pub fits: bool,
}

/// Something that was removed for room, or may be.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FreedDocument {
    /// The path or the name.
    pub what: String,
    /// The bytes that the volume gained.
    pub bytes: u64,
    /// Why it was not removed, or not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

impl From<&Freed> for FreedDocument {
    fn from(freed: &Freed) -> Self {
        FreedDocument { what: freed.what.clone(), bytes: freed.bytes, blocked: freed.blocked.clone() }
    }
}
