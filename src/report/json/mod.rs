//! Outcomes for machines: one JSON document on standard output.
//!
//! Fields are only ever added. Sizes are bytes, durations seconds.

pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod dedup;
pub(crate) mod disk;
pub(crate) mod explain;
pub(crate) mod files;
pub(crate) mod init;
pub(crate) mod plan;
pub(crate) mod recovery;
pub(crate) mod sarif;
pub(crate) mod status;
pub(crate) mod usage;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use disk::FreedDocument;

use crate::domain::gate::{GateReport, MissingObject};
use crate::domain::key::Key;
use crate::domain::kinds::ToolUse;
use crate::domain::outcome::{
    CacheOutcome, Child, JobOutcome, MirrorUse, RestoreOutcome, SaveOutcome, SaveResult, SeedOutcome,
    TrimOutcome,
};
use crate::domain::quota::QuotaOutcome;
use crate::domain::shown::Shown;
use crate::domain::unit::ByteSize;
use crate::domain::volume::DiskChange;

/// The outcome of a command, cache by cache.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Document {
    /// The command.
    pub command: &'static str,
    /// The caches, in the order worked on.
    pub caches: Vec<CacheReport>,
    /// Caches that were not worked on, since their keys or paths are not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// What the command of `run` returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The location of the fallback that was used because the store did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// What was done to keep the quota of the store, if it was looked after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// The volumes that it worked on, before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// What was removed for room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freed: Vec<FreedDocument>,
}

/// A volume before and after a command.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Disk {
    /// A path on it.
    pub path: String,
    /// All bytes.
    pub total_bytes: u64,
    /// Bytes that were free before.
    pub free_bytes_before: u64,
    /// Bytes that are free after.
    pub free_bytes_after: u64,
    /// Inodes that were free before; absent where there are as many as room allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_inodes_before: Option<u64>,
    /// Inodes that are free after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_inodes_after: Option<u64>,
}

impl From<&DiskChange> for Disk {
    fn from(change: &DiskChange) -> Self {
        Disk {
            path: change.at.display().to_string(),
            total_bytes: change.total.0,
            free_bytes_before: change.before.0,
            free_bytes_after: change.after.0,
            free_inodes_before: change.inodes.map(|inodes| inodes.before),
            free_inodes_after: change.inodes.map(|inodes| inodes.after),
        }
    }
}

/// What was done to keep the quota of the store.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "the keys of the document are documented")]
pub(crate) struct Quota {
    /// Bytes above which entries are deleted.
    pub quota_bytes: u64,
    /// Bytes of entries before.
    pub before_bytes: u64,
    /// Bytes of entries after.
    pub after_bytes: u64,
    /// Entries that were deleted.
    pub deleted: usize,
    /// Entries that could not be deleted, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Stay>,
    /// Whether the store is over its default quota, which it never had before: nothing was deleted.
    pub only_warned: bool,
    /// What keeps the store above its quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

impl From<&QuotaOutcome> for Quota {
    fn from(outcome: &QuotaOutcome) -> Self {
        let stay = |(path, reason): &(String, String)| Stay { path: path.clone(), reason: reason.clone() };
        Quota {
            quota_bytes: outcome.limit.0,
            before_bytes: outcome.before.0,
            after_bytes: outcome.after.0,
            deleted: outcome.deleted,
            failed: outcome.failed.iter().map(stay).collect(),
            only_warned: outcome.only_warned,
            blocked: outcome.blocked.clone(),
        }
    }
}

/// The outcome for one cache; holds only what was done.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CacheReport {
    /// Its name.
    pub cache: String,
    /// The outcome of restoring it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// The outcome of seeding it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    /// What the gate found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// The outcome of trimming it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// The outcome of saving it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save: Option<Save>,
    /// What the tool that keeps the cache counted since the restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
}

