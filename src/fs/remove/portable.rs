//! Removal by paths, for systems without directory handles: read-only files are made writable first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tally::Tally;
use crate::fs::busy;
use crate::fs::link;
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
    writable_first(path, tally, || link::remove(path))?;
    tally.removed.files += 1;
    tally.removed.bytes += metadata.len();
    Ok(())
}

fn leave(path: &Path, tally: &mut Tally) -> io::Result<()> {
    fs::symlink_metadata(path)?;
    writable_first(path, tally, || fs::remove_dir(path))?;
    tally.removed.directories += 1;
    Ok(())
}

/// Waits for what another program holds, once: a tree whose files cannot be removed is given up quickly.
fn writable_first(path: &Path, tally: &Tally, deed: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let deed = || match deed() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && busy::make_writable(path) => deed(),
        done => done,
    };
    if tally.failures == 0 { busy::patiently(deed) } else { deed() }
}
