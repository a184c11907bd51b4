//! The volumes of a job, before and after its work.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::command::cache::Cache;
use crate::command::context::Context;
use crate::domain::event::Level;
use crate::domain::volume::{DiskChange, InodeChange};
use crate::fs::volume::{Volume, volume_of};

/// The volumes that a job works on, each once: those of its directories, its caches and its store, and of a directory where
/// another program writes archives for it.
pub(crate) fn measure(ctx: &Context<'_>, staging: Option<&Path>) -> Vec<Volume> {
    let mut places: Vec<PathBuf> = vec![ctx.workspace.to_owned(), ctx.temp.to_owned()];
    places.extend(staging.map(PathBuf::from));
    places.extend(ctx.store.directory().map(PathBuf::from));
    for spec in ctx.caches {
        places.extend(Cache::open(ctx, spec).map(|cache| cache.roots()).unwrap_or_default());
    }
    let mut volumes: Vec<Volume> = Vec::new();
    // A volume that cannot be measured is left out of a table, and that is all.
    for volume in places.iter().filter_map(|path| volume_of(path).ok()) {
        if volumes.iter().all(|known| known.id != volume.id) {
            volumes.push(volume);
        }
    }
    volumes
}

/// What has changed on volumes since they were measured, for the caller, and for the log where room was short or a volume has less
/// than the reserve left.
pub(crate) fn report_changes(ctx: &Context<'_>, before: &[Volume]) -> Vec<DiskChange> {
    let changes: Vec<DiskChange> = before.iter().filter_map(change).collect();
    let was_short = ctx.room_was_short.load(Ordering::Relaxed);
    for change in &changes {
        let is_short = was_short || change.after < ctx.reserve().of(change.total);
        let level = if is_short { Level::Info } else { Level::Debug };
        ctx.report_about_job(level, change.to_string());
    }
    changes
}

fn change(before: &Volume) -> Option<DiskChange> {
    let after = volume_of(&before.at).ok()?;
    let inodes = before.inodes.zip(after.inodes);
    Some(DiskChange {
        at: before.at.clone(),
        total: before.total,
        before: before.free,
        after: after.free,
        inodes: inodes.map(|(before, after)| InodeChange {
            total: before.total,
            before: before.free,
            after: after.free,
        }),
    })
}
