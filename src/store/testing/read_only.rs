//! A read-only view of a store.

use crate::domain::entry_filter::EntryFilter;
use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::domain::clean::ApiCalls;
use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::store::catalog::{Catalog, CatalogError, Deletion, Recovered, Survey, SurveyRequest};
use crate::store::contract::{EntryStream, EntryWriter, NewEntry, Store};
use crate::store::error::{Access, StoreError, StoreErrorKind};

/// Answers as the store inside does and changes nothing in it: creating and deleting are denied, uses are not
/// recorded, and nothing is recovered.
#[derive(Debug, Clone)]
pub struct ReadOnly<S> {
    inner: S,
}

impl<S> ReadOnly<S> {
    /// A read-only view of a store.
    pub fn new(inner: S) -> Self {
        ReadOnly { inner }
    }
}

fn denied(action: &str, location: &str) -> StoreError {
    let message = format!("cannot {action} the store at {location}, which is used read-only");
    StoreError::new(StoreErrorKind::Denied(Access::Write), message)
}

#[async_trait]
impl<S: Store> Store for ReadOnly<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        self.inner.lookup(request).await
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        self.inner.read(entry).await
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        Err(denied(&format!("create `{}` in", new.key), &self.inner.location()))
    }

    async fn note_use(&self, _entry: &Entry) {}
}

#[async_trait]
impl<C: Catalog> Catalog for ReadOnly<C> {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        self.inner.list(filter).await
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        self.inner.leased(ids).await
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError> {
        Err(denied(&format!("delete `{id}` from"), &self.inner.location()).into())
    }

    async fn recover(&self) -> Result<Recovered, CatalogError> {
        Ok(Recovered::default())
    }

    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, CatalogError> {
        self.inner.survey(request).await
    }

    fn now(&self) -> Option<DateTime<Utc>> {
        self.inner.now()
    }

    fn calls(&self) -> Option<ApiCalls> {
        self.inner.calls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::conformance;
    use crate::store::testing::memory::MemoryStore;

    fn clock() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    #[tokio::test]
    async fn a_read_only_store_reads_and_denies() {
        conformance::run_read_only(async || {
            let writable = MemoryStore::new(clock);
            (writable.clone(), ReadOnly::new(writable))
        })
        .await;
    }

    #[tokio::test]
    async fn the_denial_names_the_store_and_the_reason() {
        let store = ReadOnly::new(MemoryStore::new(clock));
        let error = store.delete(&EntryId("7".to_owned())).await.expect_err("it is denied");
        assert_eq!(
            error.to_string(),
            "cannot delete `7` from the store at memory, which is used read-only: writing is not permitted"
        );
    }
}
