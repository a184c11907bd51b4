//! A store that is only looked at.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::domain::entry::{Entry, EntryId, LookupRequest};

use crate::store::contract::{Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store};
use crate::store::error::{Access, StoreError, StoreErrorKind};

/// Answers as the store inside does and changes nothing in it: creating and deleting are denied, and
/// recovery leaves everything to those who may write.
#[derive(Debug, Clone)]
pub struct ReadOnly<S> {
    inner: S,
}

impl<S: Store> ReadOnly<S> {
    /// Keeps a store from being changed.
    pub fn new(inner: S) -> Self {
        ReadOnly { inner }
    }

    fn denied(&self, action: &str) -> StoreError {
        let message =
            format!("cannot {action} the store at {}, which is used read-only", self.inner.location());
        StoreError::new(StoreErrorKind::Denied(Access::Write), message)
    }
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
        Err(self.denied(&format!("create `{}` in", new.key)))
    }

    async fn list(&self, filter: &ListFilter) -> Result<Vec<Entry>, StoreError> {
        self.inner.list(filter).await
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, StoreError> {
        Err(self.denied(&format!("delete `{id}` from")))
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, StoreError> {
        self.inner.leased(ids).await
    }

    /// Notes nothing: that would be a change.
    async fn note_use(&self, _entry: &Entry) {}

    /// Recovers nothing: removing what the dead left is a change.
    async fn recover(&self) -> Result<Recovered, StoreError> {
        Ok(Recovered::default())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

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
    async fn the_denial_says_which_store_and_why() {
        let store = ReadOnly::new(MemoryStore::new(clock));
        let error = store.delete(&EntryId("7".to_owned())).await.expect_err("it is denied");
        assert_eq!(
            error.to_string(),
            "cannot delete `7` from the store at memory, which is used read-only: writing is not permitted"
        );
    }
}
