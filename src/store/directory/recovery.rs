//! Removing uploads of dead processes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::domain::unit::ByteSize;
use crate::fs::lease::is_temp_name;
use crate::fs::records::Records;
use crate::fs::recover::recover;
use crate::store::catalog::Recovered;
use crate::store::error::{Access, StoreError, StoreErrorKind, causes, kind_of_io};

use crate::store::backend::layout;

/// Removes the uploads whose process is dead. Goes on after a failure and reports the first.
pub(super) fn recover_uploads(root: &Path, now: DateTime<Utc>) -> Result<Recovered, StoreError> {
    let uploads = root.join(layout::UPLOADS);
    // Measured first: afterwards the files are gone.
    let sizes = sizes_of_uploads(&uploads);
    let report = recover(&[uploads], &[], &Records::none(), now);
    let removed_bytes = report.removed.iter().filter_map(|path| sizes.get(path)).sum();
    let mut recovered = Recovered {
        removed: report.removed.len() as u64,
        removed_bytes: ByteSize(removed_bytes),
        kept: report.spared.len() as u64,
        refused: Vec::new(),
    };
    for (path, error) in report.failed {
        let kind = causes(&error)
            .find_map(|cause| cause.downcast_ref::<io::Error>())
            .map_or(StoreErrorKind::Other, |cause| kind_of_io(cause.kind(), Access::Write));
        match kind {
            // The upload belongs to another user, or the store is read-only.
            StoreErrorKind::Denied(Access::Write) => recovered.kept += 1,
            // No upload has a journal, or a lease that is not a file: a user who can write the store has put it there.
            StoreErrorKind::Other => {
                recovered.refused.push(format!("`{}` is left as it is: {error}", path.display()));
                recovered.kept += 1;
            }
            _ => {
                let message = format!("cannot recover {}", path.display());
                return Err(StoreError::new(kind, message).caused_by(error));
            }
        }
    }
    Ok(recovered)
}

/// The bytes of each upload, as far as this user can read them.
fn sizes_of_uploads(uploads: &Path) -> BTreeMap<PathBuf, u64> {
    let Ok(found) = fs::read_dir(uploads) else { return BTreeMap::new() };
    let leased = found.flatten().filter(|entry| is_temp_name(&entry.file_name()));
    leased.map(|entry| (entry.path(), bytes_below(&entry.path()))).collect()
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(directory).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
