//! Quarantine: objects that are not what their names say are moved away, so that no build meets them.

use super::cache::Cache;
use crate::domain::digest::ObjectId;
use crate::domain::event::Level;
use crate::domain::inventory::Inventory;
use crate::domain::unit::counted;
use crate::fs::path_error::PathError;
use crate::objects::remove;

/// How many objects are named before the rest is only counted.
const NAMED: usize = 3;

/// Moves corrupt objects out of the cache. Returns whether there were any.
pub(super) fn of_cache(cache: &Cache<'_>, inventory: &Inventory) -> Result<bool, PathError> {
    let Some(layout) = cache.layout() else { return Ok(false) };
    let corrupt: Vec<&ObjectId> = inventory.corrupt().collect();
    if corrupt.is_empty() {
        return Ok(false);
    }
    let aside = cache.temporary("removing corrupt objects from")?;
    for object in &corrupt {
        remove::set_aside(cache.root(), layout, object, aside.payload())?;
    }
    report(cache, "are not what their names say and were removed", &corrupt);
    aside.close()?;
    Ok(true)
}

/// Warns of objects; the first are named.
pub(super) fn report(cache: &Cache<'_>, what: &str, objects: &[&ObjectId]) {
    let named: Vec<String> = objects.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if objects.len() > NAMED { ", …" } else { "" };
    let text = format!("{} {what}: {}{more}", counted(objects.len(), "object"), named.join(", "));
    cache.ctx.report(Level::Warning, cache.name(), text);
}
