//! Staging: a tree is made beside its target, on the same volume, and takes its place in one step.
//!
//! What the target holds and the staged tree does not is linked into the staged tree first (`join`), so
//! publishing merges and never deletes; then the two change places in one system call, and the old tree
//! is removed. A kill at any instruction leaves the target as it was or complete; what lies around is in
//! leased directories that `recover` removes.
//!
//! - A directory that is in use, or that cannot be exchanged, is merged into, file by file (`merge`); `decision` says which way is
//!   taken, and why.
//! - Several targets publish together. A journal in the first leased directory then lets
//!   `recover` complete what a kill cut short; an error while we live takes back what was published.
//! - Where the system cannot exchange two directories (Windows; some network file systems), the target is
//!   renamed away and the staged tree renamed in. Between the two calls there is no target: a kill in that
//!   window is mended by `recover`, from the same journal.
//! - What others add to the target while it is published is found in the old tree and moved over before
//!   that is removed. Processes that keep the old tree as their working directory, or handles of its
//!   directories, go on seeing it, and lose what they make there afterwards.
//! - What is staged may be a file (`file_root`): it is renamed in, over a file, a link or an empty directory, and over nothing else.
//! - Directories keep mode, owner and times, but not extended attributes; access lists come from the parent.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::lease::LeasedDirectory;
use super::path_error::PathError;
use super::records::Records;

mod change;
mod copy;
mod decision;
mod error;
mod file_plan;
mod file_root;
mod join;
mod journal;
mod merge;
mod mount;
mod step;
mod undo;
mod usage;
mod yielding;

pub(crate) use change::exchange;
pub(super) use journal::{Scope, Settled, foresee, settle};

use change::{Change, TREE, Way};
use decision::{Method, Reason, TargetFacts, TargetKind, decide};
use join::Joined;
use merge::{Merge, Planned};
use step::Step;

pub(crate) use decision::Decision;
pub(crate) use error::StagingError;
pub(crate) use usage::Usage;

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
    /// The target as it was named, where that is a link to the target.
    link: Option<PathBuf>,
    /// Why no directory can be staged, though a file can.
    refused: Option<StagingError>,
    /// How it would be published as things were when it began.
    decision: Decision,
    /// The leased directory lies in the target, which therefore is merged into.
    inside: bool,
    /// An exchange did not work: it is merged in place.
    instead: Option<Reason>,
    usage: Usage,
    in_parts: bool,
    /// Directories, relative to the target, that keep mode and time.
    unchanged: BTreeSet<PathBuf>,
    /// Why it is not published, if it is not.
    left: Option<Left>,
    tree: PathBuf,
    /// What of the target was joined into the tree.
    joined: Joined,
    /// Where the journal has its counterpart.
    records: Records,
    /// When it began: recorded for people who find its leftovers.
    now: DateTime<Utc>,
    temp: LeasedDirectory,
    /// Parts of the tree that go to volumes mounted in the target.
    parts: Vec<LeasedDirectory>,
    /// Dropped last: these are empty again only without the leased directory.
    _parents: MadeParents,
}

/// A tree became its target.
#[derive(Debug)]
pub(crate) struct Published {
    /// The target, links resolved.
    pub target: PathBuf,
    /// How it was published, and why so; or why the target was left as it is.
    pub decision: Result<Decision, Left>,
    /// Entries that the target had and the staged tree had not; directories count as one each.
    pub kept: u64,
    /// Something of the old tree could not be moved over or removed; the target is complete all the same.
    pub leftover: Option<StagingError>,
}

impl Published {
    /// Whether the tree was renamed to a name that no directory had: it is as it was staged.
    pub(crate) fn is_renamed(&self) -> bool {
        self.decision.is_ok_and(|decision| decision.method == Method::RenameIn)
    }
}

/// Why a target is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// There was no such tree when the entry was saved.
    Absent,
    /// It is a file, and yields to the one that the target has.
    Yielded,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Left::Absent => "it did not exist when the entry was saved",
            Left::Yielded => "it is kept",
        })
    }
}

impl Staging {
    /// Makes an empty tree for a target that no process uses and that is wholly the caller's.
    #[cfg(test)]
    pub(crate) fn beside(target: &Path, records: &Records, now: DateTime<Utc>) -> Result<Self, StagingError> {
        Self::prepare(target, false, &Usage::default(), records, now)
    }

