//! When a job began to use a cache, for the trim of the same job in another process.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::command::cache::Cache;
use crate::command::notes::carried;
use crate::command::notes::receipt;
use crate::domain::event::Level;
use crate::fs::open::Links;
use crate::fs::{atomic, read};
use crate::report::failure;

/// Upper bound for a note, in bytes.
const MAX_BYTES: u64 = 4 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct UseNote {
    /// The job, on a CI.
    job: Option<String>,
    /// When its restore began.
    since: DateTime<Utc>,
}

/// Notes that this job uses the cache from now on.
pub(super) fn leave(cache: &Cache<'_>) {
    let note = UseNote { job: carried::job(cache), since: cache.ctx.now };
    let bytes = serde_json::to_vec(&note).expect("only strings");
    let written = atomic::write_below(&receipt::note(cache, "use.json"), &bytes, cache.ctx.now);
    if let Err(error) = written {
        let text = format!("what this job uses is not known later: {}", failure::chain(&error));
        cache.ctx.report(Level::Debug, cache.name(), text);
    }
}

/// When the restore of this job began; outside of a CI that of the last restore.
pub(crate) fn used_since(cache: &Cache<'_>) -> Option<DateTime<Utc>> {
    let text = read::text(&receipt::note(cache, "use.json"), Links::Refused, MAX_BYTES).ok()?;
    let note: UseNote = serde_json::from_str(&text).ok()?;
    (note.job == carried::job(cache) && note.since <= cache.ctx.now).then_some(note.since)
}
