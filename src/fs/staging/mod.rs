//! Staging: a tree is made beside its target, on the same volume, and takes its place in one step.
//!
//! What the target holds and the staged tree does not is linked into the staged tree first (`join`), so
//! publishing merges and never deletes; then the two change places in one system call, and the old tree
//! is removed. A kill at any instruction leaves the target as it was or complete; what lies around is in
//! leased directories that `recover` removes.
//!
//! - Several targets publish together, and a target that is a volume of its own (it cannot be renamed)
//!   publishes its top-level entries one by one. A journal in the first leased directory then lets
//!   `recover` complete what a kill cut short; an error while we live takes back what was published.
//! - Where the system cannot exchange two directories (Windows; some network file systems), the target is
//!   renamed away and the staged tree renamed in. Between the two calls there is no target: a kill in that
//!   window is mended by `recover`, from the same journal.
//! - What others add to the target while it is published is found in the old tree and moved over before
//!   that is removed. Processes that keep the old tree as their working directory, or handles of its
//!   directories, go on seeing it, and lose what they make there afterwards.
//! - Directories keep mode, owner and times, but not extended attributes; access lists come from the parent.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::lease::LeasedDirectory;
use super::path_error::PathError;
use super::records::Records;

mod change;
mod error;
mod join;
mod journal;
mod mount;
mod sweep;
mod yielding;

pub(super) use journal::{Scope, Settled, settle};

use change::{Change, TREE, Way};

pub(crate) use error::StagingError;

#[cfg(all(test, unix))]
mod case_tests;
#[cfg(all(test, unix))]
mod kill_tests;
#[cfg(all(test, unix))]
mod tests;
#[cfg(all(test, unix))]
mod together_tests;
#[cfg(all(test, unix))]
mod volume_tests;

/// A tree that is being made and may become its target. Dropping it discards it.
#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    /// The target is a volume of its own: we are inside of it, and it cannot be renamed.
    inside: bool,
    tree: PathBuf,
    /// Where the journal has its counterpart.
    records: Records,
    /// When it began: recorded for people who find its leftovers.
    now: DateTime<Utc>,
    temp: LeasedDirectory,
    /// Dropped last: these are empty again only without the leased directory.
    _parents: MadeParents,
}

/// A tree became its target.
#[derive(Debug)]
pub(crate) struct Published {
    /// Entries that the target had and the staged tree had not; directories count as one each.
    pub kept: u64,
    /// Something of the old tree could not be moved over or removed; the target is complete all the same.
    pub leftover: Option<StagingError>,
}

impl Staging {
    /// Makes an empty tree for a target: beside it, or inside where it is a volume of its own.
    ///
    /// A link to a directory is resolved. Missing parents are made, and removed again by a discard.
    pub(crate) fn beside(target: &Path, records: &Records, now: DateTime<Utc>) -> Result<Self, StagingError> {
        let target = resolve(target)?;
        let place = place_of_resolved(&target);
        let parents = MadeParents::make(&place).map_err(PathError::on("make", &place))?;
        // Parents with `..` in them can be resolved only now that they exist.
        let target = if parents.0.is_empty() { target } else { resolve(&target)? };
        let place = place_of_resolved(&target);
        let temp = LeasedDirectory::create_in(&place, &format!("staging `{}`", target.display()), now)?;
        let tree = temp.payload().join(TREE);
        fs::create_dir(&tree).map_err(PathError::on("make", &tree))?;
        Ok(Staging {
            inside: place == target,
            target,
            tree,
            records: records.clone(),
            now,
            temp,
            _parents: parents,
        })
    }

    /// The directory to fill, empty at first. Its own mode and times count only where there is no target yet.
    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    /// The target, links resolved.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A directory for other files on the same volume, removed with the staging. Do not use the name `tree` or `old`.
    pub(crate) fn payload(&self) -> &Path {
        self.temp.payload()
    }

    /// As [`publish_all`], of this tree alone.
    #[cfg(test)]
    pub(crate) fn publish(self, cancel: &CancellationToken) -> Result<Published, StagingError> {
        let mut published = publish_all(vec![self], cancel)?;
        Ok(published.remove(0))
    }

