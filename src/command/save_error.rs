//! Why a save failed, and which of the documented results that is.

use crate::archive::ArchiveError;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::SaveResult;
use crate::fs::path_error::PathError;
use crate::objects::merge::MergeError;
use crate::store::{Access, StoreError, StoreErrorKind};
use crate::transport::pipe::PipeError;
use crate::tree::walk::WalkError;

/// Why a save failed.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be packed or read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The cache's links or objects.
    #[error(transparent)]
    Cache(#[from] Fault),
    /// The cache could not be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The sentinel could not be written.
    #[error(transparent)]
    Disk(#[from] PathError),
    /// What a build left could not be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The entry was stored, and what the store returns is not what was packed.
    #[error("reading back failed")]
    ReadBack(#[source] Box<SaveError>),
}

impl SaveError {
    /// What ended an upload.
    pub fn of_pipe(error: PipeError<StoreError>) -> Self {
        match error {
            PipeError::Consumer(error) => SaveError::Store(error),
            PipeError::Cancelled(error) => SaveError::Archive(ArchiveError::Output(error)),
        }
    }

    /// The store's own error, where it is one or hides behind an archive's.
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            SaveError::Store(error) => Some(error),
            SaveError::Archive(error) => StoreError::in_causes_of(error),
            SaveError::ReadBack(error) => error.of_store(),
            _ => None,
        }
    }

    /// Whether the entry itself is bad.
    pub fn is_damage(&self) -> bool {
        match self {
            SaveError::Archive(error) => error.is_damage(),
            other => other.of_store().is_some_and(|error| error.kind() == StoreErrorKind::Corrupt),
        }
    }

    /// Whether this job may write and not read.
    pub fn is_no_reader(&self) -> bool {
        self.of_store().is_some_and(|error| error.kind() == StoreErrorKind::Denied(Access::Read))
    }

    /// The documented result that this failure is.
    pub fn result(&self) -> SaveResult {
        if let SaveError::Archive(error) = self
            && error.is_no_space()
        {
            return SaveResult::NoSpace;
        }
        match self.of_store().map(StoreError::kind) {
            Some(StoreErrorKind::Exists) => SaveResult::Exists,
            Some(StoreErrorKind::Denied(_)) => SaveResult::DeniedMode,
            Some(StoreErrorKind::BudgetExceeded) => SaveResult::DeniedBudget,
            Some(StoreErrorKind::RateLimited { .. }) => SaveResult::RateLimited,
            Some(StoreErrorKind::NoSpace) => SaveResult::NoSpace,
            _ => SaveResult::Failed,
        }
    }
}

impl Hint for SaveError {
    fn hint(&self) -> Option<String> {
        if let Some(error) = self.of_store() {
            return error.hint();
        }
        match self {
            SaveError::Archive(error) => error.hint(),
            SaveError::Cache(error) => error.hint(),
            SaveError::Walk(error) => error.hint(),
            SaveError::Disk(error) => error.hint(),
            SaveError::Merge(error) => error.hint(),
            SaveError::ReadBack(error) => error.hint(),
            SaveError::Store(_) => None,
        }
    }
}
