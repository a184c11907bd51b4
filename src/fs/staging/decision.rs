//! Which way a staged tree takes to its target, decided from facts alone.
//!
//! A directory is replaced in one step only where no process can notice that it is another one now. Elsewhere the staged tree is
//! merged into it, file by file. `docs/design/publishing.md` has the table, made from these tests.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use super::mount;
use super::usage::Usage;
use crate::fs::handle::Handle;
use crate::fs::link;
use crate::fs::path_error::PathError;

/// How a staged tree becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    /// It is renamed to the target's name, which is free or that of a file or a link.
    RenameIn,
    /// It changes places with the target in one step.
    Exchange,
    /// Its files are renamed into the target one by one.
    Merge,
}

/// What has the target's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// Nothing.
    Absent,
    /// A file, or a link that leads nowhere.
    Obstacle,
    /// A directory.
    Directory,
}

/// What is known of a target when the way is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of which decides alone")]
pub(crate) struct TargetFacts {
    /// What is there.
    pub kind: TargetKind,
    /// Only parts of it belong to the cache: what a pattern matched.
    pub in_parts: bool,
    /// It is the workspace, or the workspace lies in it.
    pub holds_workspace: bool,
    /// It is or holds a working directory: this process's, that of the command of `run`, or one of a process that
    /// started this one.
    pub holds_working_directory: bool,
    /// A volume is mounted here.
    pub is_mount: bool,
    /// A volume is mounted somewhere inside.
    pub has_mount_inside: bool,
    /// Its volume is an overlay, where a directory of a lower layer cannot be renamed.
    pub is_overlay: bool,
    /// This user can give a new directory the owner and the group that it has.
    pub can_keep_owner: bool,
    /// This user can make and rename what lies beside it.
    pub can_write_parent: bool,
}

/// Why a way was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Nothing has the target's name.
    Absent,
    /// A file or a link has it.
    Obstacle,
    /// An empty directory has it, and the entry has a file.
    EmptyDirectory,
    /// Nothing forbids to replace the directory.
    Unused,
    /// Only parts of it belong to the cache.
    InParts,
    /// It is or holds the workspace.
    Workspace,
    /// It is or holds a working directory.
    WorkingDirectory,
    /// It is a mount point.
    MountPoint,
    /// A volume is mounted inside.
    MountInside,
    /// It lies on an overlay.
    Overlay,
    /// Its owner or group could not be kept.
    Owner,
    /// The directory above cannot be written.
    Parent,
    /// Something in it has an owner that could not be kept.
    OwnerInside,
    /// The system refused to rename it.
    Refused,
}

/// The way that is taken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The way.
    pub method: Method,
    /// Why.
    pub reason: Reason,
}

