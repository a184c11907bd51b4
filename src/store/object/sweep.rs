//! Finding uploads of dead processes below the folder of uploads.

#![expect(clippy::disallowed_methods, reason = "uploads to a directory are files")]

use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::disk::lease::{LeasedDirectory, Takeover, is_temp_name};
use crate::disk::path_error::PathError;
use crate::domain::unit::ByteSize;
use crate::store::contract::Recovered;
use crate::store::error::StoreError;

use super::directory::of_path_error;

/// Removes the uploads whose owner is dead. Goes on after a failure and reports the first.
pub(super) fn sweep(uploads: &Path, now: DateTime<Utc>) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut first_failure = None;
    let found = match fs::read_dir(uploads) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(recovered),
        found => found.map_err(PathError::on("read", uploads)).map_err(of_path_error)?,
    };
    for entry in found {
        let entry = entry.map_err(PathError::on("read", uploads)).map_err(of_path_error)?;
        if !is_temp_name(&entry.file_name()) {
            continue;
        }
        match LeasedDirectory::take_over(&entry.path(), now) {
            Ok(Takeover::Ours(dead)) => {
                let bytes = bytes_in(dead.payload());
                match dead.close() {
                    Ok(()) => {
                        recovered.removed += 1;
                        recovered.removed_bytes = ByteSize(recovered.removed_bytes.0 + bytes);
                    }
                    Err(error) => drop(first_failure.get_or_insert(error)),
                }
            }
            Ok(Takeover::Live) => recovered.spared += 1,
            Ok(Takeover::Gone) => {}
            // It belongs to another user, or the store cannot be written: not ours to judge.
            Err(PathError { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                recovered.spared += 1;
            }
            Err(error) => drop(first_failure.get_or_insert(error)),
        }
    }
    first_failure.map_or(Ok(recovered), |error| Err(of_path_error(error)))
}

/// The bytes of the files in a folder of an upload, which has no folders in it.
fn bytes_in(payload: &Path) -> u64 {
    let Ok(files) = fs::read_dir(payload) else { return 0 };
    files.flatten().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
