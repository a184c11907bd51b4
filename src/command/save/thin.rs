//! Saves in proportion to what changed: a thin entry, where earlier entries have most of the cache.

use super::decide::SaveRefusal;
use super::failure::StoreFailure;
use super::upload::{self, Outgoing, Stored};
use crate::archive::{self, Base, Division, PackRequest, Parent};
use crate::command::cache::{Cache, Keys};
use crate::command::context::Deadline;
use crate::command::generations::Generation;
use crate::command::lookup::{LookedFor, lookup};
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Meter, Phase};
use crate::domain::key::Key;
use crate::domain::outcome::SaveResult;
use crate::domain::thin::{FullBecause, ShortId, ThinKey, saved_for, whole_size};
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;
use crate::domain::written_paths::OtherPaths;
use crate::report::failure;
use crate::store::{NewEntry, StoreErrorKind};

/// A thin entry that is to be saved.
struct PlannedSave {
    division: Division,
    key: Key,
    /// The size that the whole archive would have.
    whole: ByteSize,
}

/// What is to be saved.
enum Plan {
    Thin(Box<PlannedSave>),
    /// All of the cache, for this reason.
    Full(String),
    /// Nothing: a pull request that would have to save all of the cache.
    Nothing(FullBecause),
}

/// Stores what changed since an earlier entry of at least this size; `None` where all of the cache is to be stored.
pub(super) fn store(
    cache: &Cache<'_>,
    request: &PackRequest<'_>,
    keys: &Keys,
    least: ByteSize,
    deadline: &Deadline,
) -> Result<Option<Stored>, StoreFailure> {
    let ctx = cache.ctx;
    let running = ctx.start(cache.name(), Phase::Save);
    let planned = match plan(cache, request, keys, least, &running.meter, deadline)? {
        Plan::Thin(planned) => planned,
        Plan::Full(why) => {
            ctx.report(Level::Debug, cache.name(), format!("all of it is saved: {why}"));
            return Ok(None);
        }
        Plan::Nothing(why) => return Ok(Some(Stored::Refused(nothing(why)))),
    };
    let PlannedSave { division, key, whole } = *planned;
    let new = NewEntry { scope: cache.access().own, key, version: cache.thin_version() };
    // The files were counted when they were hashed.
    let uncounted = Meter::new(cache.name(), Phase::Save);
    let mut out = Outgoing::begin(cache, new, deadline)?;
    let packed = archive::pack_thin(request, division, &mut out.pipe, &deadline.cancel, &uncounted);
    let (packed, created) = out.commit(packed, running)?;
    let Some(entry) = created else { return Ok(Some(Stored::Exists)) };
    if keeps_parents(cache, &entry, deadline)? {
        Ok(Some(Stored::Created { packed: Box::new(packed), whole: Some(whole) }))
    } else {
        Ok(None)
    }
}

fn nothing(why: FullBecause) -> SaveRefusal {
    let reason = format!("a pull request saves what changed alone, and {why}");
    SaveRefusal::new(SaveResult::Skipped, reason)
}

/// Decides what is saved, by the list of the entry that the next restore would find.
fn plan(
    cache: &Cache<'_>,
    request: &PackRequest<'_>,
    keys: &Keys,
    least: ByteSize,
    meter: &Meter,
    deadline: &Deadline,
) -> Result<Plan, StoreFailure> {
    let full = |why: &str| Ok(Plan::Full(why.to_owned()));
    let found = match lookup(cache, keys, LookedFor::default(), cache.access().readable, deadline) {
        Ok(found) => found.best,
        Err(error) => return full(&failure::chain(&error)),
    };
    let Some(entry) = found else { return full("there is no earlier entry") };
    let earlier = whole_size(&entry);
    if earlier < least {
        // To hash all of a small cache takes as long as to save it.
        return full(&format!("the earlier entry has {earlier}, less than {least}"));
    }
    let generation = match Generation::open::<StoreFailure>(cache, &entry, deadline) {
        Ok(Some(generation)) => generation,
        Ok(None) => return full("the earlier entry has no list of its files"),
        Err(error) => return full(&failure::chain(&error)),
    };
    let Generation { listing, frames, .. } = &generation;
    if OtherPaths::of(listing.manifest.written(), cache.written()).is_some() {
        return full("the earlier entry was saved from other paths");
    }
    let Some(survey) = archive::survey(request, &deadline.cancel, meter)? else {
        return full("it has too many files for a list in memory");
    };
    let parent = Parent {
        key: entry.key.to_string(),
        version: entry.version.to_string(),
        archive_bytes: entry.size.0,
        stream_bytes: listing.manifest.stream_bytes,
        digest: listing.digest.to_string(),
    };
    let division = match archive::divide(survey, &Base { parent, listing, frames }) {
        Ok(division) => division,
        Err(error) => return full(&failure::chain(&error)),
    };
    if let Some(why) = division.growth().full_because(least) {
        let is_small = matches!(why, FullBecause::Small(..));
        let says_nothing = cache.access().own.is_pull_request() && !is_small;
        return Ok(if says_nothing { Plan::Nothing(why) } else { Plan::Full(why.to_string()) });
    }
    let whole = ByteSize(division.growth().whole);
    let ids: Option<Vec<ShortId>> = division.parents().iter().map(short_id).collect();
    match ids.and_then(|ids| ThinKey::new(&keys.key, whole, ids)) {
        Some(key) => Ok(Plan::Thin(Box::new(PlannedSave { division, key: key.to_key(), whole }))),
        None => full("its key is too long"),
    }
}

fn short_id(parent: &Parent) -> Option<ShortId> {
    Some(ShortId::of(&Key::new(parent.key.clone()).ok()?, &Version::parse(&parent.version)?))
}

/// Asks for the parents of a thin entry that was just created, so that they count as used after it. Returns whether all are
/// there; an entry of which one is gone is removed.
fn keeps_parents(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<bool, StoreFailure> {
    let error = match Generation::open::<StoreFailure>(cache, entry, deadline) {
        Ok(_) => return Ok(true),
        // A job that may not read has found no base.
        Err(StoreFailure::Store(error)) if error.kind() == StoreErrorKind::NotFound => error,
        Err(error) => return Err(error),
    };
    let text = format!("`{}` is saved once more, in full: {}", saved_for(&entry.key), failure::chain(&error));
    cache.ctx.report(Level::Info, cache.name(), text);
    // Where it cannot be removed, no restore takes it.
    let _ = upload::delete(cache, entry, deadline);
    Ok(false)
}