    /// Makes an empty tree for a target: beside it, or inside where the target will be merged into. `in_parts` says that only
    /// parts of the target belong to the cache.
    ///
    /// [`decide`] says which of the two. A link to a directory is resolved. Missing parents are made, and removed again by a discard.
    pub(crate) fn prepare(
        target: &Path,
        in_parts: bool,
        usage: &Usage,
        records: &Records,
        now: DateTime<Utc>,
    ) -> Result<Self, StagingError> {
        let link = file_root::link_at(target);
        let target = resolve(target)?;
        let parent = target.parent().unwrap_or(&target).to_owned();
        let parents = MadeParents::make(&parent).map_err(PathError::on("make", &parent))?;
        // Parents with `..` in them can be resolved only now that they exist.
        let target = if parents.0.is_empty() { target } else { resolve(&target)? };
        let decision = decide(&TargetFacts::of(&target, in_parts, usage)?);
        let (temp, inside, decision, refused) = match lease(&target, decision, now) {
            Ok((temp, inside, decision)) => (temp, inside, decision, None),
            Err(error) => match file_root::lease_for_file(link.as_deref(), &target, now) {
                Some(temp) => (temp, false, decision, Some(error)),
                None => return Err(error),
            },
        };
        let tree = temp.payload().join(TREE);
        fs::create_dir(&tree).map_err(PathError::on("make", &tree))?;
        Ok(Staging {
            target,
            link,
            refused,
            decision,
            inside,
            instead: None,
            usage: usage.clone(),
            in_parts,
            unchanged: BTreeSet::new(),
            left: None,
            tree,
            joined: Joined::default(),
            records: records.clone(),
            now,
            temp,
            parts: Vec::new(),
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

    /// Whether nothing was put into the tree.
    pub(crate) fn is_empty(&self) -> Result<bool, PathError> {
        if file_root::is_file(&self.tree)? {
            return Ok(false);
        }
        let mut entries = fs::read_dir(&self.tree).map_err(PathError::on("read", &self.tree))?;
        Ok(entries.next().is_none())
    }

    /// Says that what was saved had no such tree: the target is left as it is, whether it exists or not.
    pub(crate) fn leave_absent(&mut self) {
        self.left = Some(Left::Absent);
    }

    /// Names directories, relative to the target, that are only above what is published: they keep mode and time.
    pub(crate) fn keep_directories(&mut self, relative: impl IntoIterator<Item = PathBuf>) {
        self.unchanged.extend(relative);
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

    /// The way to the target as it is now.
    fn decide(&self) -> Result<Decision, StagingError> {
        if self.inside {
            return Ok(self.decision);
        }
        let facts = TargetFacts::of(&self.target, self.in_parts, &self.usage)?;
        Ok(match self.instead {
            Some(reason) if facts.kind == TargetKind::Directory => Decision { method: Method::Merge, reason },
            _ => decide(&facts),
        })
    }

    /// Prepares the tree and says which steps publish it; the target is only read.
    fn plan(&mut self, cancel: &CancellationToken) -> Result<(Vec<Step>, u64), StagingError> {
        if self.left.is_some() {
            return Ok((Vec::new(), 0));
        }
        if file_root::is_file(&self.tree)? {
            return self.plan_file();
        }
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        file_root::refuse_file(&self.target)?;
        self.decision = self.decide()?;
        match self.decision.method {
            Method::Merge => self.plan_merge(cancel),
            Method::RenameIn | Method::Exchange => self.plan_whole(cancel),
        }
    }

    fn plan_whole(&mut self, cancel: &CancellationToken) -> Result<(Vec<Step>, u64), StagingError> {
        let kept = match fs::symlink_metadata(&self.target) {
            Ok(present) if present.is_dir() => {
                let kept = join::join(&self.target, &self.tree, &mut self.joined, cancel)?;
                join::apply_owner_and_mode(&self.tree, &present)?;
                kept
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PathError::on("read", &self.target)(error).into());
            }
            _ => 0,
        };
        let name = self.target.file_name().expect("what has a parent has a name");
        Ok((vec![Step::Change(Change::new(self.temp.path(), name)?)], kept))
    }

    fn plan_merge(&mut self, cancel: &CancellationToken) -> Result<(Vec<Step>, u64), StagingError> {
        self.split_by_volume()?;
        let name = self.target.file_name().filter(|_| !self.inside);
        let Planned { merge, kept } = Merge::plan(self.temp.path(), name, &self.unchanged, cancel)?;
        let (mut steps, mut all_kept) = (vec![Step::Merge(merge)], kept);
        for part in &self.parts {
            let Planned { merge, kept } = Merge::plan(part.path(), None, &BTreeSet::new(), cancel)?;
            steps.push(Step::Merge(merge));
            all_kept += kept;
        }
        Ok((steps, all_kept))
    }

    /// Copies what of the tree goes to volumes that are mounted in the target: no rename reaches there.
    fn split_by_volume(&mut self) -> Result<(), StagingError> {
        // Innermost first: what goes to a volume in a volume is gone when the outer one is looked at.
        for mount in mount::mounts_below(&self.target).into_iter().rev() {
            let Ok(relative) = mount.strip_prefix(&self.target) else { continue };
            let Some(source) = copy::staged_directory(&self.tree, relative, &mount)? else { continue };
            let purpose = format!("staging `{}`", mount.display());
            let part = LeasedDirectory::create_in(&mount, &purpose, self.now)?;
            let tree = part.payload().join(TREE);
            self.parts.push(part);
            copy::tree(&source, &tree)?;
            super::remove::remove_tree(&source).map_err(|error| error.first)?;
        }
        Ok(())
    }

    /// Prepares for a merge in place, after an exchange did not work: takes out what was joined, and moves the tree into the
    /// target, from where every name in it can be reached by a rename.
    fn merge_instead(&mut self, reason: Reason) -> Result<(), StagingError> {
        join::unjoin(&self.target, &self.tree, &mut self.joined)?;
        self.instead = Some(reason);
        if reason != Reason::Refused {
            return Ok(());
        }
        let purpose = format!("staging `{}`", self.target.display());
        let temp = LeasedDirectory::create_in(&self.target, &purpose, self.now)?;
        let tree = temp.payload().join(TREE);
        if fs::rename(&self.tree, &tree).is_err() {
            copy::tree(&self.tree, &tree)?;
        }
        self.decision = Decision { method: Method::Merge, reason };
        self.tree = tree;
        self.inside = true;
        // The former one is removed.
        self.temp = temp;
        Ok(())
    }

    fn temps(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.temp).chain(&self.parts).map(LeasedDirectory::path)
    }

    /// Releases the leases without removing anything; recovery finishes the work.
    fn leave(self) {
        let Staging { temp, parts, .. } = self;
        std::iter::once(temp).chain(parts).for_each(LeasedDirectory::leave);
    }

    /// Removes what is left of the staging.
    fn close(self) -> Result<(), StagingError> {
        let Staging { temp, parts, _parents, .. } = self;
        let mut closed = parts.into_iter().map(LeasedDirectory::close).collect::<Vec<_>>();
        closed.push(temp.close());
        Ok(closed.into_iter().collect::<Result<(), _>>()?)
    }
}

/// Makes the leased directory of a staging where the decision wants it, or where it can be.
fn lease(
    target: &Path,
    decision: Decision,
    now: DateTime<Utc>,
) -> Result<(LeasedDirectory, bool, Decision), StagingError> {
    let purpose = format!("staging `{}`", target.display());
    let inside = |decision| {
        let temp = LeasedDirectory::create_in(target, &purpose, now)?;
        Ok::<_, StagingError>((temp, true, decision))
    };
    if decision.method == Method::Merge {
        return inside(decision);
    }
    let parent = target.parent().unwrap_or(target);
    match LeasedDirectory::create_in(parent, &purpose, now) {
        Ok(temp) => Ok((temp, false, decision)),
        // A refusal that the facts did not show.
        Err(_) if decision.method == Method::Exchange => {
            inside(Decision { method: Method::Merge, reason: Reason::Parent })
        }
        Err(error) => Err(error.into()),
    }
}

/// A target as its publications name it, links resolved, and where it is a link itself, that: what `recover` is called for.
pub(crate) fn targets_of(target: &Path) -> Result<Vec<PathBuf>, StagingError> {
    Ok(file_root::link_at(target).into_iter().chain([resolve(target)?]).collect())
}

/// The directories in which a target's temporary things may lie: where `recover` looks for them.
pub(crate) fn places_of(target: &Path) -> Result<Vec<PathBuf>, StagingError> {
    let beside = |path: &Path| path.parent().map(Path::to_owned);
    let mut places: Vec<PathBuf> =
        file_root::link_at(target).as_deref().and_then(beside).into_iter().collect();
    let target = resolve(target)?;
    places.extend(beside(&target));
    places.extend(mount::mounts_below(&target));
    places.push(target);
    Ok(places)
}

/// Publishes several trees: all of them, or none. Each is renamed to its target where no directory is, and exchanged with it or merged
/// into it elsewhere; a journal is written first.
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
    mut stagings: Vec<Staging>,
    cancel: &CancellationToken,
    way: Way,
) -> Result<Vec<Published>, StagingError> {
    refuse_overlap(&stagings)?;
    let mut made = make_all(&mut stagings, cancel, way);
    if let Err(error) = &made
        && let Some(reason) = error.reason_to_merge()
        && merge_instead(&mut stagings, reason)
    {
        made = make_all(&mut stagings, cancel, way);
    }
    let kept = match made {
        Ok(kept) => kept,
        Err(error) => {
            if matches!(error, StagingError::Stuck { .. }) {
                stagings.into_iter().for_each(Staging::leave);
            }
            return Err(error);
        }
    };
    let (kept, mut leftover) = kept;
    let is_settled = leftover.is_none();
    let close = |(staging, kept): (Staging, u64)| {
        let decision = staging.left.map_or(Ok(staging.decision), Err);
        let target = staging.target.clone();
        let leftover = if is_settled {
            staging.close().err()
        } else {
            staging.leave();
            leftover.take()
        };
        Published { target, decision, kept, leftover }
    };
    Ok(stagings.into_iter().zip(kept).map(close).collect())
}

/// Prepares those that would have been exchanged for a merge in place. Returns whether there are any and all are prepared.
fn merge_instead(stagings: &mut [Staging], reason: Reason) -> bool {
    let is_exchange = |staging: &&mut Staging| staging.decision.method == Method::Exchange;
    let mut any = false;
    for staging in stagings.iter_mut().filter(is_exchange) {
        any = true;
        if staging.merge_instead(reason).is_err() {
            return false;
        }
    }
    any
}

/// Entries that each target had and its staged tree had not, and why something of an old tree is left.
type Made = (Vec<u64>, Option<StagingError>);

/// Plans and makes all steps. After an error the targets are as they were, unless it is [`StagingError::Stuck`].
fn make_all(stagings: &mut [Staging], cancel: &CancellationToken, way: Way) -> Result<Made, StagingError> {
    let mut steps = Vec::new();
    let mut kept = Vec::new();
    for staging in stagings.iter_mut() {
        let (of_this, kept_of_this) = staging.plan(cancel)?;
        steps.extend(of_this);
        kept.push(kept_of_this);
    }
    let Some(first) = stagings.first() else { return Ok((kept, None)) };
    if cancel.is_cancelled() {
        return Err(StagingError::Cancelled(first.target.clone()));
    }
    let temps: Vec<&Path> = stagings.iter().flat_map(Staging::temps).collect();
    let (records, now) = (&first.records, first.now);
    let way = begin(records, &temps, &steps, way, now)?;
    if let Err(publishing) = steps.iter().try_for_each(|step| step.make(way)) {
        if let Err(undoing) = steps.iter().rev().try_for_each(Step::undo) {
            let kept = first.temp.path().to_owned();
            let (publishing, undoing) = (Box::new(publishing), Box::new(undoing));
            return Err(StagingError::Stuck { publishing, undoing, kept });
        }
        journal::erase(records, &temps)?;
        return Err(publishing);
    }
    let mut leftover = steps.iter().try_for_each(Step::finish).err();
    if leftover.is_none() {
        leftover = journal::erase(records, &temps).err();
    }
    Ok((kept, leftover))
}

/// Writes the journal. Returns how to make the steps: by a single rename where its record cannot be written.
fn begin(
    records: &Records,
    temps: &[&Path],
    steps: &[Step],
    way: Way,
    now: DateTime<Utc>,
) -> Result<Way, StagingError> {
    let Err(error) = journal::write(records, temps, steps, now) else { return Ok(way) };
    // Nothing has been changed yet; recovery removes directories without a journal.
    journal::erase(records, temps)?;
    // One rename needs no journal: a kill leaves the old target or the new one.
    let is_one_step = matches!(error, StagingError::Record(_)) && matches!(steps, [Step::Change(_)]);
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

/// The absolute path of a target, with its last part no link to a directory and no `..` anywhere that exists.
fn resolve(target: &Path) -> Result<PathBuf, StagingError> {
    let absolute: PathBuf =
        std::path::absolute(target).map_err(PathError::on("find", target))?.components().collect();
    let is_roundabout = absolute.components().any(|part| part == Component::ParentDir);
    match fs::symlink_metadata(&absolute) {
        Ok(found) if found.is_symlink() || is_roundabout => match fs::canonicalize(&absolute) {
            Ok(real) if real.is_dir() => Ok(real),
            // A link that does not lead to a directory is replaced.
            Ok(_) if !is_roundabout => Ok(absolute),
            Err(error) if !is_roundabout && error.kind() == io::ErrorKind::NotFound => Ok(absolute),
            Ok(real) => Ok(real),
            Err(error) => Err(PathError::on("resolve", &absolute)(error).into()),
        },
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