/// What a tool counted since the restore.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "the keys of the document are documented")]
pub(crate) struct Tool {
    /// Its name.
    pub tool: String,
    /// Results that came from the cache.
    pub hits: u64,
    /// Results that were not in it.
    pub misses: u64,
    /// Percent of the results that came from the cache; absent if nothing was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_rate: Option<f64>,
    /// Files in the cache.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Upper bound for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// Percent of the upper bound that is filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<f64>,
    /// How many times old files were removed because the cache was full.
    pub cleanups: u64,
    /// Whether the cache is too small for what one job puts into it.
    pub thrashing: bool,
}

/// The outcome of a restore.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Restore {
    /// The key looked for.
    pub key: String,
    /// `exact`, `partial` or `none`.
    pub hit: String,
    /// The key of the entry that matched.
    pub matched_key: Option<String>,
    /// The scope it belongs to.
    pub matched_ref: Option<String>,
    /// Bytes of its archive.
    pub archive_bytes: Option<u64>,
    /// Files restored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why nothing was restored, where an entry matched or the lookup failed.
    pub reason: Option<String>,
    /// The key that the store answered with although it was not asked for, which is a miss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unasked_key: Option<String>,
    /// An earlier step of the job restored it, and it was not restored again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restored_earlier: bool,
    /// How long it took.
    pub seconds: f64,
}

/// The outcome of seeding.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Seed {
    /// `seeded`, `not-needed`, `incomplete` or `failed`.
    pub result: String,
    /// Where the seed came from.
    pub source: Option<String>,
    /// Objects or files added.
    pub added: u64,
    /// Their bytes.
    pub added_bytes: u64,
    /// Objects that mirrors gave.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Objects that links want and no source had, after mirrors were asked.
    #[serde(rename = "lacking")]
    pub missing: Vec<Object>,
    /// What the mirrors did, where they were asked.
    pub mirrors: Vec<Mirror>,
    /// Why it failed or was not needed.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What a mirror did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "the keys of the document are documented")]
pub(crate) struct Mirror {
    /// The mirror, without secrets.
    pub mirror: String,
    /// Requests to it.
    pub requests: u64,
    /// Objects from it that were taken.
    pub delivered: u64,
    /// Whether it was given up.
    pub given_up: bool,
}

/// What the gate found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Gate {
    /// Whether every wanted object is present and verified.
    pub complete: bool,
    /// Objects wanted.
    pub wanted: usize,
    /// Links that want them.
    pub links: usize,
    /// Wanted objects that are present and verified.
    pub present: usize,
    /// How many wanted objects are not.
    pub missing_count: usize,
    /// Wanted objects that nothing proves and the configuration allows by name.
    pub allowed: usize,
    /// Objects that no link wants.
    pub unwanted: usize,
    /// Files that are not objects.
    #[serde(rename = "strangers")]
    pub unknown_files: u64,
    /// Wanted objects that are absent.
    pub missing: Vec<Object>,
    /// Wanted objects that are there, but not what their name says.
    pub unproven: Vec<Object>,
}

/// An object that is wanted and missing.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Object {
    /// Its algorithm.
    pub algorithm: String,
    /// Its hash.
    pub hash: String,
    /// The links that want it.
    pub links: Vec<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The outcome of trimming, or what it would be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Trim {
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// Units removed: files, or children of roots.
    pub units: u64,
    /// Files removed.
    pub files: u64,
    /// Units that could not be removed.
    pub failed: u64,
    /// Bytes before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
    /// Units that stay although the policy removes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<Stay>,
    /// Why the cache still exceeds its maximum size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

/// A unit or an entry that stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Stay {
    /// Its path below its root, or its key.
    pub path: String,
    /// Why it stays.
    pub reason: String,
}

/// The outcome of a save.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::struct_field_names, reason = "the keys of the document are documented")]
pub(crate) struct Save {
    /// The key saved under.
    pub key: String,
    /// One of the documented results.
    pub save_result: String,
    /// Why, for every result but `saved`.
    pub reason: Option<String>,
    /// Files in the archive.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes that the whole archive would have, where only what changed was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_bytes: Option<u64>,
    /// What was trimmed before, for a later step of the action; in documents the cache itself says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// How long it took.
    pub seconds: f64,
}

