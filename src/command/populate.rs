//! Before a cache of objects is saved: what the build fetched by itself enters, what nobody wants any more goes.

use super::cache::{Cache, expand_one};
use super::context::Deadline;
use super::expand::Sources;
use super::quarantine::leased_in;
use super::save_error::SaveError;
use crate::domain::digest::ObjectId;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::inventory::Inventory;
use crate::domain::spec::Unwanted;
use crate::objects::inventory;
use crate::objects::merge::{MergeError, Merged, Merger, Take};
use crate::objects::proofs;
use crate::objects::remove;
use crate::report::failure;

/// Merges objects that links want, that the cache lacks, and that a build left in the folders that `harvest` names.
/// Each is verified first; the build keeps its own.
pub(super) fn harvest(cache: &Cache<'_>, deadline: &Deadline) -> Result<(), SaveError> {
    let (Some(layout), Some(links)) = (cache.layout(), &cache.spec.links) else { return Ok(()) };
    if links.harvest.is_empty() {
        return Ok(());
    }
    let cancel = &deadline.cancel;
    let present = cache.inventory(cancel)?;
    let temp = leased_in(cache, "harvesting for")?;
    let merger = Merger::new(cache.root(), layout, temp.payload(), cache.verified(), cancel);
    for template in &links.harvest {
        let folder = cache.ctx.workspace.join(expand_one(cache.ctx, template, &Sources::default())?);
        let found = inventory::list(&folder, layout, cancel).map_err(Fault::from)?;
        let (mut taken, mut refused) = (0_u64, 0_u64);
        for object in found.files.keys() {
            if present.has(object) || !cache.wanted()?.contains(object) {
                continue;
            }
            match merger.offer(object, &folder.join(layout.path_of(object)), Take::Keep) {
                Ok(Merged::Added | Merged::Replaced) => taken += 1,
                Ok(Merged::Present) => {}
                Err(error @ (MergeError::Refused { .. } | MergeError::Unproven { .. })) => {
                    refused += 1;
                    cache.ctx.say(Level::Debug, cache.name(), failure::chain(&error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if taken > 0 {
            let text =
                format!("harvested {taken} objects that the build fetched, from `{}`", folder.display());
            cache.ctx.say(Level::Info, cache.name(), text);
        }
        if refused > 0 {
            let text = format!(
                "{refused} objects in `{}` are not what their names say and were refused",
                folder.display()
            );
            cache.ctx.say(Level::Warning, cache.name(), text);
        }
    }
    Ok(temp.close()?)
}

/// Removes objects that no link wants, where the configuration says so, and proofs of what is not there; takes them
/// out of the inventory. Only for a writer whose cache is complete.
pub(super) fn prune(cache: &Cache<'_>, inventory: &mut Inventory) -> Result<(), SaveError> {
    let (Some(layout), Some(links)) = (cache.layout(), &cache.spec.links) else { return Ok(()) };
    let wanted = cache.wanted()?;
    // A tree without a single link is a checkout that went wrong, not a wish for an empty cache.
    if links.unwanted == Unwanted::Prune && !wanted.is_empty() {
        let unwanted: Vec<ObjectId> =
            inventory.objects.keys().filter(|object| !wanted.contains(object)).cloned().collect();
        for object in &unwanted {
            // What is no file was never an object, and is left to its owner.
            match remove::remove_object(cache.root(), layout, object) {
                Ok(_) => drop(inventory.objects.remove(object)),
                Err(error) => cache.ctx.say(Level::Warning, cache.name(), failure::chain(&error)),
            }
        }
        if !unwanted.is_empty() {
            let text = format!("removed {} objects that no link wants any more", unwanted.len());
            cache.ctx.say(Level::Info, cache.name(), text);
        }
    }
    proofs::sweep(cache.root(), |object| inventory.objects.contains_key(object))?;
    Ok(())
}
