//! A step of a publication, as it is planned, written into the journal, made, and taken back.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::{Change, Way};
use super::error::StagingError;
use super::merge::Merge;

/// One step of a publication: a change of one name, or a merge in place. Steps are made in their order, and taken back in the opposite one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Step {
    /// A staged thing and a target change places.
    Change(Change),
    /// A staged tree is merged into a target.
    Merge(Merge),
}

impl Step {
    /// The leased directory of what is staged.
    pub(super) fn temp(&self) -> &Path {
        match self {
            Step::Change(change) => change.temp(),
            Step::Merge(merge) => merge.temp(),
        }
    }

    /// Whether this, read from a journal, is something that a publication can have written.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Step::Change(change) => change.is_sound(),
            Step::Merge(merge) => merge.is_sound(),
        }
    }

    /// The target that it belongs to.
    pub(super) fn root(&self) -> PathBuf {
        match self {
            Step::Change(change) => change.target(),
            Step::Merge(merge) => merge.target(),
        }
    }

    /// Whether nothing was done for it yet.
    pub(super) fn is_waiting(&self) -> Result<bool, StagingError> {
        match self {
            Step::Change(change) => Ok(change.is_waiting()?),
            Step::Merge(merge) => Ok(merge.is_waiting()),
        }
    }

    /// Makes it, or what is left of it: renames the tree in, exchanges it with the target, or merges it into the target.
    pub(super) fn make(&self, way: Way) -> Result<(), StagingError> {
        match self {
            Step::Change(change) => change.make(way),
            Step::Merge(merge) => merge.make(),
        }
    }

    /// Takes it back.
    pub(super) fn undo(&self) -> Result<(), StagingError> {
        match self {
            Step::Change(change) => change.undo(),
            Step::Merge(merge) => merge.undo(),
        }
    }

    /// After all steps are made: final modes, and what came into an old target at the last moment.
    pub(super) fn finish(&self) -> Result<(), StagingError> {
        match self {
            Step::Change(change) => change.finish(),
            Step::Merge(merge) => merge.finish(),
        }
    }
}
