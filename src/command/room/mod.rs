//! Room on volumes: which of them a job works on, what it needs there, and how room is made.

pub(crate) mod disk;
mod free;
mod volumes;

use std::path::Path;

pub(crate) use free::{Free, make_room};
pub(crate) use volumes::report_changes;

use super::cache::Cache;
use super::trim;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::TrimOutcome;
use crate::domain::unit::ByteSize;
use crate::fs::volume::{self, Need};
use crate::tree::fingerprint::Quick;

/// Bytes that an archive needs for each file beside its content: a header, and what fills the last block.
const PER_FILE: u64 = 1536;

/// Inodes that an archive needs, with its directories and what it is staged in.
const INODES: u64 = 8;

/// What an archive of a cache needs where it is written, which is not known before it is: no more than this.
pub(crate) fn need_of(tree: &Quick, place: &Path) -> Need {
    Need { path: place.to_owned(), bytes: archive_of(tree), inodes: INODES }
}

/// Upper bound for the bytes of the archive of a tree.
pub(crate) fn archive_of(tree: &Quick) -> ByteSize {
    ByteSize(tree.bytes.saturating_add(tree.files.saturating_mul(PER_FILE)))
}

/// Trims a cache that has a policy to trim by until its archive has room at a place; `None` if nothing was removed.
pub(crate) fn trim_to_fit(cache: &Cache<'_>, place: &Path, why: &str) -> Result<Option<TrimOutcome>, Fault> {
    if cache.spec.trim.is_none() {
        return Ok(None);
    }
    // One that cannot be measured, such as one without one of its roots, is left alone.
    let Ok(tree) = cache.quick_fingerprint() else { return Ok(None) };
    let Some(limit) = limit(cache, place, &tree)? else { return Ok(None) };
    let text = format!("is trimmed to {limit}, for its archive has no room: {why}");
    cache.ctx.report(Level::Warning, cache.name(), text);
    let fitted = trim::to_fit(cache, limit).map_err(Fault::from)?;
    Ok(fitted.filter(|outcome| outcome.units > 0 || outcome.after < outcome.before))
}

/// The size at which the archive of a cache has room. On the cache's own volume, what is trimmed makes room as well.
fn limit(cache: &Cache<'_>, place: &Path, tree: &Quick) -> Result<Option<ByteSize>, Fault> {
    let volume = volume::volume_of(place)?;
    let is_shared = volume::volume_of(cache.root())?.id == volume.id;
    let reserved = cache.ctx.reserve().of(volume.total);
    let room = i128::from(volume.free.0) - i128::from(reserved.0);
    let room = room - i128::from(archive_of(tree).0 - tree.bytes);
    let limit = if is_shared { i128::midpoint(room, tree.bytes.into()) } else { room };
    Ok(u64::try_from(limit).ok().filter(|limit| *limit > 0).map(ByteSize))
}

/// Two trims of one cache as one.
pub(crate) fn both(first: Option<TrimOutcome>, second: Option<TrimOutcome>) -> Option<TrimOutcome> {
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
