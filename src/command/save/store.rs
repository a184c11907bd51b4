//! A cache stored: what changed alone or all of it, and again where files change meanwhile or room is short.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::StoreFailure;
use super::room::StoreRoom;
use super::thin;
use super::upload::{Stored, store_whole};
use crate::archive::{self, ArchiveError, PackRequest};
use crate::command::cache::{Cache, Keys};
use crate::command::context::Deadline;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{SaveResult, TrimOutcome};
use crate::domain::sentinel::SENTINEL_FILE;
use crate::report::failure;
use crate::store::StoreChoice;
use crate::tree::changing::changing;
use crate::tree::selection::Selection;

/// How many files are left out of an entry since they do not stop changing.
const MOST_LEFT_OUT: usize = 20;

/// How long files are watched to find those that do not stop changing.
const WATCHED: Duration = Duration::from_millis(200);

/// Stores a cache. Where something changes while it is packed, all is read once more; what changes again is left out with a warning,
/// as a log is that another process writes to.
pub(super) fn store(
    cache: &Cache<'_>,
    keys: &Keys,
    trimmed: &mut Option<TrimOutcome>,
    deadline: &Deadline,
) -> Result<Stored, StoreFailure> {
    let ctx = cache.ctx;
    let mut room = ctx.store.choice.directory().map(|store| StoreRoom::new(cache, store));
    if let Some(room) = &room {
        room.prepare();
    }
    let mut selections = cache.selections.clone();
    let mut changed: Option<PathBuf> = None;
    let mut left_out = 0;
    loop {
        let (path, error) = match store_once(cache, &selections, keys, deadline) {
            Err(StoreFailure::Archive(error)) if error.changed().is_some() => {
                (error.changed().map(Path::to_owned), error)
            }
            Err(error) if error.result() == SaveResult::NoSpace => {
                let Some(room) = &mut room else { return Err(error) };
                if room.make(&error, trimmed)? {
                    continue;
                }
                return Err(error);
            }
            stored => return stored,
        };
        // A name that the service has reserved for this upload is not given again.
        if matches!(ctx.store.choice, StoreChoice::Service(_)) || left_out >= MOST_LEFT_OUT {
            return Err(error.into());
        }
        if changed != path {
            ctx.report(Level::Info, cache.name(), format!("{}; once more", failure::chain(&error)));
            changed = path;
            continue;
        }
        let found = match error {
            ArchiveError::Changed(path) => vec![path],
            _ => changing(&selections, || ctx.runtime.pause(WATCHED)).map_err(Fault::from)?,
        };
        let before = left_out;
        for path in found.into_iter().take(MOST_LEFT_OUT - left_out) {
            left_out += usize::from(leave_out(cache, &mut selections, &path));
        }
        if left_out == before {
            return Err(ArchiveError::Changed(changed.unwrap_or_default()).into());
        }
    }
}

/// Leaves a file out of the selection that it belongs to. Returns whether there is one, of which it is not the root.
fn leave_out(cache: &Cache<'_>, selections: &mut [Selection], path: &Path) -> bool {
    for selection in selections {
        if let Ok(relative) = path.strip_prefix(&selection.root)
            && !relative.as_os_str().is_empty()
        {
            *selection = selection.clone().without(relative);
            let text = format!("`{}` does not stop changing, and is not in the entry", path.display());
            let hint = "stop what writes to it before the save, or exclude it with `!`".to_owned();
            cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(hint));
            return true;
        }
    }
    false
}

/// Stores what changed alone where an earlier entry has the rest, and otherwise all of the cache.
fn store_once(
    cache: &Cache<'_>,
    selections: &[Selection],
    keys: &Keys,
    deadline: &Deadline,
) -> Result<Stored, StoreFailure> {
    let ctx = cache.ctx;
    let request = PackRequest {
        cache: cache.name(),
        selections,
        last: Some(SENTINEL_FILE.as_ref()),
        producer: concat!("cachekeep ", env!("CARGO_PKG_VERSION")),
        workers: ctx.workers,
        levels: archive::Levels::default(),
    };
    if let Some(least) = cache.least_generation()
        && let Some(stored) = thin::store(cache, &request, keys, least, deadline)?
    {
        return Ok(stored);
    }
    store_whole(cache, &request, &keys.key, deadline)
}
