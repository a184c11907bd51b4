//! Bytes that files take on their volume.

use std::fs::{self, Metadata};
use std::path::Path;

/// The bytes allocated to a file, where the system tells; its length elsewhere.
#[cfg(unix)]
pub(crate) fn allocated(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

/// The bytes allocated to a file, where the system tells; its length elsewhere.
#[cfg(not(unix))]
pub(crate) fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}

/// The bytes allocated to all files at and below a path, as far as they can be looked at. Links are not followed.
pub(crate) fn allocated_below(path: &Path) -> u64 {
    let mut sum = 0_u64;
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else {
            sum = sum.saturating_add(allocated(&metadata));
        }
    }
    sum
}