impl From<&JobOutcome> for Document {
    fn from(outcome: &JobOutcome) -> Self {
        Document {
            command: outcome.command,
            caches: outcome.caches.iter().map(CacheReport::from).collect(),
            skipped: outcome.broken.clone(),
            exit_code: match outcome.child {
                Some(Child::Returned(code)) => Some(code),
                _ => None,
            },
            fallback: outcome.fallback.clone(),
            quota: outcome.quota.as_ref().map(Quota::from),
            disks: outcome.disks.iter().map(Disk::from).collect(),
            freed: outcome.freed.iter().map(FreedDocument::from).collect(),
        }
    }
}

impl From<&CacheOutcome> for CacheReport {
    fn from(outcome: &CacheOutcome) -> Self {
        CacheReport {
            cache: outcome.name.clone(),
            restore: outcome.restore.as_ref().map(Restore::from),
            seed: outcome.seed.as_ref().map(Seed::from),
            gate: outcome.gate.as_ref().map(Gate::from),
            trim: outcome.trimmed().map(Trim::from),
            save: outcome.save.as_ref().map(|save| Save { trim: None, ..Save::from(save) }),
            tool: outcome.tool.as_ref().map(Tool::from),
        }
    }
}

impl From<&ToolUse> for Tool {
    fn from(used: &ToolUse) -> Self {
        Tool {
            tool: used.tool.clone(),
            hits: used.hits,
            misses: used.misses,
            hit_rate: used.hit_rate(),
            files: used.files,
            bytes: used.size.0,
            limit_bytes: used.limit.map(|limit| limit.0),
            fill: used.fill(),
            cleanups: used.cleanups,
            thrashing: used.is_thrashing(),
        }
    }
}

impl From<&TrimOutcome> for Trim {
    fn from(outcome: &TrimOutcome) -> Self {
        let stay = |(path, reason): &(String, String)| Stay { path: path.clone(), reason: reason.clone() };
        Trim {
            dry_run: outcome.dry_run,
            units: outcome.units,
            files: outcome.files,
            failed: outcome.failed,
            before_bytes: outcome.before.0,
            after_bytes: outcome.after.0,
            stays: outcome.stays.iter().map(stay).collect(),
            blocked: outcome.blocked.clone(),
        }
    }
}

impl From<Trim> for TrimOutcome {
    fn from(trim: Trim) -> Self {
        TrimOutcome {
            dry_run: trim.dry_run,
            units: trim.units,
            files: trim.files,
            failed: trim.failed,
            before: ByteSize(trim.before_bytes),
            after: ByteSize(trim.after_bytes),
            stays: trim.stays.into_iter().map(|stay| (stay.path, stay.reason)).collect(),
            blocked: trim.blocked,
        }
    }
}

impl Save {
    /// The outcome that an earlier step of the action handed over; `None` where it is not one.
    pub(crate) fn into_outcome(self, cache: &str) -> Option<SaveOutcome> {
        Some(SaveOutcome {
            cache: cache.to_owned(),
            key: Key::new(self.key).ok()?,
            result: SaveResult::ALL.into_iter().find(|result| result.to_string() == self.save_result)?,
            reason: self.reason,
            hint: None,
            interrupted: false,
            files: self.files,
            unpacked: ByteSize(self.bytes),
            archive: ByteSize(self.archive_bytes),
            whole: self.whole_bytes.map(ByteSize),
            trim: self.trim.map(TrimOutcome::from),
            elapsed: Duration::try_from_secs_f64(self.seconds).unwrap_or_default(),
        })
    }
}

