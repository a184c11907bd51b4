//! How a staged file takes the place of its target.

use std::fs;
use std::io;
use std::path::Path;

use super::change::{Change, TREE};
use super::decision::{Decision, Method, Reason};
use super::error::StagingError;
use super::file_root::lease_beside;
use super::step::Step;
use super::{Staging, copy, join, mount};
use crate::fs::path_error::PathError;

impl Staging {
    /// Says which step publishes a file; the target is only read.
    pub(super) fn plan_file(&mut self) -> Result<(Vec<Step>, u64), StagingError> {
        let target = self.link.clone().unwrap_or_else(|| self.target.clone());
        let reason = self.reason_for_file(&target)?;
        if self.inside || target != self.target {
            self.stage_beside(&target)?;
        }
        self.decision = Decision { method: Method::RenameIn, reason };
        let name = self.target.file_name().expect("what has a parent has a name");
        let mut change = Change::new(self.temp.path(), name)?;
        if reason == Reason::EmptyDirectory {
            change = change.of_empty_directory()?;
        }
        Ok((vec![Step::Change(change)], 0))
    }

    /// Why the file can take this name.
    fn reason_for_file(&self, target: &Path) -> Result<Reason, StagingError> {
        let conflict =
            |present| Err(StagingError::Conflict { path: target.to_owned(), present, staged: "a file" });
        match fs::symlink_metadata(target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Reason::Absent),
            Err(error) => Err(PathError::on("read", target)(error).into()),
            Ok(found) if !found.is_dir() => {
                let ours = fs::symlink_metadata(&self.tree).map_err(PathError::on("read", &self.tree))?;
                if found.is_file() {
                    // Where that cannot be done, it belongs to the user who restores.
                    let _ = join::keep_owner(&self.tree, &found, &ours);
                }
                Ok(Reason::Obstacle)
            }
            Ok(_) if mount::is_volume_root(target) => conflict("a mount point"),
            Ok(_) if self.usage.is_workspace_in(target) => conflict("the workspace"),
            Ok(_) if self.usage.is_working_in(target) => conflict("a working directory"),
            Ok(_) => {
                let own = self.temp.path();
                let mut names = fs::read_dir(target).map_err(PathError::on("read", target))?.flatten();
                if names.any(|entry| entry.path() != own) {
                    return conflict("a directory with content");
                }
                Ok(Reason::EmptyDirectory)
            }
        }
    }

    /// Moves the file beside this target, whose name it will get.
    fn stage_beside(&mut self, target: &Path) -> Result<(), StagingError> {
        let temp = lease_beside(target, self.now)?;
        let tree = temp.payload().join(TREE);
        if fs::rename(&self.tree, &tree).is_err() {
            copy::copy_file(&self.tree, &tree).map_err(PathError::on("copy", &self.tree))?;
        }
        self.tree = tree;
        target.clone_into(&mut self.target);
        self.inside = false;
        // The former one is removed, and leaves an empty directory empty.
        let former = std::mem::replace(&mut self.temp, temp);
        Ok(former.close()?)
    }
}
