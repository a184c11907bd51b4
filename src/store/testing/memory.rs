//! A store in memory, for tests and for embedding.

use crate::domain::entry_filter::EntryFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;

use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;

use crate::store::catalog::{Catalog, CatalogError, Deletion, Recovered};
use crate::store::contract::{Clock, Commit, EntryStream, EntryWriter, NewEntry, Store};
use crate::store::error::{StoreError, StoreErrorKind};

type Name = (Scope, Key, Version);

/// A store in memory. Clones share their entries.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Clock,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Default)]
struct Contents {
    created: u64,
    entries: BTreeMap<Name, (Entry, Vec<Bytes>)>,
}

impl MemoryStore {
    /// An empty store; `clock` gives the time at which an entry becomes visible.
    pub fn new(clock: Clock) -> Self {
        MemoryStore { clock, contents: Arc::default() }
    }

    /// The entries. A lock poisoned by a panic is ignored: no change consists of several steps.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        let entries: Vec<Entry> = self.contents().entries.values().map(|(entry, _)| entry.clone()).collect();
        Ok(request.choose(&entries).cloned())
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        let name = (entry.scope.clone(), entry.key.clone(), entry.version.clone());
        let chunks = match self.contents().entries.get(&name) {
            Some((found, chunks)) if found.id == entry.id => chunks.clone(),
            _ => {
                let message = format!("cannot read entry `{}` in memory", entry.key);
                return Err(StoreError::new(StoreErrorKind::NotFound, message));
            }
        };
        Ok(futures::stream::iter(chunks.into_iter().map(Ok)).boxed())
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        Ok(Box::new(MemoryWriter { store: self.clone(), new, chunks: Vec::new() }))
    }

    async fn note_use(&self, entry: &Entry) {
        let now = (self.clock)();
        let mut contents = self.contents();
        if let Some((found, _)) = contents.entries.values_mut().find(|(found, _)| found.id == entry.id) {
            found.last_used_at = found.last_used_at.max(Some(now));
        }
    }
}

#[async_trait]
impl Catalog for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        let contents = self.contents();
        let entries = contents.entries.values().map(|(entry, _)| entry);
        Ok(entries.filter(|entry| filter.matches(entry)).cloned().collect())
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError> {
        let mut contents = self.contents();
        let before = contents.entries.len();
        contents.entries.retain(|_, (entry, _)| entry.id != *id);
        Ok(if contents.entries.len() < before { Deletion::Deleted } else { Deletion::AlreadyGone })
    }

    /// A reader has the bytes already and does not need a lease.
    async fn leased(&self, _ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        Ok(BTreeSet::new())
    }

    /// Uploads in memory end with their process.
    async fn recover(&self) -> Result<Recovered, CatalogError> {
        Ok(Recovered::default())
    }
}

struct MemoryWriter {
    store: MemoryStore,
    new: NewEntry,
    chunks: Vec<Bytes>,
}

#[async_trait]
impl EntryWriter for MemoryWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if !chunk.is_empty() {
            self.chunks.push(chunk);
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Commit, StoreError> {
        let MemoryWriter { store, new, chunks } = *self;
        let mut contents = store.contents();
        let name = (new.scope, new.key, new.version);
        if contents.entries.contains_key(&name) {
            return Ok(Commit::Exists);
        }
        contents.created += 1;
        let entry = Entry {
            id: EntryId(contents.created.to_string()),
            scope: name.0.clone(),
            key: name.1.clone(),
            version: name.2.clone(),
            created_at: (store.clock)(),
            last_used_at: None,
            size: ByteSize(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
        };
        contents.entries.insert(name, (entry.clone(), chunks));
        Ok(Commit::Created { entry, is_checked: false })
    }

    async fn abort(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use chrono::{DateTime, Utc};

    use super::*;
    use crate::store::testing::conformance;

    static SECONDS: AtomicI64 = AtomicI64::new(0);

    fn clock() -> DateTime<Utc> {
        DateTime::from_timestamp(SECONDS.fetch_add(1, Ordering::Relaxed), 0)
            .expect("a small number of seconds")
    }

    #[tokio::test]
    async fn a_store_in_memory_conforms() {
        conformance::run_catalog(async || MemoryStore::new(clock)).await;
    }

    #[tokio::test]
    async fn a_shared_store_behind_the_trait_conforms() {
        conformance::run(async || Arc::new(MemoryStore::new(clock)) as Arc<dyn Store>).await;
    }
}
