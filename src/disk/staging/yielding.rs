//! Yielding: what the target has already is taken out of the staged tree, so that a publication adds and never
//! replaces.

#![expect(clippy::disallowed_methods, reason = "this room touches files")]

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Staging, StagingError};
use crate::disk::path_error::PathError;

impl Staging {
    /// Removes from the staged tree every file and link whose name the target has; says how many are left.
    ///
    /// Without it, where both have a file, the staged one wins.
    pub fn yield_to_target(&self) -> Result<u64, StagingError> {
        let mut left = 0;
        let mut directories = vec![PathBuf::new()];
        while let Some(relative) = directories.pop() {
            let staged = self.tree().join(&relative);
            for entry in fs::read_dir(&staged).map_err(PathError::on("read", &staged))? {
                let entry = entry.map_err(PathError::on("read", &staged))?;
                let relative = relative.join(entry.file_name());
                let kind = entry.file_type().map_err(PathError::on("read", &entry.path()))?;
                let target = self.target().join(&relative);
                if kind.is_dir() {
                    directories.push(relative);
                } else if exists(&target).map_err(PathError::on("read", &target))? {
                    fs::remove_file(entry.path()).map_err(PathError::on("remove", &entry.path()))?;
                } else {
                    left += 1;
                }
            }
        }
        Ok(left)
    }
}

fn exists(path: &std::path::Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn what_the_target_has_stays_and_what_it_lacks_is_added() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("target");
        fs::create_dir_all(target.join("a")).expect("made");
        fs::write(target.join("a/mine"), "mine").expect("written");
        let staging = Staging::beside(&target, DateTime::UNIX_EPOCH).expect("staged");
        fs::create_dir_all(staging.tree().join("a")).expect("made");
        fs::write(staging.tree().join("a/mine"), "theirs").expect("written");
        fs::write(staging.tree().join("a/new"), "new").expect("written");
        assert_eq!(staging.yield_to_target().expect("yielded"), 1);
        staging.publish(&CancellationToken::new()).expect("published");
        assert_eq!(fs::read_to_string(target.join("a/mine")).expect("there"), "mine");
        assert_eq!(fs::read_to_string(target.join("a/new")).expect("there"), "new");
    }
}
