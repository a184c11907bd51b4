//! The facts from which the way to a target is chosen, as the disk has them now.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use super::decision::{TargetFacts, TargetKind};
use super::error::StagingError;
use super::mount;
use super::usage::Usage;
use crate::fs::handle::Handle;
use crate::fs::link;
use crate::fs::path_error::PathError;

/// What is known of a target, which has no link to a directory as its last part.
pub(super) fn of(target: &Path, in_parts: bool, usage: &Usage) -> Result<TargetFacts, StagingError> {
    let (kind, can_keep_owner) = match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => (TargetKind::Directory, can_keep_owner(&found)),
        Ok(_) => (TargetKind::Obstacle, true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (TargetKind::Absent, true),
        Err(error) => return Err(PathError::on("read", target)(error).into()),
    };
    // Mounts and working directories are named without links, and handles follow none.
    let real = match target.parent().and_then(link::resolved).zip(target.file_name()) {
        Some((parent, name)) => parent.join(name),
        None => target.to_owned(),
    };
    let can_write_parent = match real.parent() {
        Some(parent) => Handle::open(parent).is_ok_and(|parent| parent.is_writable()),
        None => false,
    };
    Ok(TargetFacts {
        kind,
        in_parts,
        holds_workspace: usage.is_workspace_in(&real),
        holds_working_directory: usage.is_working_in(&real),
        is_mount: mount::is_volume_root(target),
        has_mount_inside: !mount::mounts_below(&real).is_empty(),
        is_overlay: mount::is_overlay(target),
        can_keep_owner,
        can_write_parent,
    })
}

/// Whether this user can give a new directory the owner and group of an existing one: root can, and owners whose group is theirs.
#[cfg(unix)]
fn can_keep_owner(found: &Metadata) -> bool {
    use rustix::process::{getegid, geteuid, getgroups};
    use std::os::unix::fs::MetadataExt as _;
    let user = geteuid();
    let is_in_group = || {
        let group = found.gid();
        getegid().as_raw() == group
            || getgroups().is_ok_and(|groups| groups.iter().any(|own| own.as_raw() == group))
    };
    user.is_root() || (found.uid() == user.as_raw() && is_in_group())
}

#[cfg(not(unix))]
fn can_keep_owner(_: &Metadata) -> bool {
    true
}