    /// Removes the tree and leaves the target as it is, as dropping it does, and reports.
    #[cfg(all(test, unix))]
    pub(crate) fn discard(self) -> Result<(), PathError> {
        self.temp.close()
    }

    /// Prepares the tree and says which renames publish it; the target is only read.
    fn plan(&self, cancel: &CancellationToken) -> Result<(Vec<Change>, u64), StagingError> {
        if self.inside { self.plan_entries(cancel) } else { self.plan_whole(cancel) }
    }

    fn plan_whole(&self, cancel: &CancellationToken) -> Result<(Vec<Change>, u64), StagingError> {
        let kept = match fs::symlink_metadata(&self.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(PathError::on("read", &self.target)(error).into()),
            Ok(present) if !present.is_dir() => return Err(StagingError::NotADirectory(self.target.clone())),
            Ok(present) => {
                let kept = join::join(&self.target, &self.tree, cancel)?;
                join::apply_owner_and_mode(&self.tree, &present)?;
                kept
            }
        };
        let name = self.target.file_name().expect("what has a parent has a name");
        Ok((vec![Change::whole(self.temp.path(), name)?], kept))
    }

    fn plan_entries(&self, cancel: &CancellationToken) -> Result<(Vec<Change>, u64), StagingError> {
        let (mut changes, mut kept) = (Vec::new(), 0);
        for entry in fs::read_dir(&self.tree).map_err(PathError::on("read", &self.tree))? {
            let entry = entry.map_err(PathError::on("read", &self.tree))?;
            let staged = entry.metadata().map_err(PathError::on("read", &entry.path()))?;
            let target = self.target.join(entry.file_name());
            match fs::symlink_metadata(&target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(PathError::on("read", &target)(error).into()),
                Ok(present) if present.is_dir() && staged.is_dir() => {
                    if mount::is_volume_root(&target) {
                        return Err(StagingError::NestedVolume(target));
                    }
                    kept += join::join(&target, &entry.path(), cancel)?;
                }
                Ok(present) => join::refuse_conflict(&target, &present, &staged)?,
            }
            changes.push(Change::entry(self.temp.path(), &entry.file_name())?);
        }
        Ok((changes, kept))
    }
}

/// A target as its publications name it, links resolved: what `recover` is called for.
pub(crate) fn target_of(target: &Path) -> Result<PathBuf, StagingError> {
    resolve(target)
}

/// The directory in which a target's temporary things lie: where `recover` looks for them.
pub(crate) fn place_of(target: &Path) -> Result<PathBuf, StagingError> {
    Ok(place_of_resolved(&resolve(target)?))
}

/// Publishes several trees: all of them, or none.
///
/// On an error those that were published already are taken back. A kill in between is completed by
/// `recover`, whichever of the targets it looks at.
pub(crate) fn publish_all(
    stagings: Vec<Staging>,
    cancel: &CancellationToken,
) -> Result<Vec<Published>, StagingError> {
    publish_by(stagings, cancel, Way::Exchange)
}

fn publish_by(
    stagings: Vec<Staging>,
    cancel: &CancellationToken,
    way: Way,
) -> Result<Vec<Published>, StagingError> {
    refuse_overlap(&stagings)?;
    let mut changes = Vec::new();
    let mut kept = Vec::new();
    for staging in &stagings {
        let (of_this, kept_of_this) = staging.plan(cancel)?;
        changes.extend(of_this);
        kept.push(kept_of_this);
    }
    if let (true, Some(first)) = (cancel.is_cancelled(), stagings.first()) {
        return Err(StagingError::Cancelled(first.target.clone()));
    }
    let temps: Vec<&Path> = stagings.iter().map(|staging| staging.temp.path()).collect();
    let Some((records, now)) = stagings.first().map(|staging| (staging.records.clone(), staging.now)) else {
        return Ok(Vec::new());
    };
    let way = begin(&records, &temps, &changes, way, now)?;
    if let Err(publishing) = changes.iter().try_for_each(|change| change.make(way)) {
        if let Err(undoing) = changes.iter().rev().try_for_each(Change::undo) {
            let kept = stagings[0].temp.path().to_owned();
            for staging in stagings {
                staging.temp.leave();
            }
            let (publishing, undoing) = (Box::new(publishing), Box::new(undoing));
            return Err(StagingError::Stuck { publishing, undoing, kept });
        }
        journal::erase(&records, &temps)?;
        return Err(publishing);
    }
    let mut leftover = changes.iter().try_for_each(Change::finish).err();
    if leftover.is_none() {
        leftover = journal::erase(&records, &temps).err();
    }
    let is_settled = leftover.is_none();
    let close = |(staging, kept): (Staging, u64)| {
        let Staging { temp, .. } = staging;
        let leftover = if is_settled {
            temp.close().err().map(StagingError::from)
        } else {
            temp.leave();
            leftover.take()
        };
        Published { kept, leftover }
    };
    Ok(stagings.into_iter().zip(kept).map(close).collect())
}

