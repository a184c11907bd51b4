//! Why trees are not staged or published, and how to cure it.

use std::io;
use std::path::PathBuf;

use super::decision::Reason;
use crate::domain::hint::{Class, Hint};
use crate::fs::path_error::PathError;

/// Why a tree could not be staged or published. The target is unchanged, except after [`StagingError::Stuck`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum StagingError {
    /// The disk refused something.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A directory would have to replace something else, or the other way round.
    #[error("`{}` is {present} and would become {staged}", path.display())]
    Conflict {
        /// Where, in the target.
        path: PathBuf,
        /// What is there.
        present: &'static str,
        /// What is staged.
        staged: &'static str,
    },
    /// Another volume is mounted inside the target.
    #[error("another volume is mounted inside the target, at `{}`", .0.display())]
    NestedVolume(PathBuf),
    /// Something in the target has an owner that this user cannot give: the target cannot be exchanged.
    #[error(transparent)]
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has owners"))]
    Unkept(PathError),
    /// Two targets that are published together lie in one another.
    #[error("`{}` and `{}` overlap", .0.display(), .1.display())]
    Overlap(PathBuf, PathBuf),
    /// The work was cancelled.
    #[error("cancelled before `{}` was published", .0.display())]
    Cancelled(PathBuf),
    /// A journal cannot be understood or trusted.
    #[error("`{}` cannot be recovered: {reason}", path.display())]
    Journal {
        /// The leased directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A journal without a record of this user: another user may have written it, and it is not obeyed.
    #[error("`{}` has a journal that this user did not write, and is left as it is", .0.display())]
    Unrecorded(PathBuf),
    /// A publication of ours that was killed, into a target that recovery was not called for.
    #[error("`{}` holds an unfinished publication into `{}`, which this command does not use", path.display(), target.display())]
    NotAsked {
        /// The leased directory.
        path: PathBuf,
        /// The target.
        target: PathBuf,
    },
    /// The record of a journal cannot be written; without it, only a single rename is safe from a kill.
    #[error("cannot record what is published: {0}")]
    Record(#[source] PathError),
    /// Publishing failed half-way and could not be taken back; all content is kept for `recover`.
    #[error("{publishing}; and taking it back failed: {undoing}; the next start tries again from `{}`", kept.display())]
    Stuck {
        /// Why publishing failed.
        publishing: Box<StagingError>,
        /// Why it could not be taken back.
        undoing: Box<StagingError>,
        /// The leased directory with the journal.
        kept: PathBuf,
    },
}

impl StagingError {
    /// Why the target is merged into after an exchange ended with this error; `None` where that would not help.
    pub(super) fn reason_to_merge(&self) -> Option<Reason> {
        match self {
            StagingError::Unkept(_) => Some(Reason::OwnerInside),
            StagingError::NestedVolume(_) => Some(Reason::MountInside),
            // Windows has several errors for what is in use.
            StagingError::Path(error)
                if cfg!(windows)
                    || matches!(
                        error.source.kind(),
                        io::ErrorKind::CrossesDevices
                            | io::ErrorKind::PermissionDenied
                            | io::ErrorKind::ResourceBusy
                    ) =>
            {
                Some(Reason::Refused)
            }
            _ => None,
        }
    }

    /// Whether a volume or a quota is full.
    #[cfg(all(test, unix))]
    pub(crate) fn is_no_space(&self) -> bool {
        match self {
            StagingError::Path(error) => error.is_no_space(),
            StagingError::Stuck { publishing, .. } => publishing.is_no_space(),
            _ => false,
        }
    }
}

impl Hint for StagingError {
    fn hint(&self) -> Option<String> {
        match self {
            StagingError::Path(error) | StagingError::Unkept(error) => error.hint(),
            StagingError::Conflict { path, present, .. } => Some(format!(
                "remove `{}` if it is not needed: {present} is not removed for a restore",
                path.display()
            )),
            StagingError::NestedVolume(_) => {
                Some("mount the volume at the cache's path itself, or make it a cache of its own".to_owned())
            }
            StagingError::Overlap(..) => Some("give every cache a path outside the others".to_owned()),
            StagingError::Unrecorded(path) => Some(format!(
                "an archive or a checkout may have brought `{}`; look for data of yours in it, then remove it",
                path.display()
            )),
            StagingError::NotAsked { path, target } => Some(format!(
                "a restore of the cache at `{}` completes it; if there is no such cache any more, look for data of \
                 yours in `{}`, then remove it",
                target.display(),
                path.display()
            )),
            StagingError::Record(_) => {
                Some("set `XDG_STATE_HOME` to a directory that belongs to this user".to_owned())
            }
            StagingError::Stuck { .. } | StagingError::Cancelled(_) | StagingError::Journal { .. } => None,
        }
    }

    fn class(&self) -> Class {
        if matches!(self, StagingError::Cancelled(_)) { Class::Cancelled } else { Class::Environment }
    }
}