impl From<&RestoreOutcome> for Restore {
    fn from(outcome: &RestoreOutcome) -> Self {
        let matched = outcome.matched.as_ref();
        Restore {
            key: outcome.key.to_string(),
            hit: outcome.hit.to_string(),
            matched_key: matched.map(|m| m.key.to_string()),
            matched_ref: matched.and_then(|m| Some(m.scope.as_ref()?.to_string())),
            archive_bytes: matched.and_then(|m| Some(m.size?.0)),
            files: outcome.files,
            bytes: outcome.unpacked.0,
            reason: outcome.miss.clone(),
            unasked_key: outcome.unasked.as_ref().map(ToString::to_string),
            restored_earlier: outcome.earlier,
            seconds: outcome.elapsed.as_secs_f64(),
        }
    }
}

impl From<&SeedOutcome> for Seed {
    fn from(outcome: &SeedOutcome) -> Self {
        Seed {
            result: outcome.result.to_string(),
            source: outcome.source.clone(),
            added: outcome.added,
            added_bytes: outcome.added_bytes.0,
            fetched: outcome.fetched,
            fetched_bytes: outcome.fetched_bytes.0,
            missing: outcome.missing.iter().map(Object::from).collect(),
            mirrors: outcome.mirrors.iter().map(Mirror::from).collect(),
            reason: outcome.reason.clone(),
            seconds: outcome.elapsed.as_secs_f64(),
        }
    }
}

impl From<&MirrorUse> for Mirror {
    fn from(used: &MirrorUse) -> Self {
        Mirror {
            mirror: used.mirror.clone(),
            requests: used.requests,
            delivered: used.delivered,
            given_up: used.given_up,
        }
    }
}

impl From<&GateReport> for Gate {
    fn from(report: &GateReport) -> Self {
        Gate {
            complete: report.is_complete(),
            wanted: report.wanted,
            links: report.links,
            present: report.present,
            missing_count: report.missing_count(),
            allowed: report.allowed,
            unwanted: report.unwanted,
            unknown_files: report.unknown_files,
            missing: report.missing.iter().map(Object::from).collect(),
            unproven: report.unproven.iter().map(Object::from).collect(),
        }
    }
}

impl From<&MissingObject> for Object {
    fn from(lack: &MissingObject) -> Self {
        Object {
            algorithm: lack.object.algorithm().to_string(),
            hash: lack.object.hash().to_owned(),
            links: lack.links.clone(),
            why: lack.why.clone(),
        }
    }
}

impl From<&SaveOutcome> for Save {
    fn from(outcome: &SaveOutcome) -> Self {
        Save {
            key: outcome.key.to_string(),
            save_result: outcome.result.to_string(),
            reason: outcome.reason.clone(),
            files: outcome.files,
            bytes: outcome.unpacked.0,
            archive_bytes: outcome.archive.0,
            whole_bytes: outcome.whole.map(|whole| whole.0),
            trim: outcome.trim.as_ref().map(Trim::from),
            seconds: outcome.elapsed.as_secs_f64(),
        }
    }
}

/// The document as text, ending in a line feed, with nothing in its strings that a runner or a terminal acts on.
pub(crate) fn render(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("only strings, numbers and lists");
    text.push('\n');
    Shown::json(&text).into_string()
}

/// The same on one line without a line feed.
pub(crate) fn line(document: &impl Serialize) -> String {
    Shown::json(&serde_json::to_string(document).expect("only strings, numbers and lists")).into_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::domain::shown::Shown;
    use crate::domain::shown::tests::{hostile, is_harmful};

    proptest! {
        #[test]
        fn the_values_of_a_document_stay_the_same(text in hostile(), is_pretty in any::<bool>()) {
            let value = serde_json::json!({ &text: [&text, 1] });
            let document =
                if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let shown = Shown::json(&document.expect("a document"));
            prop_assert!(!shown.split('\n').any(is_harmful), "{}", shown);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("a document"), value);
            prop_assert_eq!(&*Shown::lines(&shown), &*shown, "printed like every text");
        }
    }
}
