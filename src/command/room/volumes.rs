//! The volumes of a job, before and after its work.

use std::sync::atomic::Ordering;

use crate::command::context::Context;
use crate::domain::event::Level;
use crate::domain::volume::{DiskChange, InodeChange};
use crate::fs::volume::{Volume, volume_of};

/// What has changed on the volumes of the job since they were measured, for the caller, and for the log where room was
/// short or a volume has less than the reserve left.
pub(crate) fn report_changes(ctx: &Context<'_>) -> Vec<DiskChange> {
    let changes: Vec<DiskChange> = ctx.measured_volumes().iter().filter_map(change).collect();
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
