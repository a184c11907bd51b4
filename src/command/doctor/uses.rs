//! Whether a lookup alone counts as the use of an entry, at a service that evicts what is not used: thin entries rest on that.

use std::time::Duration;

use chrono::TimeDelta;

use crate::command::context::Context;
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::entry_filter::EntryFilter;
use crate::domain::fault::Fault;
use crate::store::Catalog;

/// An entry that was used more lately says little: services may note a use in steps of a minute.
const LEAST_AGE: TimeDelta = TimeDelta::minutes(2);

/// How often the service is asked whether it has noted the lookup, and how long after each other.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// What a lookup did to the time at which the service says that an entry was last used.
#[derive(Debug)]
pub(crate) enum LookupCounts {
    /// It set it, within a second or later.
    Yes {
        /// The key of the entry.
        key: String,
        /// Whether the first look showed it.
        at_once: bool,
    },
    /// It did not, as long as was waited.
    No {
        /// The key of the entry.
        key: String,
    },
    /// Every entry that this job can read was used in the last minutes, or there is none.
    NothingToTry,
}

/// Looks up the entry that was used last, and compares what the catalog says of it before and after. Nothing is downloaded.
///
/// # Errors
/// The catalog cannot be listed, or the lookup does not find what it lists.
pub(crate) fn measure(ctx: &Context<'_>, catalog: &dyn Catalog) -> Result<LookupCounts, Fault> {
    let list =
        || ctx.wait_for_store(async { catalog.list(&EntryFilter::default()).await.map_err(Fault::from) });
    let is_fit = |entry: &Entry| {
        let used = entry.last_used_at.unwrap_or(entry.created_at);
        used < ctx.now - LEAST_AGE && ctx.access.readable.contains(&entry.scope)
    };
    // Of the entries that are in no danger of eviction.
    let Some(before) = list()?.into_iter().filter(is_fit).max_by_key(|entry| entry.last_used_at) else {
        return Ok(LookupCounts::NothingToTry);
    };
    let request = LookupRequest {
        key: before.key.clone(),
        restore_keys: Vec::new(),
        version: before.version.clone(),
        scopes: vec![before.scope.clone()],
        exact: true,
    };
    let key = before.key.to_string();
    let found = ctx.wait_for_store(async { ctx.store().lookup(&request).await.map_err(Fault::from) })?;
    if found.is_none() {
        return Err(Fault::environment(format!("the service lists `{key}` and does not find it")));
    }
    for look in 0..LOOKS {
        if look > 0 {
            ctx.wait_for_store(async {
                tokio::time::sleep(PAUSE).await;
                Ok::<_, Fault>(())
            })?;
        }
        let after = list()?.into_iter().find(|entry| entry.id == before.id);
        if after.is_some_and(|after| after.last_used_at > before.last_used_at) {
            return Ok(LookupCounts::Yes { key, at_once: look == 0 });
        }
    }
    Ok(LookupCounts::No { key })
}
