//! Trimming a directory: what is in it and when it was used, and the removal of what a plan names.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use chrono::DateTime;
use tokio_util::sync::CancellationToken;

use super::selection::Selection;
use super::walk::{ItemKind, Walk, WalkError};
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::trim::{TrimPlan, TrimUnit};
use crate::domain::unit::ByteSize;
use crate::fs::cancel;
use crate::fs::path_error::PathError;
use crate::fs::time;

/// The files of a directory that may be removed, and the bytes of all of them, shared ones counted once.
///
/// A file was used when it was last read or written, whichever is later: file systems that do not keep the time
/// of reading still keep the other.
pub(crate) fn survey(selection: &Selection) -> Result<(Vec<TrimUnit>, ByteSize), WalkError> {
    let mut units = Vec::new();
    let mut total = 0;
    let mut shared = HashSet::new();
    for item in Walk::new(selection) {
        let item = item?;
        if item.kind != ItemKind::File || item.relative == Path::new(SENTINEL_FILE) {
            continue;
        }
        let path = selection.root.join(&item.relative);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // Another process removed it meanwhile: there is nothing left to trim.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(WalkError::Unreadable { action: "look at", path, source }),
        };
        let bytes = allocated(&metadata);
        let is_shared = item.identity.is_some_and(|identity| identity.names > 1);
        if item.identity.filter(|_| is_shared).is_none_or(|identity| shared.insert(identity)) {
            total += bytes;
        }
        let used_at = [metadata.accessed(), metadata.modified()].into_iter().flatten().max();
        units.push(TrimUnit {
            path: item.relative,
            frees: if is_shared { 0 } else { bytes },
            used_at: used_at.map_or(DateTime::UNIX_EPOCH, time::instant),
        });
    }
    Ok((units, ByteSize(total)))
}

/// What a trim did.
#[derive(Debug, Default)]
pub(crate) struct Trimmed {
    /// Files removed.
    pub files: u64,
    /// Bytes that this freed.
    pub bytes: ByteSize,
    /// What could not be removed; the rest was.
    pub failed: Vec<PathError>,
}

/// Removes what the plan names. A file that is gone already is fine; one that cannot be removed is reported and
/// the rest goes on.
pub(crate) fn apply(root: &Path, plan: TrimPlan, cancel: &CancellationToken) -> Trimmed {
    let mut trimmed = Trimmed::default();
    for (unit, _) in plan.remove {
        if cancel::is_cancelled(cancel) {
            break;
        }
        let path = root.join(&unit.path);
        match fs::remove_file(&path) {
            Ok(()) => {
                trimmed.files += 1;
                trimmed.bytes.0 += unit.frees;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => trimmed.failed.push(PathError::on("remove", &path)(error)),
        }
    }
    trimmed
}

#[cfg(unix)]
fn allocated(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::trim::{TrimPolicy, TrimUnits};
    use filetime::FileTime;

    #[test]
    fn the_oldest_files_go_and_nothing_else_does() {
        let place = tempfile::tempdir().expect("a directory");
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a")).expect("made");
        fs::write(place.path().join("outside"), vec![1; 100_000]).expect("written");
        for (index, name) in ["a/old", "a/middle", "new"].iter().enumerate() {
            let path = root.join(name);
            fs::write(&path, vec![1; 100_000]).expect("written");
            let time = FileTime::from_unix_time(1_700_000_000 + i64::try_from(index).expect("small"), 0);
            filetime::set_file_times(&path, time, time).expect("touched");
        }
        let selection = Selection::everything(&root);
        let (units, total) = survey(&selection).expect("surveyed");
        assert_eq!(units.len(), 3);
        let policy =
            TrimPolicy { units: TrimUnits::Files, max_size: Some(ByteSize(total.0 - 1)), unused_for: None };
        let plan = policy.plan(units, total, DateTime::from_timestamp(1_800_000_000, 0).expect("a time"));
        let trimmed = apply(&root, plan, &CancellationToken::new());
        assert_eq!((trimmed.files, trimmed.failed.len()), (1, 0));
        assert!(!root.join("a/old").exists() && root.join("a/middle").exists() && root.join("new").exists());
        assert!(place.path().join("outside").exists());
    }
}
