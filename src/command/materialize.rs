//! The one way in which staged trees become a cache: for restores, native and wrapped, and for seeds.
//!
//! Whatever unpacked them, the trees are verified first, what is not proven is taken out, and then all roots are
//! published together: all of them, or none.

use std::time::Instant;

use super::cache::Cache;
use super::context::Deadline;
use super::quarantine;
use crate::domain::digest::ObjectId;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::inventory::Presence;
use crate::fs::staging::{self, Staging};
use crate::objects::remove;
use crate::report::failure;

/// Publishes the trees that were staged for the roots of a cache, in the order of the roots. `done` is the past
/// participle for messages: `restored`, `seeded`.
///
/// Returns whether the cache now holds what was staged and nothing else.
///
/// # Errors
/// The trees cannot be verified or published; the cache is as it was.
pub(super) fn materialize(
    cache: &Cache<'_>,
    stagings: Vec<Staging>,
    done: &str,
    deadline: &Deadline,
) -> Result<bool, Fault> {
    let ctx = cache.ctx;
    let Some(first) = stagings.first() else { return Ok(true) };
    let staged = first.tree().to_owned();
    let refused = take_out_unproven(cache, first, deadline)?;
    if cache.layout().is_some() {
        // An object that is present and right is not replaced by its copy.
        first.yield_equal(&deadline.cancel)?;
    }
    let started = Instant::now();
    let published = staging::publish_all(stagings, &deadline.cancel)?;
    let text = format!("published in {:.3} s", started.elapsed().as_secs_f64());
    ctx.report(Level::Debug, cache.name(), text);
    for staging::Published { target, decision, .. } in &published {
        let way = match decision {
            Some(decision) => decision.to_string(),
            None => "left as it is: it did not exist when the entry was saved".to_owned(),
        };
        ctx.report(Level::Debug, cache.name(), format!("`{}` was {way}", target.display()));
    }
    // What was verified in the staged tree need not be read again in its place.
    cache.verified().relocate(&staged, cache.root());
    for leftover in published.iter().filter_map(|published| published.leftover.as_ref()) {
        ctx.report(Level::Warning, cache.name(), format!("{done}, but {}", failure::chain(leftover)));
    }
    Ok(refused == 0 && published.iter().all(|published| published.kept == 0))
}

/// Verifies what was unpacked, as thoroughly as the cache declares, and takes out what is not proven: it never comes
/// under its final name, and never replaces what is there. Returns how many objects were taken out.
fn take_out_unproven(cache: &Cache<'_>, staging: &Staging, deadline: &Deadline) -> Result<usize, Fault> {
    let (Some(layout), Some(links)) = (cache.layout(), &cache.spec.links) else { return Ok(0) };
    let inventory = cache.inventory_at(staging.tree(), links.verify, &deadline.cancel)?;
    let unproven = |presence: &Presence| presence.size().is_none();
    let refused: Vec<&ObjectId> = inventory
        .objects
        .iter()
        .filter(|(_, presence)| unproven(presence))
        .map(|(object, _)| object)
        .collect();
    for object in &refused {
        remove::set_aside(staging.tree(), layout, object, staging.payload())?;
    }
    if !refused.is_empty() {
        quarantine::report(
            cache,
            "were archived but are not proven to be what their names say, and were not restored",
            &refused,
        );
    }
    Ok(refused.len())
}
