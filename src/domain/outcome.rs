//! Outcomes: of a command as a whole, and of restoring, seeding, gating, trimming and saving a cache.
//!
//! Text, JSON, outputs and summaries are rendered from these values, and exit codes are derived from them.

use std::fmt;
use std::time::Duration;

use super::freeable::Freed;
use super::gate::{GateReport, MissingObject};
use super::key::Key;
use super::kinds::ToolUse;
use super::quota::QuotaOutcome;
use super::scope::Scope;
use super::unit::ByteSize;
use super::volume::DiskChange;

/// The outcome of a command on the selected caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// The command, as it is typed.
    pub command: &'static str,
    /// What happened to each cache, in the order of the work.
    pub caches: Vec<CacheOutcome>,
    /// Caches that could not be opened or read at all; the reasons have been reported.
    pub broken: Vec<String>,
    /// How the command of `run` ended, if it was started.
    pub child: Option<Child>,
    /// The location of the fallback that was used because the store did not answer.
    pub fallback: Option<String>,
    /// What was done to keep the quota of the store, if it was looked after.
    pub quota: Option<QuotaOutcome>,
    /// The volumes that it worked on, before and after.
    pub disks: Vec<DiskChange>,
    /// What was removed for room.
    pub freed: Vec<Freed>,
}

impl JobOutcome {
    /// The outcome of a command that has done nothing yet.
    pub fn new(command: &'static str) -> Self {
        JobOutcome {
            command,
            caches: Vec::new(),
            broken: Vec::new(),
            child: None,
            fallback: None,
            quota: None,
            disks: Vec::new(),
            freed: Vec::new(),
        }
    }

    /// The outcome of a cache, added when it is first asked for.
    pub fn cache(&mut self, name: &str) -> &mut CacheOutcome {
        let at = self.caches.iter().position(|cache| cache.name == name).unwrap_or_else(|| {
            self.caches.push(CacheOutcome { name: name.to_owned(), ..CacheOutcome::default() });
            self.caches.len() - 1
        });
        &mut self.caches[at]
    }

    /// Whether a cache could not be looked up, restored, seeded, trimmed or saved. A miss is not a failure.
    pub fn failed(&self) -> bool {
        !self.broken.is_empty() || self.caches.iter().any(CacheOutcome::failed)
    }

    /// Whether a seed left something missing.
    pub fn is_short(&self) -> bool {
        self.caches.iter().filter_map(|cache| cache.seed.as_ref()).any(|seed| seed.result.is_short())
    }

    /// Whether a cache was not restored, for any reason.
    pub fn missed(&self) -> bool {
        let mut restores = self.caches.iter().filter_map(|cache| cache.restore.as_ref());
        !self.broken.is_empty() || restores.any(|restore| restore.hit == Hit::None)
    }

    /// Whether the gate found objects missing or unproven, or gave no answer.
    pub fn incomplete(&self) -> bool {
        let mut gates = self.caches.iter().filter_map(|cache| cache.gate.as_ref());
        !self.broken.is_empty() || gates.any(|gate| !gate.is_complete())
    }
}

/// The outcome of a cache: only what was done is present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheOutcome {
    /// The name of the cache.
    pub name: String,
    /// The outcome of restoring it.
    pub restore: Option<RestoreOutcome>,
    /// The outcome of seeding it.
    pub seed: Option<SeedOutcome>,
    /// What the gate found.
    pub gate: Option<GateReport>,
    /// The outcome of trimming it.
    pub trim: Option<TrimOutcome>,
    /// The outcome of saving it.
    pub save: Option<SaveOutcome>,
    /// What its tool counted since the restore.
    pub tool: Option<ToolUse>,
}

impl CacheOutcome {
    /// The outcome of trimming it, by itself or before a save.
    pub fn trimmed(&self) -> Option<&TrimOutcome> {
        self.trim.as_ref().or_else(|| self.save.as_ref()?.trim.as_ref())
    }

    fn failed(&self) -> bool {
        self.restore.as_ref().is_some_and(|restore| restore.miss.is_some())
            || self.seed.as_ref().is_some_and(|seed| seed.result == SeedResult::Failed)
            || self.trim.as_ref().is_some_and(|trim| trim.failed > 0)
            || self.save.as_ref().is_some_and(|save| !save.result.is_served())
    }
}

/// How the command of `run` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// It returned this exit code.
    Returned(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It was not found.
    NotFound,
    /// It cannot be executed.
    NotExecutable,
}

