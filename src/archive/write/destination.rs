//! Where the roots of an archive go.

use std::borrow::Cow;
use std::io;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use crate::archive::format::error::ArchiveError;
use crate::fs::unsupported;

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
            let directory = name_of(&place.directory).escape_ascii().to_string();
            let rest = name.strip_prefix(&directory)?;
            Some(format!("{}{rest}", place.prefix).trim_start_matches('/').to_owned())
        };
        places.iter().find_map(below).unwrap_or(name)
    };
    match error {
        ArchiveError::Refused { name, reason } => ArchiveError::Refused { name: archived(name), reason },
        ArchiveError::NameClash { name } => ArchiveError::NameClash { name: archived(name) },
        ArchiveError::Unsupported { name, reason } => {
            ArchiveError::Unsupported { name: archived(name), reason }
        }
        error => error,
    }
}

/// A path as the name of an entry: with `/` on every system.
pub(super) fn name_of(path: &Path) -> Cow<'_, [u8]> {
    with_slashes(path.as_os_str().as_encoded_bytes(), MAIN_SEPARATOR as u8)
}

fn with_slashes(path: &[u8], separator: u8) -> Cow<'_, [u8]> {
    match separator {
        b'/' => Cow::Borrowed(path),
        separator => path.iter().map(|byte| if *byte == separator { b'/' } else { *byte }).collect(),
    }
}

/// The error of a file or directory that could not be made: that no such name is possible here, or the cause.
pub(super) fn not_created(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    move |error| match unsupported::name(&error) {
        Some(reason) => ArchiveError::unsupported(&name_of(path), reason),
        None => ArchiveError::write("create", path)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_messages_have_the_separators_of_archives() {
        assert_eq!(with_slashes(b"C:\\t\\a b", b'\\').as_ref(), b"C:/t/a b");
        assert_eq!(with_slashes(b"/t/a\\b", b'/').as_ref(), b"/t/a\\b");
    }
}
