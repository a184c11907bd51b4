//! What changes a cache before it is saved: objects that the build fetched are added, unwanted ones are removed, the
//! sentinel is written, and files are trimmed.

use super::decide::SaveRefusal;
use super::failure::StoreFailure;
use crate::command::cache::{Cache, Keys, Sources, expand_one};
use crate::command::context::Deadline;
use crate::command::gate;
use crate::command::lookup::{self, LookedFor};
use crate::command::notes::receipt::Receipt;
use crate::command::tools;
use crate::command::trim;
use crate::domain::digest::ObjectId;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint as _;
use crate::domain::inventory::Inventory;
use crate::domain::outcome::{SaveResult, TrimOutcome};
use crate::domain::spec::Unwanted;
use crate::domain::unit::counted;
use crate::objects::inventory;
use crate::objects::merge::{MergeError, Merged, Merger, Take};
use crate::objects::proofs;
use crate::objects::remove;
use crate::objects::sentinel;
use crate::report::{failure, text};
use crate::store::{Access, StoreErrorKind};
use crate::tree::fingerprint;
use crate::tree::walk::{self, WalkError};

/// Prepares a cache to be saved and says in `trimmed` what was trimmed, or says why it is not saved: objects are missing, it is as it
/// was restored, or it holds no file. Without its keys and the receipt of its restore it is taken to have changed.
pub(crate) fn prepare(
    cache: &Cache<'_>,
    restored: Option<(&Keys, &Receipt)>,
    trimmed: &mut Option<TrimOutcome>,
    deadline: &Deadline,
) -> Result<Option<SaveRefusal>, StoreFailure> {
    if cache.spec.source_times {
        tools::source_times::record(cache, &deadline.cancel);
    }
    if cache.spec.kind.is_some() {
        tools::leave_out(cache, &deadline.cancel);
    }
    if cache.layout().is_some()
        && let Some(refusal) = objects(cache, deadline)?
    {
        return Ok(Some(refusal));
    }
    if let Some((keys, receipt)) = restored
        && !receipt.corrupt
        && holds_what_was_restored(cache, receipt, deadline)?
        && is_found(cache, keys, receipt, deadline)?
    {
        let reason = format!("nothing changed since `{}` was restored", receipt.saved_for());
        return Ok(Some(SaveRefusal::new(SaveResult::Unchanged, reason)));
    }
    if cache.spec.trim.is_some() {
        *trimmed = trim::before_save(cache).map_err(Fault::from)?;
    }
    Ok(without_content(cache).map_err(Fault::from)?)
}

/// Prepares the objects of a content-addressed cache, which is saved complete or not at all; its sentinel says what it holds. What was
/// harvested stays, even if the cache is refused.
fn objects(cache: &Cache<'_>, deadline: &Deadline) -> Result<Option<SaveRefusal>, Fault> {
    harvest(cache, deadline)?;
    let (report, mut inventory) = cache.gate_fully(&deadline.cancel)?;
    if !report.is_complete() {
        let refusal = SaveRefusal::new(SaveResult::Incomplete, text::gated(&report, cache.root()));
        return Ok(Some(refusal.with_hint(gate::cure(cache.spec, &report))));
    }
    remove_unwanted(cache, &mut inventory)?;
    sentinel::update(cache.root(), &inventory, cache.ctx.now)?;
    Ok(None)
}

/// Refuses a cache that holds no file: as an entry it would hide those of earlier jobs from who looks by a prefix.
fn without_content(cache: &Cache<'_>) -> Result<Option<SaveRefusal>, WalkError> {
    let mut missing = None;
    for selection in &cache.selections {
        match walk::is_empty(selection) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error @ WalkError::Missing(_)) => missing = missing.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    let roots: Vec<_> = cache.selections.iter().map(|it| format!("`{}`", it.root.display())).collect();
    let (reason, hint) = match missing {
        Some(error) => (error.to_string(), error.hint()),
        None => (
            format!("nothing in {} belongs to the cache", roots.join(", ")),
            Some("`path` in the configuration says which files do; wildcards match what is there".to_owned()),
        ),
    };
    Ok(Some(SaveRefusal { hint, ..SaveRefusal::new(SaveResult::Skipped, reason) }))
}