/// Writes the journal. Returns how to make the changes: by a single rename where its record cannot be written.
fn begin(
    records: &Records,
    temps: &[&Path],
    changes: &[Change],
    way: Way,
    now: DateTime<Utc>,
) -> Result<Way, StagingError> {
    let Err(error) = journal::write(records, temps, changes, now) else { return Ok(way) };
    // Nothing has been changed yet; recovery removes directories without a journal.
    journal::erase(records, temps)?;
    // One rename needs no journal: a kill leaves the old target or the new one.
    let is_one_step = matches!(error, StagingError::Record(_)) && changes.len() == 1;
    if is_one_step { Ok(Way::ExchangeOnly) } else { Err(error) }
}

fn refuse_overlap(stagings: &[Staging]) -> Result<(), StagingError> {
    for (index, one) in stagings.iter().enumerate() {
        for other in &stagings[index + 1..] {
            if one.target.starts_with(&other.target) || other.target.starts_with(&one.target) {
                return Err(StagingError::Overlap(one.target.clone(), other.target.clone()));
            }
        }
    }
    Ok(())
}

/// The absolute path of a target, with its last part no link and no `..` anywhere that exists.
fn resolve(target: &Path) -> Result<PathBuf, StagingError> {
    let absolute: PathBuf =
        std::path::absolute(target).map_err(PathError::on("find", target))?.components().collect();
    let is_roundabout = absolute.components().any(|part| part == Component::ParentDir);
    match fs::symlink_metadata(&absolute) {
        Ok(found) if found.is_symlink() || is_roundabout => match fs::canonicalize(&absolute) {
            Ok(real) if real.is_dir() => Ok(real),
            Ok(real) => Err(StagingError::NotADirectory(real)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StagingError::DanglingLink(absolute))
            }
            Err(error) => Err(PathError::on("resolve", &absolute)(error).into()),
        },
        Ok(found) if !found.is_dir() => Err(StagingError::NotADirectory(absolute)),
        Ok(_) => Ok(absolute),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match (absolute.parent(), absolute.file_name()) {
                (Some(parent), Some(name)) if is_roundabout && parent.is_dir() => {
                    let real = fs::canonicalize(parent).map_err(PathError::on("resolve", parent))?;
                    Ok(real.join(name))
                }
                (Some(_), Some(_)) => Ok(absolute),
                _ => Err(PathError::on("find", &absolute)(error).into()),
            }
        }
        Err(error) => Err(PathError::on("read", &absolute)(error).into()),
    }
}

fn place_of_resolved(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !mount::is_volume_root(target) => parent.to_owned(),
        _ => target.to_owned(),
    }
}

/// Directories that were made for a target; dropping removes those that stayed empty.
#[derive(Debug, Default)]
struct MadeParents(Vec<PathBuf>);

impl MadeParents {
    fn make(place: &Path) -> io::Result<Self> {
        let mut made = MadeParents::default();
        made.0.extend(place.ancestors().take_while(|ancestor| !ancestor.exists()).map(Path::to_owned));
        fs::create_dir_all(place)?;
        Ok(made)
    }
}

impl Drop for MadeParents {
    fn drop(&mut self) {
        for path in &self.0 {
            // Fails for a directory that is not empty, which has to stay.
            let _ = fs::remove_dir(path);
        }
    }
}
