//! The place that a carrier shares with us: `.cachekeep/<cache>` in a directory that it works in.
//!
//! That is the path of a cache in our own archives, so the version is the same and, for actions/cache, an entry of one transport is
//! found by the other. After a restore the tree there becomes the cache by a rename; for a save it is made of hard links, and the
//! cache stays where it is.

use std::path::{Path, PathBuf};

use super::carrier::Carrier;
use crate::command::cache::Cache;
use crate::command::context::Context;
use crate::command::materialize::stage;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::version::LAYOUT_ROOT;
use crate::fs::remove::remove_tree;
use crate::fs::staging::Staging;
use crate::fs::write;
use crate::report::failure;
use crate::tree::hard_links;

/// Removes what lies between the transports, but for caches that are kept there.
pub(super) fn sweep(ctx: &Context<'_>, carrier: &Carrier) {
    for (slot, spec) in ctx.caches.iter().enumerate() {
        // Nothing is removed through a link.
        if let Err(error) = carrier.is_there(slot) {
            ctx.report_about_job(Level::Warning, failure::chain(&error));
            return;
        }
        let Ok(cache) = Cache::open(ctx, spec) else { continue };
        let base = carrier.base(slot);
        if refuse_reserved(&cache, &base).is_err() {
            continue;
        }
        let place = match carrier {
            Carrier::ActionsCache { .. } => base.join(LAYOUT_ROOT).join(cache.name()),
            Carrier::CacheTask { .. } => base.clone(),
        };
        if let Err(error) = remove_tree(&place) {
            ctx.report(Level::Warning, cache.name(), failure::chain(&error));
        }
        write::remove_if_empty(&base.join(LAYOUT_ROOT));
    }
}

fn refuse_reserved(cache: &Cache<'_>, base: &Path) -> Result<(), Fault> {
    let reserved = base.join(LAYOUT_ROOT);
    // A root above keeps its place, and what lies there is no part of it.
    match cache.roots().into_iter().find(|root| root.starts_with(&reserved)) {
        Some(root) => {
            Err(Fault::usage(format!("`{}` is where archives lie between two steps", root.display()))
                .with_hint(format!("give the cache a path outside of `{LAYOUT_ROOT}`")))
        }
        None => Ok(()),
    }
}

/// Takes the trees that a carrier unpacked: those of the roots, in their order.
pub(super) fn deliver(cache: &Cache<'_>, base: &Path) -> Result<Vec<Staging>, Fault> {
    refuse_reserved(cache, base)?;
    let mut stagings = Vec::new();
    for (prefix, selection) in cache.prefixes.iter().zip(&cache.selections) {
        let mut staging = stage(cache, selection)?;
        // A cache may be kept without one of its roots; a link instead of a directory or file is not followed.
        if hard_links::is_plain(base, Path::new(prefix))? {
            let dropped = hard_links::adopt(&base.join(prefix), &staging)?;
            report_dropped(cache, "pipes, devices and sockets were removed", &dropped.specials);
            report_dropped(
                cache,
                "files and directories lost their set-user-ID, set-group-ID or sticky bit",
                &dropped.special_modes,
            );
        } else {
            staging.leave_absent();
        }
        stagings.push(staging);
    }
    Ok(stagings)
}

/// Says what of an adopted tree was not kept: no archive of cachekeep holds it.
fn report_dropped(cache: &Cache<'_>, what: &str, paths: &[PathBuf]) {
    if let Some(first) = paths.first() {
        let text = format!("{} {what}, the first is `{}`", paths.len(), first.display());
        cache.ctx.report(Level::Warning, cache.name(), text);
    }
}

/// Shows a cache under the path that the carrier knows.
pub(super) fn show(cache: &Cache<'_>, carrier: &Carrier, slot: usize) -> Result<hard_links::Linked, Fault> {
    let base = carrier.base(slot);
    refuse_reserved(cache, &base)?;
    carrier.is_there(slot)?;
    let running = cache.ctx.start(cache.name(), Phase::Save);
    let mut all = hard_links::Linked::default();
    for (prefix, selection) in cache.prefixes.iter().zip(&cache.selections) {
        let target = base.join(prefix);
        let cancel = &cache.ctx.interrupt.cancel;
        let linked = hard_links::link_tree(selection, &target, cancel, &running.meter)?;
        all.files += linked.files;
        all.bytes += linked.bytes;
    }
    Ok(all)
}
