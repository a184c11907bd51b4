//! Yielding: what the target has already is taken out of the staged tree, so that a publication adds and never
//! replaces.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::error::StagingError;
use super::{Left, Staging, file_root};
use crate::fs::cancel;
use crate::fs::open::{self, Links};
use crate::fs::path_error::PathError;
use crate::fs::remove::remove_tree;

impl Staging {
    /// Removes from the staged tree every file and link whose name the target has; says how many are left.
    ///
    /// Without it, where both have a file, the staged one wins.
    pub(crate) fn yield_to_target(&mut self) -> Result<u64, StagingError> {
        self.yield_where(|_, target| exists(target).map_err(PathError::on("read", target)))
    }

    /// Removes from the staged tree every file of which the target has the same bytes under the same name, so that
    /// what is there already is not replaced by its copy; says how many are left.
    pub(crate) fn yield_equal(&mut self, cancel: &CancellationToken) -> Result<u64, StagingError> {
        self.yield_where(|staged, target| {
            if cancel::is_cancelled(cancel) {
                return Ok(false);
            }
            is_equal(staged, target).map_err(PathError::on("compare", target))
        })
    }

    /// Removes from the staged tree what would replace a file or a link of the target that `is_kept` says is kept, by its path
    /// relative to the target. Returns those of which the target has something else than the staged tree had.
    pub(crate) fn yield_kept(
        &mut self,
        is_kept: impl Fn(&Path) -> bool,
    ) -> Result<Vec<PathBuf>, StagingError> {
        let mut different = Vec::new();
        self.for_staged(|staged| match fs::symlink_metadata(&staged.target) {
            Ok(found) if found.is_dir() => Ok(staged.is_dir),
            Ok(_) if is_kept(&staged.relative) => {
                let equal = !staged.is_dir && is_same_content(&staged.path, &staged.target);
                remove_tree(&staged.path).map_err(|error| error.first)?;
                if !equal {
                    different.push(staged.relative.clone());
                }
                Ok(false)
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(PathError::on("read", &staged.target)(error).into()),
        })?;
        self.note_yielded()?;
        different.sort();
        Ok(different)
    }

    /// Notes whether nothing is left to publish: a file that yielded as a whole.
    fn note_yielded(&mut self) -> Result<(), StagingError> {
        if !exists(self.tree()).map_err(PathError::on("read", self.tree()))? {
            self.left = Some(Left::Yielded);
        }
        Ok(())
    }

    fn yield_where(
        &mut self,
        gives_way: impl Fn(&Path, &Path) -> Result<bool, PathError>,
    ) -> Result<u64, StagingError> {
        let mut left = 0;
        self.for_staged(|staged| {
            if staged.is_dir {
                return Ok(true);
            }
            if gives_way(&staged.path, &staged.target)? {
                fs::remove_file(&staged.path).map_err(PathError::on("remove", &staged.path))?;
            } else {
                left += 1;
            }
            Ok(false)
        })?;
        self.note_yielded()?;
        Ok(left)
    }

    /// Visits the staged tree, parents first; `visit` says whether a directory is entered.
    fn for_staged(
        &self,
        mut visit: impl FnMut(&StagedEntry) -> Result<bool, StagingError>,
    ) -> Result<(), StagingError> {
        let mut directories = vec![PathBuf::new()];
        if file_root::is_file(self.tree())? {
            let (path, target) = (self.tree().to_owned(), self.target().to_owned());
            visit(&StagedEntry { path, target, relative: PathBuf::new(), is_dir: false })?;
            directories.clear();
        }
        while let Some(relative) = directories.pop() {
            let directory = self.tree().join(&relative);
            for entry in fs::read_dir(&directory).map_err(PathError::on("read", &directory))? {
                let entry = entry.map_err(PathError::on("read", &directory))?;
                let relative = relative.join(entry.file_name());
                let kind = entry.file_type().map_err(PathError::on("read", &entry.path()))?;
                let target = self.target().join(&relative);
                let staged = StagedEntry { path: entry.path(), target, relative, is_dir: kind.is_dir() };
                if visit(&staged)? {
                    directories.push(staged.relative);
                }
            }
        }
        Ok(())
    }
}

/// Something in the staged tree.
struct StagedEntry {
    path: PathBuf,
    /// Where it will be published.
    target: PathBuf,
    /// Its path below the root.
    relative: PathBuf,
    is_dir: bool,
}

/// Whether both are files with the same bytes, or links to the same place. What cannot be read is different.
fn is_same_content(staged: &Path, target: &Path) -> bool {
    match (fs::read_link(staged), fs::read_link(target)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => is_equal(staged, target).unwrap_or(false),
        _ => false,
    }
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether both are regular files with the same bytes. `false` for a file that only the staged tree has.
fn is_equal(staged: &Path, target: &Path) -> io::Result<bool> {
    let size = |path: &Path| match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata).filter(fs::Metadata::is_file).map(|metadata| metadata.len())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    };
    if size(target)?.is_none() || size(staged)? != size(target)? {
        return Ok(false);
    }
    let read = |path: &Path| open::file(path, Links::Refused).map(BufReader::new);
    let (mut one, mut other) = (read(staged)?, read(target)?);
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let count = a.len().min(b.len());
        if count == 0 {
            return Ok(a.len() == b.len());
        }
        if a[..count] != b[..count] {
            return Ok(false);
        }
        one.consume(count);
        other.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::testing::records;
    use chrono::DateTime;

    #[test]
    fn only_what_is_equal_to_the_byte_gives_way() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("target");
        fs::create_dir_all(&target).expect("made");
        let mut staging = Staging::beside(&target, &records(), DateTime::UNIX_EPOCH).expect("staged");
        let long = vec![7; 100_000];
        let mut flipped = long.clone();
        flipped[99_999] ^= 1;
        for (name, here, there) in [
            ("same", &long[..], Some(&long[..])),
            ("flipped", &long, Some(&flipped)),
            ("shorter", &long, Some(&long[1..])),
            ("empty", b"", Some(b"")),
            ("new", &long, None),
        ] {
            fs::write(staging.tree().join(name), here).expect("written");
            if let Some(there) = there {
                fs::write(target.join(name), there).expect("written");
            }
        }
        assert_eq!(staging.yield_equal(&CancellationToken::new()).expect("yielded"), 3);
        let mut left: Vec<_> =
            fs::read_dir(staging.tree()).expect("listed").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["flipped", "new", "shorter"]);
    }

    #[test]
    fn what_the_target_has_stays_and_what_it_lacks_is_added() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("target");
        fs::create_dir_all(target.join("a")).expect("made");
        fs::write(target.join("a/mine"), "mine").expect("written");
        let mut staging = Staging::beside(&target, &records(), DateTime::UNIX_EPOCH).expect("staged");
        fs::create_dir_all(staging.tree().join("a")).expect("made");
        fs::write(staging.tree().join("a/mine"), "theirs").expect("written");
        fs::write(staging.tree().join("a/new"), "new").expect("written");
        assert_eq!(staging.yield_to_target().expect("yielded"), 1);
        staging.publish(&CancellationToken::new()).expect("published");
        assert_eq!(fs::read_to_string(target.join("a/mine")).expect("there"), "mine");
        assert_eq!(fs::read_to_string(target.join("a/new")).expect("there"), "new");
    }
}
