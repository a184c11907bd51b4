//! Explains why the place of an entry is taken below a directory that started empty: another entry is there.
//!
//! An archive that holds a name twice is refused. An archive that holds two names which this volume takes for one (they
//! differ in case, or in their Unicode form) is good, and can be restored where the names are told apart.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind::{AlreadyExists, NotADirectory};
use std::path::Path;

use super::destination::{Destination, name_as_archived, name_of};
use crate::archive::format::error::ArchiveError;

/// The error with the entry that is in the way, and with names as the archive has them.
pub(crate) fn explain(error: ArchiveError, destinations: &[Destination]) -> ArchiveError {
    name_as_archived(with_clash(error, destinations), destinations)
}

fn with_clash(error: ArchiveError, destinations: &[Destination]) -> ArchiveError {
    let ArchiveError::Write { source, path, .. } = &error else { return error };
    if !matches!(source.kind(), AlreadyExists | NotADirectory) {
        return error;
    }
    let Some(place) = destinations.iter().find(|place| path.starts_with(&place.directory)) else {
        return error;
    };
    let lists_as_created = lists_names_as_created(&place.directory);
    let mut below = path.ancestors().take_while(|above| *above != place.directory);
    if below.any(|path| is_another_name(path, lists_as_created)) {
        let name = name_of(path).escape_ascii().to_string();
        return ArchiveError::NameClash { name };
    }
    ArchiveError::refused(&name_of(path), "is in the archive twice")
}

/// Whether the volume of a directory of ours lists names as they were created; others list them in one case.
fn lists_names_as_created(directory: &Path) -> bool {
    let name = format!("Case-{:016x}", rand::random::<u64>());
    let probe = directory.join(&name);
    if fs::create_dir(&probe).is_err() {
        return false;
    }
    let is_listed = fs::read_dir(directory)
        .is_ok_and(|mut all| all.any(|it| it.is_ok_and(|it| it.file_name() == OsStr::new(&name))));
    let _ = fs::remove_dir(&probe);
    is_listed
}

/// Whether the file at this path has another name in the listing of its directory.
fn is_another_name(path: &Path, lists_as_created: bool) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    let is_taken_for = |name: &OsStr| {
        fs::symlink_metadata(parent.join(name)).is_ok()
            && fs::read_dir(parent)
                .is_ok_and(|mut all| all.all(|it| it.is_ok_and(|it| it.file_name() != name)))
    };
    // Where names are listed in one case, the other case is tried as well.
    is_taken_for(name)
        || (!lists_as_created
            && name.to_str().is_some_and(|name| is_taken_for(OsStr::new(&other_case(name)))))
}

fn other_case(name: &str) -> String {
    let turn = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    name.chars().map(turn).collect()
}
