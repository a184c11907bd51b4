//! What can come of restoring, seeding and saving a cache.

use std::fmt;
use std::time::Duration;

use super::gate::Lack;
use super::key::Key;
use super::scope::Scope;
use super::unit::ByteSize;

/// How well a lookup was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// An entry of the very key.
    Exact,
    /// An entry found by a prefix.
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

/// An entry that was restored, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Its key.
    pub key: Key,
    /// Its scope.
    pub scope: Scope,
    /// Bytes of its archive.
    pub size: ByteSize,
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// The cache.
    pub cache: String,
    /// The key looked for.
    pub key: Key,
    /// How well the lookup was answered, after the archive proved good.
    pub hit: Hit,
    /// The entry that was restored.
    pub matched: Option<Matched>,
    /// Files that were restored.
    pub files: u64,
    /// Their bytes.
    pub unpacked: ByteSize,
    /// Why nothing was restored, where that has another reason than that no entry matches.
    pub miss: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a save came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaveResult {
    /// A new entry.
    Saved,
    /// An entry of this key exists already, perhaps made a moment ago by another job.
    Exists,
    /// The cache holds what was restored: there is nothing to save.
    Unchanged,
    /// The gate refused: objects are missing or unproven.
    Incomplete,
    /// This job may not or should not write: its role, its token or the cache mode.
    DeniedMode,
    /// The budget is spent and the store is read-only.
    DeniedBudget,
    /// The store asked to wait longer than the deadline allows.
    RateLimited,
    /// A volume has too little room.
    NoSpace,
    /// Something else went wrong.
    Failed,
}

impl SaveResult {
    /// Every result, in the order of the reference.
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

    /// Whether the store now holds an entry that serves this key.
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

/// What came of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveOutcome {
    /// The cache.
    pub cache: String,
    /// The key saved under.
    pub key: Key,
    /// What it came to.
    pub result: SaveResult,
    /// Why, for every result but `saved`.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Files in the archive.
    pub files: u64,
    /// Their bytes.
    pub unpacked: ByteSize,
    /// Bytes of the archive.
    pub archive: ByteSize,
    /// How long it took.
    pub elapsed: Duration,
}

/// What came of seeding a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedOutcome {
    /// The cache.
    pub cache: String,
    /// What was done.
    pub result: SeedResult,
    /// Where the seed came from, where one was fetched.
    pub source: Option<String>,
    /// Objects or files that a seed added.
    pub added: u64,
    /// Their bytes.
    pub added_bytes: ByteSize,
    /// Objects that mirrors gave.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: ByteSize,
    /// Objects that links want and nobody gave, after mirrors were asked.
    pub lacking: Vec<Lack>,
    /// What the mirrors did, where they were asked, in the order of the configuration.
    pub mirrors: Vec<MirrorUse>,
    /// Why the seed failed, or why none was needed.
    pub reason: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a mirror did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorUse {
    /// The mirror, without secrets.
    pub mirror: String,
    /// Requests to it.
    pub requests: u64,
    /// Objects from it that were taken.
    pub delivered: u64,
    /// Whether it was given up: dead, or wrong too often.
    pub given_up: bool,
}

/// What seeding came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedResult {
    /// A seed was merged, or mirrors gave all that was missing.
    Seeded,
    /// The sentinel is valid or nothing is missing.
    NotNeeded,
    /// Mirrors were asked, and some objects nobody gave. What came was kept.
    Incomplete,
    /// No source could be used.
    Failed,
}

impl SeedResult {
    /// Whether somebody who required it got less.
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
