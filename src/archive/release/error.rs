//! Errors of release archives, with the name of the archive in front.

use crate::archive::format::error::ArchiveError;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint as _;

/// A fault that begins with the archive: a path, or a URL without its secrets.
pub(super) fn fault(archive: &str, message: impl std::fmt::Display) -> Fault {
    Fault::environment(format!("{archive}: {message}"))
}

/// The error as it is reported. One that names the archive or its address already stays as it is.
pub(super) fn named(archive: &str, error: ArchiveError) -> Fault {
    match error {
        ArchiveError::Release(fault) => fault,
        ArchiveError::Damaged(_) => fault(archive, error)
            .with_hint("fetch it again; if it stays damaged, the release itself is".to_owned()),
        // The hint is one for caches.
        ArchiveError::Unsupported { .. } => fault(archive, error)
            .with_hint("name a release for this system, or a `subdir` without that file".to_owned()),
        error => fault(archive, &error).with_hint(error.hint()),
    }
}