/// The outcome of trimming, or what it would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrimOutcome {
    /// Whether units were only listed, and none removed.
    pub dry_run: bool,
    /// Number of units removed: files, or children of roots.
    pub units: u64,
    /// Number of files removed.
    pub files: u64,
    /// Number of units that could not be removed.
    pub failed: u64,
    /// Size of the cache before.
    pub before: ByteSize,
    /// Size of the cache after.
    pub after: ByteSize,
    /// Units that stay although the policy removes them, and why.
    pub stays: Vec<(String, String)>,
    /// Why the cache still exceeds its maximum size, if it does.
    pub blocked: Option<String>,
}

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
    /// Its scope, unless actions/cache restored it: that does not report it.
    pub scope: Option<Scope>,
    /// Size of its archive, unless actions/cache restored it.
    pub size: Option<ByteSize>,
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
    /// The key that the store answered with although neither the key nor a restore key is a prefix of it: such an answer
    /// is a miss.
    pub unasked: Option<Key>,
    /// An earlier step of this job restored it, and it was not restored again.
    pub earlier: bool,
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
    /// A step of the platform saves it once the job has ended, and does not report whether it did.
    Staged,
    /// There is nothing worth saving.
    Skipped,
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
    pub const ALL: [SaveResult; 11] = [
        SaveResult::Saved,
        SaveResult::Exists,
        SaveResult::Unchanged,
        SaveResult::Incomplete,
        SaveResult::Staged,
        SaveResult::Skipped,
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
            SaveResult::Staged => "staged",
            SaveResult::Skipped => "skipped",
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
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Number of files in the archive.
    pub files: u64,
    /// Their bytes.
    pub unpacked: ByteSize,
    /// Size of the archive.
    pub archive: ByteSize,
    /// The size that the whole archive would have, where only what changed was stored.
    pub whole: Option<ByteSize>,
    /// What was trimmed before.
    pub trim: Option<TrimOutcome>,
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
    /// Objects are missing, which the configuration leaves to the build.
    LeftToBuild,
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
            SeedResult::LeftToBuild => "left-to-build",
            SeedResult::Incomplete => "incomplete",
            SeedResult::Failed => "failed",
        })
    }
}

/// Outcomes for the tests of those who render them.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text).expect("a key")
    }

    /// A restore of this key, from the default branch if anything matched.
    pub(crate) fn restored(primary: &str, hit: Hit, matched: Option<&str>) -> RestoreOutcome {
        RestoreOutcome {
            cache: "c".to_owned(),
            key: key(primary),
            hit,
            matched: matched.map(|text| Matched {
                key: key(text),
                scope: Scope::new("refs/heads/main"),
                size: Some(ByteSize(2_000_000)),
            }),
            files: 12,
            unpacked: ByteSize(5_000_000),
            miss: None,
            unasked: None,
            earlier: false,
            elapsed: Duration::ZERO,
        }
    }

    /// A save of nothing with this result.
    pub(crate) fn saved(primary: &str, result: SaveResult) -> SaveOutcome {
        SaveOutcome {
            cache: "c".to_owned(),
            key: key(primary),
            result,
            reason: None,
            hint: None,
            interrupted: false,
            files: 0,
            unpacked: ByteSize(0),
            archive: ByteSize(0),
            whole: None,
            trim: None,
            elapsed: Duration::ZERO,
        }
    }

    /// A seed of nothing with this result.
    pub(crate) fn seeded(result: SeedResult) -> SeedOutcome {
        SeedOutcome {
            cache: "c".to_owned(),
            result,
            source: None,
            added: 1,
            added_bytes: ByteSize(1),
            fetched: 0,
            fetched_bytes: ByteSize(0),
            missing: Vec::new(),
            mirrors: Vec::new(),
            reason: None,
            elapsed: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{restored, saved, seeded};
    use super::*;

    #[test]
    fn a_miss_is_missed_and_fails_only_with_a_reason() {
        let mut job = JobOutcome::new("restore");
        job.cache("a").restore = Some(restored("k", Hit::Exact, Some("k")));
        assert!(!job.failed() && !job.missed());
        job.cache("b").restore = Some(restored("k", Hit::None, None));
        assert!(!job.failed() && job.missed());
        let miss = Some("the store does not answer".to_owned());
        job.cache("b").restore = Some(RestoreOutcome { miss, ..restored("k", Hit::None, None) });
        assert!(job.failed() && job.missed() && !job.incomplete());
        assert_eq!(job.caches.len(), 2);
    }

    #[test]
    fn a_cache_that_cannot_be_opened_counts_for_everything() {
        let mut job = JobOutcome::new("gate");
        assert!(!job.failed() && !job.missed() && !job.incomplete());
        job.broken.push("a".to_owned());
        assert!(job.failed() && job.missed() && job.incomplete() && !job.is_short());
    }

    #[test]
    fn every_result_of_a_seed_and_a_save_fails_as_documented() {
        for (result, failed, short) in [
            (SeedResult::Seeded, false, false),
            (SeedResult::NotNeeded, false, false),
            (SeedResult::LeftToBuild, false, false),
            (SeedResult::Incomplete, false, true),
            (SeedResult::Failed, true, true),
        ] {
            let mut job = JobOutcome::new("seed");
            job.cache("a").seed = Some(seeded(result));
            assert_eq!((job.failed(), job.is_short()), (failed, short), "{result}");
        }
        for result in SaveResult::ALL {
            let mut job = JobOutcome::new("save");
            job.cache("a").save = Some(saved("k", result));
            assert_eq!(job.failed(), !result.is_served(), "{result}");
        }
    }
}
