//! Why an entry was not stored, and which result that is.

use crate::archive::ArchiveError;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::SaveResult;
use crate::store::{Access, CatalogError, StoreError, StoreErrorKind};
use crate::transport::pipe::PipeError;

/// Why an entry was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFailure {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be packed or read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something else, such as a cache that cannot be read.
    #[error(transparent)]
    Other(#[from] Fault),
    /// The entry was stored, and what the store returns is not what was packed.
    #[error("reading back failed")]
    ReadBack(#[source] Box<StoreFailure>),
}

impl From<CatalogError> for StoreFailure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) => StoreFailure::Store(error),
            CatalogError::Api(_) => StoreFailure::Other(Fault::from(error)),
        }
    }
}

impl StoreFailure {
    /// What ended an upload.
    pub(super) fn of_pipe(error: PipeError<StoreError>) -> Self {
        match error {
            PipeError::Consumer(error) => StoreFailure::Store(error),
            PipeError::Cancelled(error) => StoreFailure::Archive(ArchiveError::Output(error)),
        }
    }

    /// The store's own error, where it is one or hides behind an archive's.
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            StoreFailure::Store(error) => Some(error),
            StoreFailure::Archive(error) => StoreError::in_causes_of(error),
            StoreFailure::ReadBack(error) => error.of_store(),
            StoreFailure::Other(_) => None,
        }
    }

    /// Whether the entry itself is bad.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            StoreFailure::Archive(error) => error.is_damage(),
            other => other.of_store().is_some_and(|error| error.kind() == StoreErrorKind::Corrupt),
        }
    }

    /// Whether this job may write and not read.
    pub(super) fn is_no_reader(&self) -> bool {
        self.of_store().is_some_and(|error| error.kind() == StoreErrorKind::Denied(Access::Read))
    }

    /// The documented result that this failure is.
    pub(super) fn result(&self) -> SaveResult {
        if let StoreFailure::Archive(error) = self
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

impl Hint for StoreFailure {
    fn hint(&self) -> Option<String> {
        if let Some(error) = self.of_store() {
            return error.hint();
        }
        match self {
            StoreFailure::Archive(error) => error.hint(),
            StoreFailure::Other(error) => error.hint(),
            StoreFailure::ReadBack(error) => error.hint(),
            StoreFailure::Store(_) => None,
        }
    }
}
