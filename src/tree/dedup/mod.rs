//! Equal files share their bytes: by reflinks, or as names of one file.
//!
//! [`survey`] finds files that are equal by their digests, and [`share`] replaces one of them. A file that does not change
//! meanwhile is replaced by one with the same bytes, mode and times, and one that does is left alone.

mod share;
mod survey;

use std::collections::{BTreeMap, btree_map};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::domain::dedup::{DedupOutcome, LeftReason};
use crate::domain::fault::Fault;
use crate::domain::unit::ByteSize;
use crate::fs::cancel;
use crate::fs::lease::LeasedDirectory;
use crate::fs::volume::volume_of;
use share::{DirectoryTime, ShareError, Workbench};
use survey::DedupFile;
pub(crate) use survey::DedupOptions;

/// Shares the bytes of equal files in these directories, which contain no links on the way to them.
///
/// # Errors
/// A directory cannot be read, its volume has no reflinks, or the work was interrupted. Files that were shared before stay so.
pub(crate) fn dedup(roots: &[PathBuf], options: &DedupOptions<'_>) -> Result<DedupOutcome, Fault> {
    let before = free(roots)?;
    let survey = survey::survey(roots, options)?;
    let mut outcome = DedupOutcome {
        by: options.by,
        dry_run: options.dry_run,
        files: survey.files,
        bytes: ByteSize(survey.bytes),
        shared: 0,
        shared_bytes: ByteSize(0),
        left: BTreeMap::new(),
        free: (before, before),
    };
    // Temporary directories are made in the roots. Dropped after them.
    let _unchanged: Vec<DirectoryTime> = roots.iter().map(|root| DirectoryTime::of(root)).collect();
    let mut benches: BTreeMap<usize, Workbench> = BTreeMap::new();
    for equal in &survey.equal {
        share_group(roots, equal, options, &mut benches, &mut outcome)?;
    }
    for bench in benches.into_values() {
        bench.close()?;
    }
    outcome.free.1 = free(roots)?;
    Ok(outcome)
}

/// Shares the bytes of the first file with all that may.
fn share_group(
    roots: &[PathBuf],
    equal: &[DedupFile],
    options: &DedupOptions<'_>,
    benches: &mut BTreeMap<usize, Workbench>,
    outcome: &mut DedupOutcome,
) -> Result<(), Fault> {
    let leave = |file: &DedupFile, reason: LeftReason, left: &mut BTreeMap<LeftReason, (u64, String)>| {
        left.entry(reason).or_insert_with(|| (0, file.path.display().to_string())).0 += 1;
    };
    let Some((first, others)) = equal.split_first() else { return Ok(()) };
    for file in others.iter().filter(|file| file.identity != first.identity) {
        if cancel::is_cancelled(options.cancel) {
            return Err(Fault::cancelled());
        }
        if let Some(reason) = share::obstacle(first, file, options.by) {
            leave(file, reason, &mut outcome.left);
            continue;
        }
        if !options.dry_run {
            let bench = match benches.entry(file.root) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(free) => {
                    free.insert(Workbench::in_directory(&roots[file.root], options.now)?)
                }
            };
            match bench.share(first, file, options.by) {
                Ok(()) => {}
                Err(ShareError::Left(reason)) => {
                    leave(file, reason, &mut outcome.left);
                    continue;
                }
                Err(ShareError::NoReflinks) => return Err(no_reflinks(&roots[file.root])),
            }
        }
        outcome.shared += 1;
        outcome.shared_bytes.0 += file.size;
    }
    Ok(())
}

fn no_reflinks(root: &Path) -> Fault {
    Fault::environment(format!("files in `{}` cannot be reflinks: the volume has none", root.display()))
        .with_hint(
            "use btrfs or XFS on Linux, or `--hard-links` where nothing writes into files in place"
                .to_owned(),
        )
}

/// Free bytes of the volumes of these directories, each volume once.
fn free(roots: &[PathBuf]) -> Result<ByteSize, Fault> {
    let mut volumes = Vec::new();
    for root in roots {
        let volume = volume_of(root).map_err(Fault::from)?;
        if volumes.iter().all(|(id, _)| *id != volume.id) {
            volumes.push((volume.id, volume.free.0));
        }
    }
    Ok(ByteSize(volumes.iter().map(|(_, free)| free).sum()))
}

impl Workbench {
    /// One in this directory, on whose volume it is.
    fn in_directory(root: &Path, now: DateTime<Utc>) -> Result<Self, Fault> {
        LeasedDirectory::create_in(root, "sharing equal files", now).map(Workbench::new).map_err(Fault::from)
    }
}
