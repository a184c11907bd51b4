//! The store, as far as it can be looked into from here.

use super::options::{ExplainOptions, StoreReach};
use crate::command::context::Context;
use crate::command::usage;
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::explain::{Question, StoreView};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint as _;
use crate::domain::key::{Key, MAX_KEYS};
use crate::domain::retention::Facts;
use crate::domain::thin;
use crate::domain::version::Version;
use crate::report::failure;
use crate::store::{Access, CatalogError, StoreErrorKind};

/// The store, as far as it was looked into.
pub(super) struct View {
    pub(super) location: String,
    seen: Seen,
    /// What would let more be told.
    pub(super) hint: Option<String>,
}

enum Seen {
    Listed(Box<Facts>),
    Lookups(String),
    Denied(String),
}

/// Looks into the store, as far as the reach goes.
pub(super) fn look(ctx: &Context<'_>, reach: &StoreReach, options: &ExplainOptions) -> Result<View, Fault> {
    let service = || ctx.store().location();
    match reach {
        StoreReach::Denied(why) => {
            Ok(View { location: service(), seen: Seen::Denied(why.clone()), hint: None })
        }
        StoreReach::Lookups { why, hint } => {
            Ok(View { location: service(), seen: Seen::Lookups(why.clone()), hint: hint.clone() })
        }
        StoreReach::Listing(target) => match usage::survey(ctx, target.as_ref()) {
            Ok(facts) => {
                Ok(View { location: target.location(), seen: Seen::Listed(Box::new(facts)), hint: None })
            }
            Err(error) => {
                let hint = error.hint();
                let fault = |error: CatalogError| usage::not_surveyed(target.as_ref(), error);
                let why =
                    format!("cannot find out what is in {}: {}", target.location(), failure::chain(&error));
                match &error {
                    CatalogError::Store(denied) if denied.kind() == StoreErrorKind::Denied(Access::Read) => {
                        Ok(View { location: target.location(), seen: Seen::Denied(why), hint })
                    }
                    CatalogError::Api(_) if options.has_service && error.is_denied() => {
                        Ok(View { location: service(), seen: Seen::Lookups(why), hint })
                    }
                    CatalogError::Store(unable)
                        if options.has_service && unable.kind() == StoreErrorKind::Unsupported =>
                    {
                        Ok(View { location: service(), seen: Seen::Lookups(why), hint })
                    }
                    _ => Err(fault(error)),
                }
            }
        },
    }
}

/// What all repositories keep in the job's store; `None` where it has one section alone, or cannot be listed.
pub(super) fn everything(ctx: &Context<'_>) -> Option<Facts> {
    let catalog = ctx.store.catalog_of_all()?;
    usage::survey(ctx, catalog.as_ref()).ok()
}

impl View {
    pub(super) fn facts(&self) -> Option<&Facts> {
        match &self.seen {
            Seen::Listed(facts) => Some(facts),
            _ => None,
        }
    }

    pub(super) fn stock(&self, ctx: &Context<'_>, question: &Question) -> Result<StoreView<'_>, Fault> {
        Ok(match &self.seen {
            Seen::Listed(facts) => StoreView::Listed(facts),
            Seen::Denied(why) => StoreView::Denied { why: why.clone() },
            Seen::Lookups(why) => {
                let Some(version) = &question.version else {
                    let why = format!("{why}; and the service looks up one version at a time");
                    return Ok(StoreView::LookedUp { found: None, nearest: None, why });
                };
                let request = request(question, version, &question.key, &question.restore_keys);
                let beside = question.thin_version.clone();
                let beside = beside.and_then(|version| thin::lookup_beside(&request, version));
                let full = lookup(ctx, &request)?;
                let thin = beside.map(|request| lookup(ctx, &request)).transpose()?.flatten();
                let found = thin::better(&request, full.as_ref(), thin.as_ref()).cloned();
                let nearest = match (&found, beginnings(&question.key).split_first()) {
                    (None, Some((first, rest))) => {
                        lookup(ctx, &self::request(question, version, first, rest))?
                    }
                    _ => None,
                };
                let (found, nearest) = (found.map(Box::new), nearest.map(Box::new));
                StoreView::LookedUp { found, nearest, why: why.clone() }
            }
        })
    }
}

fn request(question: &Question, version: &Version, key: &Key, restore_keys: &[Key]) -> LookupRequest {
    LookupRequest {
        exact: false,
        key: key.clone(),
        restore_keys: restore_keys.to_vec(),
        version: version.clone(),
        scopes: question.scopes.clone(),
    }
}

fn lookup(ctx: &Context<'_>, request: &LookupRequest) -> Result<Option<Entry>, Fault> {
    let deadline = ctx.deadline();
    ctx.wait(&deadline, ctx.store().lookup(request)).map_err(|source| {
        Fault::from(source).in_context(format!("cannot look up in {}", ctx.store().location()))
    })
}

/// The key without its last segment, its last two, and so on: the longest first, as many as one lookup takes.
fn beginnings(key: &Key) -> Vec<Key> {
    let text = key.as_str();
    let ends = text.char_indices().rev().filter(|(_, c)| matches!(c, '-' | '_' | '.' | ':' | '/'));
    let shorter = ends.map(|(at, c)| &text[..at + c.len_utf8()]).filter(|part| part.len() < text.len());
    shorter.filter_map(|part| Key::new(part).ok()).take(MAX_KEYS).collect()
}
