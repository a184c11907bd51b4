//! Why an entry that was found is not restored.

use crate::archive::ArchiveError;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::store::{StoreError, StoreErrorKind};

/// Why an entry that was found was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is damaged, hostile, or cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something else, such as a full volume, or trees that cannot be verified or published.
    #[error(transparent)]
    Other(#[from] Fault),
}

impl Hint for DeliverError {
    fn hint(&self) -> Option<String> {
        match self {
            DeliverError::Store(error) => error.hint(),
            DeliverError::Archive(error) => error.hint(),
            DeliverError::Other(error) => error.hint(),
        }
    }
}

impl DeliverError {
    /// Whether the entry was deleted after it was found, and nothing was begun.
    pub(super) fn is_vanished(&self) -> bool {
        matches!(self, DeliverError::Store(error) if error.kind() == StoreErrorKind::NotFound)
    }

    /// Whether the entry, or what it takes content from, is the cause, so that another entry may be restored.
    pub(super) fn is_of_entry(&self) -> bool {
        let is_gone = |error: &StoreError| error.kind() == StoreErrorKind::NotFound;
        let in_archive = || match self {
            DeliverError::Archive(error) => StoreError::in_causes_of(error).is_some_and(is_gone),
            _ => false,
        };
        self.is_vanished() || self.is_corrupt() || in_archive()
    }

    /// Whether the entry itself is bad, so that reading it again cannot help.
    pub(super) fn is_corrupt(&self) -> bool {
        match self {
            DeliverError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            DeliverError::Archive(error) => {
                let of_store = StoreError::in_causes_of(error);
                error.is_damage() || of_store.is_some_and(|error| error.kind() == StoreErrorKind::Corrupt)
            }
            DeliverError::Other(_) => false,
        }
    }
}
