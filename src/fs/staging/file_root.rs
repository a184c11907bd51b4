//! Files as roots: what is staged for a target is a file, not a tree.
//!
//! It is renamed in, over a file, a link or an empty directory. A directory with content stays, and so does a file with content
//! where a directory was staged: which of the two is wanted, no rule can tell.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::error::StagingError;
use crate::fs::lease::LeasedDirectory;
use crate::fs::link;
use crate::fs::path_error::PathError;

/// Makes a leased directory beside a target.
pub(super) fn lease_beside(target: &Path, now: DateTime<Utc>) -> Result<LeasedDirectory, PathError> {
    let parent = target.parent().unwrap_or(target);
    LeasedDirectory::create_in(parent, &format!("staging `{}`", target.display()), now)
}

/// The same where nothing can be staged for a directory, if a file could take the place of what is there: of a link, or of an
/// empty directory.
pub(super) fn lease_for_file(
    link: Option<&Path>,
    target: &Path,
    now: DateTime<Utc>,
) -> Option<LeasedDirectory> {
    let is_empty = || fs::read_dir(target).is_ok_and(|mut names| names.next().is_none());
    let target = link.or_else(|| is_empty().then_some(target))?;
    lease_beside(target, now).ok()
}

/// Whether a staged thing is a file.
pub(super) fn is_file(staged: &Path) -> Result<bool, PathError> {
    Ok(fs::symlink_metadata(staged).map_err(PathError::on("read", staged))?.is_file())
}

/// Refuses a file with content in the place of a directory.
pub(super) fn refuse_file(target: &Path) -> Result<(), StagingError> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() && found.len() > 0 => Err(StagingError::Conflict {
            path: target.to_owned(),
            present: "a file with content",
            staged: "a directory",
        }),
        _ => Ok(()),
    }
}

/// The path of a target that is a link, without links above it.
pub(super) fn link_at(target: &Path) -> Option<PathBuf> {
    let absolute: PathBuf = std::path::absolute(target).ok()?.components().collect();
    let is_link = fs::symlink_metadata(&absolute).ok()?.is_symlink();
    let (parent, name) = (absolute.parent()?, absolute.file_name()?);
    is_link.then(|| Some(link::resolved(parent)?.join(name))).flatten()
}
