//! `disk`: the volumes of a job, what saves need there, and what may be removed for it.

use std::fmt::Write as _;

use super::free::{Free, make_room};
use super::need_of;
use crate::command::cache::{self, DeclaredCache};
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::freeable::Freed;
use crate::domain::unit::ByteSize;
use crate::fs::volume::{self, Need, Volume, volume_of};
use crate::report::json;
use crate::report::json::disk::{DiskDocument, FreedDocument, NeedDocument, VolumeDocument};
use crate::report::markdown::disk;

/// What the save of a cache needs.
struct SaveNeed {
    cache: String,
    need: Need,
    /// Why that is not there, if it is not.
    short: Option<Fault>,
}

/// Looks at every volume and at what saves need; makes room if that is asked for. Returns the text and a summary.
pub(crate) fn run(ctx: &Context<'_>, free: bool, dry_run: bool) -> Result<(String, String), Fault> {
    let how = if free && !dry_run { Free::Now } else { Free::DryRun };
    let mut needs = needs(ctx, cache::open_all(ctx))?;
    let mut freed = Vec::new();
    for need in &needs {
        if need.short.is_some() {
            let mut done = make_room(ctx, &need.need, how);
            // What was blocked for one cache is blocked for all.
            done.retain(|done: &Freed| freed.iter().all(|known: &Freed| known.what != done.what));
            freed.append(&mut done);
        }
    }
    if how == Free::Now {
        for SaveNeed { need, short, .. } in &mut needs {
            *short = volume::check_room(std::slice::from_ref(need), ctx.reserve()).err();
        }
    }
    let volumes = ctx.measured_volumes();
    // Once more, for what was removed gave room.
    let now = volumes.iter().filter_map(|volume| volume_of(&volume.at).ok());
    let rows: Vec<VolumeDocument> = now.map(|volume| row(ctx, &volume)).collect();
    let summary = disk::markdown(&rows);
    let document = DiskDocument {
        command: "disk",
        dry_run: how == Free::DryRun,
        needs: needs.iter().map(NeedDocument::from).collect(),
        freed: freed.iter().map(FreedDocument::from).collect(),
        volumes: rows,
    };
    let text = if ctx.stdout_is_json { json::render(&document) } else { text(&document, &needs) };
    Ok((text, summary))
}

/// What the save of each cache needs in a store that is a directory. Elsewhere archives need no room here.
fn needs(ctx: &Context<'_>, caches: Vec<DeclaredCache<'_>>) -> Result<Vec<SaveNeed>, Fault> {
    let Some(store) = ctx.store.choice.directory() else { return Ok(Vec::new()) };
    let mut needs = Vec::new();
    for DeclaredCache { spec, opened } in caches {
        let cache = opened.map_err(|fault| spec.named_in(fault))?;
        // A cache that is not there yet needs nothing.
        let Ok(tree) = cache.quick_fingerprint() else { continue };
        let need = need_of(&tree, store);
        let short = volume::check_room(std::slice::from_ref(&need), ctx.reserve()).err();
        needs.push(SaveNeed { cache: spec.name.clone(), need, short });
    }
    Ok(needs)
}

fn row(ctx: &Context<'_>, volume: &Volume) -> VolumeDocument {
    VolumeDocument {
        path: volume.at.display().to_string(),
        total_bytes: volume.total.0,
        free_bytes: volume.free.0,
        reserve_bytes: ctx.reserve().of(volume.total).0,
        total_inodes: volume.inodes.map(|inodes| inodes.total),
        free_inodes: volume.inodes.map(|inodes| inodes.free),
    }
}

impl From<&SaveNeed> for NeedDocument {
    fn from(need: &SaveNeed) -> Self {
        NeedDocument {
            cache: need.cache.clone(),
            path: need.need.path.display().to_string(),
            bytes: need.need.bytes.0,
            fits: need.short.is_none(),
        }
    }
}

fn text(document: &DiskDocument, needs: &[SaveNeed]) -> String {
    let mut text = String::new();
    for volume in &document.volumes {
        let bytes = |number| ByteSize(number).to_string();
        let _ = write!(
            text,
            "{}: {} free of {} ({:.0} % used), {} reserved",
            volume.path,
            bytes(volume.free_bytes),
            bytes(volume.total_bytes),
            volume.used_percent(),
            bytes(volume.reserve_bytes),
        );
        if let (Some(free), Some(total)) = (volume.free_inodes, volume.total_inodes) {
            let _ = write!(text, "; {free} inodes free of {total}");
        }
        text.push('\n');
    }
    for SaveNeed { cache, need, short } in needs {
        let place = volume_of(&need.path).map_or_else(|_| need.path.clone(), |volume| volume.at);
        let _ = write!(
            text,
            "{cache}: a save needs at most {} on the volume of {}: ",
            need.bytes,
            place.display()
        );
        match short {
            None => text.push_str("there is room\n"),
            Some(why) => {
                let _ = writeln!(text, "{why}");
            }
        }
    }
    let verb = if document.dry_run { "may be removed" } else { "removed" };
    for freed in &document.freed {
        match &freed.blocked {
            None => {
                let _ = writeln!(text, "{verb}: {} ({})", freed.what, ByteSize(freed.bytes));
            }
            Some(why) => {
                let _ = writeln!(text, "stays: {}: {why}", freed.what);
            }
        }
    }
    text
}
