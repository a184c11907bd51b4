//! A store that could not be opened: every operation fails with the reason.

use crate::domain::entry_filter::EntryFilter;
use std::collections::BTreeSet;

use async_trait::async_trait;

use super::catalog::{Catalog, CatalogError, Deletion, Recovered};
use super::contract::{EntryStream, EntryWriter, NewEntry, Store};
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

    fn error(&self) -> StoreError {
        StoreError::new(self.kind, self.message.clone())
    }
}

#[async_trait]
impl Store for FailedStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn lookup(&self, _request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        Err(self.error())
    }

    async fn read(&self, _entry: &Entry) -> Result<EntryStream, StoreError> {
        Err(self.error())
    }

    async fn create(&self, _new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        Err(self.error())
    }

    async fn note_use(&self, _entry: &Entry) {}
}

#[async_trait]
impl Catalog for FailedStore {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn list(&self, _filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        Err(self.error().into())
    }

    async fn leased(&self, _ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        Err(self.error().into())
    }

    async fn delete(&self, _id: &EntryId) -> Result<Deletion, CatalogError> {
        Err(self.error().into())
    }

    async fn recover(&self) -> Result<Recovered, CatalogError> {
        Err(self.error().into())
    }
}
