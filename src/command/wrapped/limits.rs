//! Caches that `Cache@2` could not save: it saves only after a job that succeeded, and needs room for its archive.

use std::path::Path;

use super::carrier::Carrier;
use crate::command::cache::Cache;
use crate::command::save::decide::SaveRefusal;
use crate::command::trim;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{SaveResult, TrimOutcome};
use crate::domain::unit::ByteSize;
use crate::fs::volume::{self, Need};
use crate::platform::JobStatus;
use crate::report::failure;
use crate::tree::fingerprint::{self, Quick};
use crate::tree::plain_files::Metadata;

/// Bytes that the task's archive needs for each file beside its content: a header, and what fills the last block.
const PER_FILE: u64 = 1536;

/// Refuses what `Cache@2` would not save: it saves after jobs that succeeded, whatever the policy is.
pub(super) fn refused_by_job(cache: &Cache<'_>) -> Option<SaveRefusal> {
    let status = cache.ctx.platform.facts().job_status?;
    (status != JobStatus::Succeeded).then(|| {
        let reason = format!("the job {status}, and `Cache@2` saves only after jobs that succeeded");
        let hint = "a store of your own is written in any case: see docs/object-stores.md".to_owned();
        SaveRefusal { result: SaveResult::Skipped, reason, hint: Some(hint) }
    })
}

/// Refuses a cache whose archive has no room where the task writes it before it sends it. One that has a policy to trim by is made
/// smaller first.
pub(super) fn refused_by_room(
    cache: &Cache<'_>,
    carrier: &Carrier,
    trimmed: &mut Option<TrimOutcome>,
) -> Result<Option<SaveRefusal>, Fault> {
    // It writes none in the format that loses metadata.
    let Some((staging, Metadata::Kept)) = carrier.task() else { return Ok(None) };
    let mut tree = fingerprint::quick(&cache.selections)?;
    let Err(mut fault) = check(cache, staging, &tree) else { return Ok(None) };
    if cache.spec.trim.is_some()
        && let Some(limit) = limit(cache, staging, &tree)?
    {
        let text = format!("is trimmed to {limit}, for its archive has no room: {}", failure::chain(&fault));
        cache.ctx.report(Level::Warning, cache.name(), text);
        let fitted = trim::to_fit(cache, limit).map_err(Fault::from)?;
        *trimmed = both(trimmed.take(), fitted);
        tree = fingerprint::quick(&cache.selections)?;
        match check(cache, staging, &tree) {
            Ok(()) => return Ok(None),
            Err(still) => fault = still,
        }
    }
    Ok(Some(SaveRefusal {
        result: SaveResult::NoSpace,
        reason: format!("`Cache@2` would write an archive of {}: {}", archive(&tree), failure::chain(&fault)),
        hint: Some(
            "name a roomier volume by `stagingDirectory`, give the cache a `trim` policy, or use a store of your own, which \
             needs no such archive"
                .to_owned(),
        ),
    }))
}

/// Bytes of the archive that the task makes of a tree.
fn archive(tree: &Quick) -> ByteSize {
    ByteSize(tree.bytes.saturating_add(tree.files.saturating_mul(PER_FILE)))
}

fn check(cache: &Cache<'_>, staging: &Path, tree: &Quick) -> Result<(), Fault> {
    let need = Need { path: staging.to_owned(), bytes: archive(tree), inodes: 1 };
    volume::check_room(&[need], cache.ctx.reserve())
}

/// The size at which the archive of a cache has room. On the cache's own volume, what is trimmed makes room as well.
fn limit(cache: &Cache<'_>, staging: &Path, tree: &Quick) -> Result<Option<ByteSize>, Fault> {
    let volume = volume::volume_of(staging)?;
    let is_shared = volume::volume_of(cache.root())?.id == volume.id;
    let reserved = cache.ctx.reserve().of(volume.total);
    let room = i128::from(volume.free.0) - i128::from(reserved.0);
    let room = room - i128::from(archive(tree).0 - tree.bytes);
    let limit = if is_shared { i128::midpoint(room, tree.bytes.into()) } else { room };
    Ok(u64::try_from(limit).ok().filter(|limit| *limit > 0).map(ByteSize))
}

/// Two trims of one cache as one.
fn both(first: Option<TrimOutcome>, second: Option<TrimOutcome>) -> Option<TrimOutcome> {
    match (first, second) {
        (Some(first), Some(second)) => Some(TrimOutcome {
            units: first.units + second.units,
            files: first.files + second.files,
            failed: first.failed + second.failed,
            before: first.before,
            ..second
        }),
        (first, second) => second.or(first),
    }
}
