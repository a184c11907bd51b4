//! Where the roots of an archive go.

use std::path::PathBuf;

use crate::archive::format::error::ArchiveError;

/// Where a root of an archive goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The root's place in the archive ([`crate::domain::version::portable_roots`]).
    pub prefix: String,
    /// A directory that exists, is empty and is used by no other process.
    pub directory: PathBuf,
}

/// Names a refused entry as the archive does: the directory that it was unpacked to is gone when the error is read.
pub(super) fn name_as_archived(error: ArchiveError, places: &[Destination]) -> ArchiveError {
    let archived = |name: String| {
        let below = |place: &Destination| {
            let directory = place.directory.as_os_str().as_encoded_bytes().escape_ascii().to_string();
            let rest = name.strip_prefix(&directory)?;
            Some(format!("{}{rest}", place.prefix).trim_start_matches('/').to_owned())
        };
        places.iter().find_map(below).unwrap_or(name)
    };
    match error {
        ArchiveError::Refused { name, reason } => ArchiveError::Refused { name: archived(name), reason },
        ArchiveError::NameClash { name } => ArchiveError::NameClash { name: archived(name) },
        error => error,
    }
}