impl TargetFacts {
    /// What is known of a target now, which has no link to a directory as its last part.
    pub(super) fn of(target: &Path, in_parts: bool, usage: &Usage) -> Result<Self, PathError> {
        let (kind, can_keep_owner) = match fs::symlink_metadata(target) {
            Ok(found) if found.is_dir() => (TargetKind::Directory, can_keep_owner(&found)),
            Ok(_) => (TargetKind::Obstacle, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (TargetKind::Absent, true),
            Err(error) => return Err(PathError::on("read", target)(error)),
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

/// Chooses the way to a target: renamed in where no directory has the name; exchanged with a directory that is wholly the cache's, that no
/// process is known to use, and that can be exchanged without a trace; merged into every other one.
pub(crate) fn decide(facts: &TargetFacts) -> Decision {
    let in_place = [
        (facts.in_parts, Reason::InParts),
        (facts.holds_workspace, Reason::Workspace),
        (facts.holds_working_directory, Reason::WorkingDirectory),
        (facts.is_mount, Reason::MountPoint),
        (facts.has_mount_inside, Reason::MountInside),
        (facts.is_overlay, Reason::Overlay),
        (!facts.can_keep_owner, Reason::Owner),
        (!facts.can_write_parent, Reason::Parent),
    ];
    let (method, reason) = match facts.kind {
        TargetKind::Absent => (Method::RenameIn, Reason::Absent),
        TargetKind::Obstacle => (Method::RenameIn, Reason::Obstacle),
        TargetKind::Directory => match in_place.into_iter().find(|(applies, _)| *applies) {
            Some((_, reason)) => (Method::Merge, reason),
            None => (Method::Exchange, Reason::Unused),
        },
    };
    Decision { method, reason }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::RenameIn => "renamed in",
            Method::Exchange => "exchanged in one step",
            Method::Merge => "merged in place",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Absent => "nothing was there",
            Reason::Obstacle => "a file or a link was there",
            Reason::EmptyDirectory => "an empty directory was there",
            Reason::Unused => "no process is known to use it",
            Reason::InParts => "only parts of it belong to the cache",
            Reason::Workspace => "it is the workspace or holds it",
            Reason::WorkingDirectory => "it is or holds a working directory",
            Reason::MountPoint => "a volume is mounted there",
            Reason::MountInside => "a volume is mounted inside",
            Reason::Overlay => "directories of an overlay's lower layers cannot be renamed",
            Reason::Owner => "its owner or group could not be kept",
            Reason::Parent => "the directory above cannot be written",
            Reason::OwnerInside => "the owner of something in it could not be kept",
            Reason::Refused => "the system refused to rename it",
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of this user that no process uses.
    const PLAIN: TargetFacts = TargetFacts {
        kind: TargetKind::Directory,
        in_parts: false,
        holds_workspace: false,
        holds_working_directory: false,
        is_mount: false,
        has_mount_inside: false,
        is_overlay: false,
        can_keep_owner: true,
        can_write_parent: true,
    };

    const TABLE: [(TargetFacts, Method, Reason); 11] = [
        (TargetFacts { kind: TargetKind::Absent, ..PLAIN }, Method::RenameIn, Reason::Absent),
        (TargetFacts { kind: TargetKind::Obstacle, ..PLAIN }, Method::RenameIn, Reason::Obstacle),
        (PLAIN, Method::Exchange, Reason::Unused),
        (TargetFacts { in_parts: true, ..PLAIN }, Method::Merge, Reason::InParts),
        (TargetFacts { holds_workspace: true, ..PLAIN }, Method::Merge, Reason::Workspace),
        (TargetFacts { holds_working_directory: true, ..PLAIN }, Method::Merge, Reason::WorkingDirectory),
        (TargetFacts { is_mount: true, ..PLAIN }, Method::Merge, Reason::MountPoint),
        (TargetFacts { has_mount_inside: true, ..PLAIN }, Method::Merge, Reason::MountInside),
        (TargetFacts { is_overlay: true, ..PLAIN }, Method::Merge, Reason::Overlay),
        (TargetFacts { can_keep_owner: false, ..PLAIN }, Method::Merge, Reason::Owner),
        (TargetFacts { can_write_parent: false, ..PLAIN }, Method::Merge, Reason::Parent),
    ];

    #[test]
    fn every_fact_decides_alone() {
        for (facts, method, reason) in TABLE {
            assert_eq!(decide(&facts), Decision { method, reason }, "{facts:?}");
        }
    }

    #[test]
    fn what_is_absent_is_renamed_in_whatever_else_holds() {
        for (facts, ..) in TABLE {
            for (kind, reason) in
                [(TargetKind::Absent, Reason::Absent), (TargetKind::Obstacle, Reason::Obstacle)]
            {
                let decision = decide(&TargetFacts { kind, ..facts });
                assert_eq!(decision, Decision { method: Method::RenameIn, reason });
            }
        }
    }

    #[test]
    fn two_facts_never_make_an_exchange_of_a_merge() {
        for (one, ..) in &TABLE[3..] {
            for (other, ..) in &TABLE[3..] {
                let both = TargetFacts {
                    kind: TargetKind::Directory,
                    in_parts: one.in_parts || other.in_parts,
                    holds_workspace: one.holds_workspace || other.holds_workspace,
                    holds_working_directory: one.holds_working_directory || other.holds_working_directory,
                    is_mount: one.is_mount || other.is_mount,
                    has_mount_inside: one.has_mount_inside || other.has_mount_inside,
                    is_overlay: one.is_overlay || other.is_overlay,
                    can_keep_owner: one.can_keep_owner && other.can_keep_owner,
                    can_write_parent: one.can_write_parent && other.can_write_parent,
                };
                assert_eq!(decide(&both).method, Method::Merge, "{both:?}");
            }
        }
    }
}
