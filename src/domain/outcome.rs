//! Outcomes of restoring, seeding and saving a cache.

use std::fmt;
use std::time::Duration;

use super::gate::MissingObject;
use super::key::Key;
use super::scope::Scope;
use super::unit::ByteSize;

/// Which kind of match a restore found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// An entry with exactly this key.
    Exact,
    /// An entry that a prefix matched.
    Partial,
    /// Nothing restored.
    None,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hit::Exact => "exact",
            Hit::Partial => "partial",
            Hit::None => "none",
        })
    }
}

/// The entry that was restored, or would be with `--lookup-only`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Its key.
    pub key: Key,
    /// Its scope.
    pub scope: Scope,
    /// Size of its archive.
    pub size: ByteSize,
}

/// The outcome of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// The name of the cache.
    pub cache: String,
    /// The key that was looked up.
    pub key: Key,
    /// The kind of match; a corrupt archive counts as [`Hit::None`].
    pub hit: Hit,
    /// The entry that was restored.
    pub matched: Option<Matched>,
    /// Number of restored files.
    pub files: u64,
    /// Their bytes.
    pub unpacked: ByteSize,
    /// Why nothing was restored, if the reason is not simply that no entry matches.
    pub miss: Option<String>,
    /// Elapsed time.
    pub elapsed: Duration,
}

/// The result of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaveResult {
    /// A new entry was created.
    Saved,
    /// An entry with this key already exists, possibly created by a concurrent job.
    Exists,
    /// The cache has not changed since it was restored.
    Unchanged,
    /// The gate failed: objects are missing or unproven.
    Incomplete,
    /// This job may not write: because of its role, its token or the cache mode.
    DeniedMode,
    /// The store is over its budget and has become read-only.
    DeniedBudget,
    /// The store asked to wait past the deadline.
    RateLimited,
    /// A volume has too little free space.
    NoSpace,
    /// Any other error.
    Failed,
}

impl SaveResult {
    /// Every result, in the order of `docs/reference.md`.
    pub const ALL: [SaveResult; 9] = [
        SaveResult::Saved,
        SaveResult::Exists,
        SaveResult::Unchanged,
        SaveResult::Incomplete,
        SaveResult::DeniedMode,
        SaveResult::DeniedBudget,
        SaveResult::RateLimited,
        SaveResult::NoSpace,
        SaveResult::Failed,
    ];

    /// Whether the store now holds an entry for this key.
    pub fn is_served(self) -> bool {
        matches!(self, SaveResult::Saved | SaveResult::Exists | SaveResult::Unchanged)
    }
}

impl fmt::Display for SaveResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SaveResult::Saved => "saved",
            SaveResult::Exists => "exists",
            SaveResult::Unchanged => "unchanged",
            SaveResult::Incomplete => "incomplete",
            SaveResult::DeniedMode => "denied-mode",
            SaveResult::DeniedBudget => "denied-budget",
            SaveResult::RateLimited => "rate-limited",
            SaveResult::NoSpace => "no-space",
            SaveResult::Failed => "failed",
        })
    }
}

/// The outcome of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveOutcome {
    /// The name of the cache.
    pub cache: String,
    /// The key of the entry.
    pub key: Key,
    /// The result.
    pub result: SaveResult,
    /// The reason for every result except `saved`.
    pub reason: Option<String>,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// Number of files in the archive.
    pub files: u64,
    /// Their bytes.
    pub unpacked: ByteSize,
    /// Size of the archive.
    pub archive: ByteSize,
    /// Elapsed time.
    pub elapsed: Duration,
}

/// The outcome of seeding a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedOutcome {
    /// The name of the cache.
    pub cache: String,
    /// The result.
    pub result: SeedResult,
    /// The source of the archive, if one was used.
    pub source: Option<String>,
    /// Number of objects or files that the archive added.
    pub added: u64,
    /// Their bytes.
    pub added_bytes: ByteSize,
    /// Number of objects fetched from mirrors.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: ByteSize,
    /// Wanted objects that are still missing or unproven after mirrors were asked.
    pub missing: Vec<MissingObject>,
    /// Statistics of the mirrors that were asked, in the order of the configuration.
    pub mirrors: Vec<MirrorUse>,
    /// Why seeding failed, or why it was not needed.
    pub reason: Option<String>,
    /// Elapsed time.
    pub elapsed: Duration,
}

/// Statistics of a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorUse {
    /// The URL of the mirror, without secrets.
    pub mirror: String,
    /// Number of requests.
    pub requests: u64,
    /// Number of objects that were accepted from it.
    pub delivered: u64,
    /// Whether it was abandoned: unreachable, or too many wrong answers.
    pub given_up: bool,
}

/// The result of seeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedResult {
    /// An archive was merged, or mirrors supplied everything that was missing.
    Seeded,
    /// The sentinel is valid, or nothing is missing.
    NotNeeded,
    /// No mirror supplied some of the objects. The fetched ones are kept.
    Incomplete,
    /// No source was usable.
    Failed,
}

impl SeedResult {
    /// Whether it fails a caller that requires the seed.
    pub fn is_short(self) -> bool {
        matches!(self, SeedResult::Incomplete | SeedResult::Failed)
    }
}

impl fmt::Display for SeedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SeedResult::Seeded => "seeded",
            SeedResult::NotNeeded => "not-needed",
            SeedResult::Incomplete => "incomplete",
            SeedResult::Failed => "failed",
        })
    }
}
