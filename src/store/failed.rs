//! A store that could not be opened: every operation fails with the reason.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::contract::{Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store};
use super::error::{StoreError, StoreErrorKind};
use crate::domain::entry::{Entry, EntryId, LookupRequest};

/// Stands for a store that could not be opened, so that a job goes on without its caches.
pub struct FailedStore {
    location: String,
    kind: StoreErrorKind,
    message: String,
}

impl FailedStore {
    /// A store at `location` whose operations fail with this error.
    pub fn new(location: String, error: &StoreError) -> Self {
        FailedStore { location, kind: error.kind(), message: error.message().to_owned() }
    }

    fn error<T>(&self) -> Result<T, StoreError> {
        Err(StoreError::new(self.kind, self.message.clone()))
    }
}

#[async_trait]
impl Store for FailedStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn lookup(&self, _request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        self.error()
    }

    async fn read(&self, _entry: &Entry) -> Result<EntryStream, StoreError> {
        self.error()
    }

    async fn create(&self, _new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        self.error()
    }

    async fn list(&self, _filter: &ListFilter) -> Result<Vec<Entry>, StoreError> {
        self.error()
    }

    async fn delete(&self, _id: &EntryId) -> Result<Deletion, StoreError> {
        self.error()
    }

    async fn leased(&self, _ids: &[EntryId]) -> Result<BTreeSet<EntryId>, StoreError> {
        self.error()
    }

    async fn note_use(&self, _entry: &Entry) {}

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.error()
    }
}
