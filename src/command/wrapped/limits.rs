//! Caches that `Cache@2` could not save: it saves only after a job that succeeded, and needs room for its archive.

use super::carrier::Carrier;
use crate::command::cache::Cache;
use crate::command::room::{self, Free, archive_of, make_room, need_of};
use crate::command::save::decide::SaveRefusal;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{SaveResult, TrimOutcome};
use crate::fs::volume::check_room;
use crate::platform::JobStatus;
use crate::report::failure;
use crate::tree::fingerprint::Quick;
use crate::tree::plain_files::Metadata;

/// Refuses what `Cache@2` would not save: it saves after jobs that succeeded, whatever the policy is.
pub(super) fn refused_by_job(cache: &Cache<'_>) -> Option<SaveRefusal> {
    let status = cache.ctx.platform.facts().job_status?;
    (status != JobStatus::Succeeded).then(|| {
        let reason = format!("the job {status}, and `Cache@2` saves only after jobs that succeeded");
        let hint = "a store of your own is written in any case: see docs/object-stores.md".to_owned();
        SaveRefusal { hint: Some(hint), ..SaveRefusal::new(SaveResult::Skipped, reason) }
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
    let check = |tree: &Quick| {
        let need = need_of(tree, staging);
        check_room(std::slice::from_ref(&need), cache.ctx.reserve()).map_err(|fault| (fault, need))
    };
    let mut tree = cache.quick_fingerprint()?;
    let Err((mut fault, need)) = check(&tree) else { return Ok(None) };
    if !make_room(cache.ctx, &need, Free::Now).is_empty() {
        match check(&tree) {
            Ok(()) => return Ok(None),
            Err((still, _)) => fault = still,
        }
    }
    if let Some(fitted) = room::trim_to_fit(cache, staging, &failure::chain(&fault))? {
        *trimmed = room::both(trimmed.take(), Some(fitted));
        tree = cache.quick_fingerprint()?;
        match check(&tree) {
            Ok(()) => return Ok(None),
            Err((still, _)) => fault = still,
        }
    }
    let reason =
        format!("`Cache@2` would write an archive of {}: {}", archive_of(&tree), failure::chain(&fault));
    let hint = "name a roomier volume by `stagingDirectory`, give the cache a `trim` policy, or use a store of your own, which \
                needs no such archive";
    let refusal = SaveRefusal::new(SaveResult::NoSpace, reason).at(Level::Warning);
    Ok(Some(SaveRefusal { hint: Some(hint.to_owned()), ..refusal }))
}