/// Whether the cache holds what was restored: at a glance where no file was written since, else by its contents.
fn holds_what_was_restored(cache: &Cache<'_>, receipt: &Receipt, deadline: &Deadline) -> Result<bool, Fault> {
    let quick = cache.quick_fingerprint()?;
    if receipt.is_untouched(&quick) {
        return Ok(true);
    }
    if (quick.files, quick.bytes) != (receipt.files, receipt.bytes) {
        return Ok(false);
    }
    let _running = cache.ctx.start(cache.name(), Phase::Scan);
    let content = fingerprint::content(&cache.selections, cache.ctx.workers, &deadline.cancel)?;
    Ok(content.to_string() == receipt.content)
}

/// Whether a lookup of these keys finds the restored entry: otherwise a cache that did not change is saved, since nothing
/// is found under its new key.
fn is_found(
    cache: &Cache<'_>,
    keys: &Keys,
    receipt: &Receipt,
    deadline: &Deadline,
) -> Result<bool, StoreFailure> {
    let readable = cache.access().readable;
    match lookup::lookup(cache, keys, LookedFor::default(), readable, deadline) {
        Err(error)
            if matches!(error.kind(), StoreErrorKind::Denied(Access::Read) | StoreErrorKind::Unasked) =>
        {
            Ok(false)
        }
        found => Ok(found?.best.is_some_and(|entry| receipt.is_of(&entry))),
    }
}

/// Merges objects that links want, that the cache lacks, and that a build left in the directories that `harvest` names.
/// Each is verified first; the build keeps its own.
fn harvest(cache: &Cache<'_>, deadline: &Deadline) -> Result<(), Fault> {
    let (Some(layout), Some(links)) = (cache.layout(), &cache.spec.links) else { return Ok(()) };
    if links.harvest.is_empty() {
        return Ok(());
    }
    let cancel = &deadline.cancel;
    let present = cache.inventory(cancel)?;
    let temp = cache.temporary("harvesting for")?;
    let merger = Merger::new(cache.root(), layout, temp.payload(), cache.verified(), cancel);
    for template in &links.harvest {
        let directory = cache.ctx.workspace.join(expand_one(cache.ctx, template, &Sources::default())?);
        let found = inventory::list(&directory, layout, cancel).map_err(Fault::from)?;
        let (mut taken, mut refused) = (0_u64, 0_u64);
        for object in found.files.keys() {
            if present.has(object) || !cache.wanted()?.contains(object) {
                continue;
            }
            match merger.offer(object, &directory.join(layout.path_of(object)), Take::Keep) {
                Ok(Merged::Added | Merged::Replaced) => taken += 1,
                Ok(Merged::Present) => {}
                Err(error @ (MergeError::Refused { .. } | MergeError::Unproven { .. })) => {
                    refused += 1;
                    cache.ctx.report(Level::Debug, cache.name(), failure::chain(&error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if taken > 0 {
            let text = format!(
                "harvested {} that the build fetched, from `{}`",
                counted(taken, "object"),
                directory.display()
            );
            cache.ctx.report(Level::Info, cache.name(), text);
        }
        if refused > 0 {
            let text = format!(
                "refused {} in `{}` with other contents than the name says",
                counted(refused, "object"),
                directory.display()
            );
            cache.ctx.report(Level::Warning, cache.name(), text);
        }
    }
    Ok(temp.close()?)
}

/// Removes objects that no link wants, where the configuration says so, and proofs of what is not there; takes them
/// out of the inventory. Only for a writer whose cache is complete.
fn remove_unwanted(cache: &Cache<'_>, inventory: &mut Inventory) -> Result<(), Fault> {
    let (Some(layout), Some(links)) = (cache.layout(), &cache.spec.links) else { return Ok(()) };
    let wanted = cache.wanted()?;
    // A tree without a single link is a checkout that went wrong, not a wish for an empty cache.
    if links.unwanted == Unwanted::Prune && !wanted.is_empty() {
        let unwanted: Vec<ObjectId> =
            inventory.objects.keys().filter(|object| !wanted.contains(object)).cloned().collect();
        for object in &unwanted {
            // Something other than a regular file was never an object, and is left alone.
            match remove::remove_object(cache.root(), layout, object) {
                Ok(_) => drop(inventory.objects.remove(object)),
                Err(error) => cache.ctx.report(Level::Warning, cache.name(), failure::chain(&error)),
            }
        }
        if !unwanted.is_empty() {
            let text = format!("removed {} that no link wants any more", counted(unwanted.len(), "object"));
            cache.ctx.report(Level::Info, cache.name(), text);
        }
    }
    proofs::sweep(cache.root(), |object| inventory.objects.contains_key(object))?;
    Ok(())
}
