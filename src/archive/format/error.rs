//! Errors of archives.
//!
//! A damaged archive ([`ArchiveError::Damaged`]) differs from what was written. A refused one ([`ArchiveError::Refused`])
//! holds something that must not be written. A restore treats both as a miss, and the next save of the key replaces such an
//! entry. A good archive that cannot be restored here ([`ArchiveError::Unsupported`], [`ArchiveError::NameClash`]) is a miss
//! as well, and stays: other systems can restore it.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::fault::Fault;
use crate::domain::hint::{Class, Hint};
use crate::tree::walk::WalkError;

/// Why an archive could not be packed, unpacked or verified.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A signal or the deadline ended the work.
    #[error("interrupted")]
    Cancelled,
    /// The tree could not be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file has another size or time than when the archive was planned.
    #[error("`{}` changed while being packed", .0.display())]
    Changed(PathBuf),
    /// Files were added or removed between counting and packing.
    #[error("the files below `{}` changed while being packed", .0.display())]
    TreeChanged(PathBuf),
    /// A name or link target that a portable archive cannot hold.
    #[error("the name `{}` cannot be stored in an archive: {reason}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The output did not take the archive.
    #[error("cannot write the archive: {0}")]
    Output(#[source] io::Error),
    /// The input failed.
    #[error("cannot read the archive: {0}")]
    Input(#[source] io::Error),
    /// The archive differs from what was written.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// The archive was made by a later format.
    #[error("the archive has format {0}, this program reads formats up to {format}", format = super::version::FORMAT)]
    Format(u32),
    /// The archive holds an entry that must not be written.
    #[error("the archive is refused: `{name}` {reason}")]
    Refused {
        /// The entry, as the archive names it.
        name: String,
        /// The rule that it breaks, as a verb phrase.
        reason: String,
    },
    /// The archive is good, but this volume does not distinguish two of its names.
    #[error(
        "`{name}` cannot be restored here: this volume does not distinguish its name from that of another file"
    )]
    NameClash {
        /// The entry, as the archive names it.
        name: String,
    },
    /// The archive is good, but this system, volume or user cannot have one of its entries.
    #[error("`{name}` cannot be restored here: it {reason}")]
    Unsupported {
        /// The entry, as the archive names it.
        name: String,
        /// What stands against it, as a verb phrase.
        reason: String,
    },
    /// The archive is larger than allowed.
    #[error("the archive is refused: it holds more than {limit} {unit}")]
    Limit {
        /// The largest number allowed.
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// A file, directory or link could not be written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Write {
        /// The verb of what was tried.
        action: &'static str,
        /// The file, directory or link.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A compressor or a worker thread could not be started, or has failed.
    #[error("a worker failed: {0}")]
    Worker(#[source] io::Error),
    /// A release archive that cannot be used, in words that name it.
    #[error(transparent)]
    Release(Fault),
}

impl ArchiveError {
    /// What changed while it was packed: a file, or where only the sums show that something did, a root.
    pub(crate) fn changed(&self) -> Option<&Path> {
        match self {
            ArchiveError::Changed(path) | ArchiveError::TreeChanged(path) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        ArchiveError::Damaged(what.into())
    }

    pub(crate) fn refused(name: &[u8], reason: impl Into<String>) -> Self {
        ArchiveError::Refused { name: name.escape_ascii().to_string(), reason: reason.into() }
    }

    pub(crate) fn unsupported(name: &[u8], reason: impl Into<String>) -> Self {
        ArchiveError::Unsupported { name: name.escape_ascii().to_string(), reason: reason.into() }
    }

    pub(crate) fn write(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| ArchiveError::Write { action, path, source }
    }

    /// Whether the archive itself is bad, so that reading it again cannot help.
    pub fn is_damage(&self) -> bool {
        matches!(self, ArchiveError::Damaged(_) | ArchiveError::Refused { .. } | ArchiveError::Limit { .. })
    }

    /// Whether the reader of the output has closed it.
    pub fn is_broken_output(&self) -> bool {
        matches!(self, ArchiveError::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether a volume is full.
    pub fn is_no_space(&self) -> bool {
        let full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            ArchiveError::Write { source, .. } | ArchiveError::Output(source) => full(source),
            _ => false,
        }
    }
}

impl Hint for ArchiveError {
    fn hint(&self) -> Option<String> {
        match self {
            ArchiveError::Walk(error) => error.hint(),
            ArchiveError::Release(fault) => fault.hint(),
            ArchiveError::ReadFile { path, .. } => {
                Some(format!("make `{}` readable, or exclude it with `!`", path.display()))
            }
            ArchiveError::Changed(_) | ArchiveError::TreeChanged(_) => {
                Some("stop the processes that write to the cache before it is saved".to_owned())
            }
            ArchiveError::NameClash { .. } => Some(
                "rename one of the two files before the cache is saved, or exclude it with `!`".to_owned(),
            ),
            ArchiveError::Unsupported { .. } => Some(
                "exclude the file with `!`, or put `{os}` into the key, so that each system has entries of its own"
                    .to_owned(),
            ),
            ArchiveError::Limit { .. } => {
                Some("split what it holds into several caches or archives".to_owned())
            }
            ArchiveError::Name { .. } => Some("rename the file, or exclude it with `!`".to_owned()),
            ArchiveError::Format(_) => Some("update cachekeep, or save the cache under a new key".to_owned()),
            error if error.is_no_space() => Some("free space on that volume".to_owned()),
            _ => None,
        }
    }
    fn class(&self) -> Class {
        match self {
            ArchiveError::Release(fault) => fault.class(),
            _ => Class::Environment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next save of a key replaces an entry that is damaged.
    #[test]
    fn what_another_system_can_restore_is_not_damaged() {
        let check = |error: ArchiveError, expect: bool| assert_eq!(error.is_damage(), expect, "{error}");
        check(ArchiveError::unsupported(b"a:b", "has a character that Windows forbids"), false);
        check(ArchiveError::NameClash { name: "a".to_owned() }, false);
        check(ArchiveError::Format(99), false);
        check(ArchiveError::refused(b"../x", "has `..` in its name"), true);
        check(ArchiveError::damaged("it ends in the middle"), true);
        check(ArchiveError::Limit { limit: 1, unit: "bytes" }, true);
    }
}
