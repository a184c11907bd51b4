//! Removal by paths, for systems without directory handles: read-only files are made writable first.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::tally::Tally;
use crate::fs::path_error::PathError;

enum RemoveStep {
    Look(PathBuf),
    Leave(PathBuf),
}

pub(super) fn remove(path: &Path, tally: &mut Tally) {
    let mut steps = vec![RemoveStep::Look(path.to_owned())];
    while let Some(step) = steps.pop() {
        let (path, done) = match &step {
            RemoveStep::Look(path) => (path.clone(), look(path, &mut steps, tally)),
            RemoveStep::Leave(path) => (path.clone(), leave(path, tally)),
        };
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // What holds a directory back has been reported already.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && tally.failures > 0 => {}
            Err(error) => tally.fail(PathError::on("remove", &path)(error)),
            Ok(()) => {}
        }
    }
}

fn look(path: &Path, steps: &mut Vec<RemoveStep>, tally: &mut Tally) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    // Links to directories are links here: their type is not `dir`.
    if metadata.is_dir() {
        steps.push(RemoveStep::Leave(path.to_owned()));
        for entry in fs::read_dir(path)? {
            steps.push(RemoveStep::Look(entry?.path()));
        }
        return Ok(());
    }
    // A link to a directory is removed as a directory on Windows.
    writable_first(path, &metadata, || fs::remove_file(path).or_else(|_| fs::remove_dir(path)))?;
    tally.removed.files += 1;
    tally.removed.bytes += metadata.len();
    Ok(())
}

fn leave(path: &Path, tally: &mut Tally) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    writable_first(path, &metadata, || fs::remove_dir(path))?;
    tally.removed.directories += 1;
    Ok(())
}

#[expect(
    clippy::permissions_set_readonly_false,
    reason = "only built where that is an attribute, not a mode"
)]
fn writable_first(path: &Path, metadata: &Metadata, deed: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match deed() {
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied && metadata.permissions().readonly() =>
        {
            let mut permissions = metadata.permissions();
            permissions.set_readonly(false);
            fs::set_permissions(path, permissions)?;
            deed()
        }
        done => done,
    }
}
