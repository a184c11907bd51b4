//! Which entry answers for the keys of a cache: a full one, or a thin one where the cache has generations.

use std::time::Instant;

use super::cache::{Cache, Keys};
use super::context::Deadline;
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::event::Level;
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::thin;
use crate::store::{StoreError, StoreErrorKind};

/// What a lookup found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The entry that answers.
    pub(super) best: Option<Entry>,
    /// The full entry that would answer if there were no thin ones.
    pub(super) full: Option<Entry>,
}

/// Which entries answer for a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LookedFor {
    /// That of the key, else those that begin with it or with a restore key.
    #[default]
    KeyAndPrefixes,
    /// That of the key alone.
    Key,
}

impl LookedFor {
    /// What `--exact` means.
    pub(crate) fn of_flag(exact: bool) -> Self {
        if exact { LookedFor::Key } else { LookedFor::KeyAndPrefixes }
    }
}

/// Asks the store for the full entry that answers for the keys of a cache in these scopes and, where the cache has generations, for
/// the thin one beside it; the better of both answers.
pub(super) fn lookup(
    cache: &Cache<'_>,
    keys: &Keys,
    looked_for: LookedFor,
    scopes: Vec<Scope>,
    deadline: &Deadline,
) -> Result<Found, StoreError> {
    let exact = looked_for == LookedFor::Key;
    let request = LookupRequest {
        exact,
        key: keys.key.clone(),
        restore_keys: if exact { Vec::new() } else { keys.restore_keys.clone() },
        version: cache.version(),
        scopes,
    };
    ask_for_both(cache, &request, deadline)
}

/// Looks for entries with exactly this key that this job can read: every reader of this job's entries finds them.
pub(super) fn exact(cache: &Cache<'_>, key: &Key, deadline: &Deadline) -> Result<Found, StoreError> {
    let request = LookupRequest {
        key: key.clone(),
        restore_keys: Vec::new(),
        version: cache.version(),
        scopes: cache.access().readable,
        exact: true,
    };
    ask_for_both(cache, &request, deadline)
}

/// Asks for the full and, where the cache has generations, the thin entry, and says which of them is better.
fn ask_for_both(
    cache: &Cache<'_>,
    request: &LookupRequest,
    deadline: &Deadline,
) -> Result<Found, StoreError> {
    let ctx = cache.ctx;
    let prefixes: Vec<String> = request.restore_keys.iter().map(|key| format!("`{key}*`")).collect();
    let fallbacks =
        if prefixes.is_empty() { String::new() } else { format!(", then {}", prefixes.join(", ")) };
    ctx.report(
        Level::Debug,
        cache.name(),
        format!(
            "looking for `{}`{fallbacks} in {}, layout {}",
            request.key,
            ctx.store().location(),
            request.version
        ),
    );
    let has_thin = cache.least_generation().is_some();
    let among_thin = has_thin.then(|| thin::lookup_beside(request, cache.thin_version())).flatten();
    let started = Instant::now();
    let both = async {
        let store = ctx.store();
        let thin = async {
            match &among_thin {
                Some(request) => store.lookup(request).await,
                None => Ok(None),
            }
        };
        let (full, thin) = as_far_as_known(futures::join!(store.lookup(request), thin))?;
        let thin = thin.filter(|entry| !request.exact || thin::saved_for(&entry.key) == request.key);
        let best = thin::better(request, full.as_ref(), thin.as_ref()).cloned();
        Ok::<_, StoreError>(Found { best, full })
    };
    let found = ctx.wait(deadline, both)?;
    let best = found.best.as_ref().map_or("nothing".to_owned(), |entry| {
        let how = if cache.is_thin(entry) { ", what changed alone" } else { "" };
        format!("`{}` of {}, {}{how}", thin::saved_for(&entry.key), entry.scope, entry.size)
    });
    let text = format!("found {best} in {:.3} s", started.elapsed().as_secs_f64());
    ctx.report(Level::Debug, cache.name(), text);
    Ok(found)
}

/// The full and the thin entry. While a store does not answer, its front may have one of them and not know of the other: the one that is
/// there is better than none.
fn as_far_as_known(
    answers: (Result<Option<Entry>, StoreError>, Result<Option<Entry>, StoreError>),
) -> Result<(Option<Entry>, Option<Entry>), StoreError> {
    let is_unavailable = |error: &StoreError| error.kind() == StoreErrorKind::Unavailable;
    match answers {
        (Ok(Some(full)), Err(error)) if is_unavailable(&error) => Ok((Some(full), None)),
        (Err(error), Ok(Some(thin))) if is_unavailable(&error) => Ok((None, Some(thin))),
        (full, thin) => Ok((full?, thin?)),
    }
}
