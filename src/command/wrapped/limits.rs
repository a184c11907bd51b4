//! What cannot be left to `Cache@2`: caches of jobs that it does not save after, and caches for whose archive there is no room.

use super::carrier::Carrier;
use crate::command::cache::Cache;
use crate::command::save::decide::SaveRefusal;
use crate::domain::fault::Fault;
use crate::domain::outcome::SaveResult;
use crate::domain::unit::ByteSize;
use crate::fs::volume::{self, Need};
use crate::platform::JobStatus;
use crate::report::failure;
use crate::tree::fingerprint;
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

/// Refuses a cache whose archive has no room where the task writes it before it sends it.
pub(super) fn refused_by_room(cache: &Cache<'_>, carrier: &Carrier) -> Result<Option<SaveRefusal>, Fault> {
    // It writes none in the format that loses metadata.
    let Some((staging, Metadata::Kept)) = carrier.task() else { return Ok(None) };
    let tree = fingerprint::quick(&cache.selections)?;
    let bytes = ByteSize(tree.bytes.saturating_add(tree.files.saturating_mul(PER_FILE)));
    let need = Need { path: staging.to_owned(), bytes, inodes: 1 };
    match volume::check_room(&[need], cache.ctx.reserve()) {
        Ok(()) => Ok(None),
        Err(fault) => Ok(Some(SaveRefusal {
            result: SaveResult::NoSpace,
            reason: format!("`Cache@2` would write an archive of {bytes}: {}", failure::chain(&fault)),
            hint: Some(
                "name a roomier volume by `stagingDirectory`, make the cache smaller by `trim`, or use a store of your \
                 own, which needs no such archive"
                    .to_owned(),
            ),
        })),
    }
}
