//! A store with another one that is asked where it does not answer.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::contract::{Commit, EntryStream, EntryWriter, NewEntry, Store};
use super::error::{StoreError, StoreErrorKind, causes};
use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::event::{Event, Level, Observer};

/// Asks a second store from the first time on that the first one does not answer. A miss is an answer, and so is a
/// refusal: a job that lacks a right does not find out by which store it is served.
pub(crate) struct FallbackStore {
    store: Arc<dyn Store>,
    fallback: Arc<dyn Store>,
    observer: Option<Arc<dyn Observer>>,
    /// Set once the first store has not answered.
    is_down: OnceLock<()>,
    /// Entries that the second store has returned.
    of_fallback: Arc<Entries>,
}

/// Entries of one store.
#[derive(Default)]
struct Entries(Mutex<BTreeSet<EntryId>>);

impl Entries {
    fn add(&self, entry: &Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.id.clone());
    }

    fn contains(&self, entry: &Entry) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&entry.id)
    }
}

impl FallbackStore {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        fallback: Arc<dyn Store>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        FallbackStore { store, fallback, observer, is_down: OnceLock::new(), of_fallback: Arc::default() }
    }

    /// Whether the fallback is asked from now on, because of this error.
    fn gives_up(&self, error: &StoreError) -> bool {
        let does_not_answer =
            matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::RateLimited { .. });
        if does_not_answer && self.is_down.set(()).is_ok() {
            let why = causes(error).last().map_or_else(String::new, |cause| format!(": {cause}"));
            let text = format!(
                "the store at {} does not answer, and its fallback {} is used{why}",
                self.store.location(),
                self.fallback.location()
            );
            self.report(Level::Warning, text);
        }
        does_not_answer
    }

    fn report(&self, level: Level, text: String) {
        if let Some(observer) = &self.observer {
            observer.observe(Event::Message { level, cache: None, text, hint: None });
        }
    }

    fn is_down(&self) -> bool {
        self.is_down.get().is_some()
    }
}

#[async_trait]
impl Store for FallbackStore {
    /// That of the store that is asked now.
    fn location(&self) -> String {
        if self.is_down() { self.fallback.location() } else { self.store.location() }
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        if !self.is_down() {
            match self.store.lookup(request).await {
                Err(error) if self.gives_up(&error) => {}
                answered => return answered,
            }
        }
        let found = self.fallback.lookup(request).await?;
        if let Some(entry) = &found {
            self.of_fallback.add(entry);
        }
        Ok(found)
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        if self.of_fallback.contains(entry) {
            return self.fallback.read(entry).await;
        }
        match self.store.read(entry).await {
            // The caller looks up again, and finds what the fallback has.
            Err(error) if self.gives_up(&error) => {
                let text = format!("cannot read `{}`", entry.key);
                Err(StoreError::new(StoreErrorKind::NotFound, text).caused_by(error))
            }
            opened => opened,
        }
    }

    async fn read_parts(&self, entry: &Entry, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let store = if self.of_fallback.contains(entry) { &self.fallback } else { &self.store };
        store.read_parts(entry, parts).await
    }

    async fn read_ranges(&self, entry: &Entry, ranges: Vec<Range<u64>>) -> Result<EntryStream, StoreError> {
        let store = if self.of_fallback.contains(entry) { &self.fallback } else { &self.store };
        store.read_ranges(entry, ranges).await
    }

    fn evicts(&self) -> bool {
        if self.is_down() { self.fallback.evicts() } else { self.store.evicts() }
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        if !self.is_down() {
            match self.store.create(new.clone()).await {
                Err(error) if self.gives_up(&error) => {}
                begun => return begun,
            }
        }
        let writer = self.fallback.create(new).await?;
        Ok(Box::new(NotingWriter { writer, entries: Arc::clone(&self.of_fallback) }))
    }

    async fn note_use(&self, entry: &Entry) {
        let store = if self.of_fallback.contains(entry) { &self.fallback } else { &self.store };
        store.note_use(entry).await;
    }

    fn fallback_in_use(&self) -> Option<String> {
        self.is_down().then(|| self.fallback.location())
    }
}

/// An upload to the fallback, whose entry is read from there.
struct NotingWriter {
    writer: Box<dyn EntryWriter>,
    entries: Arc<Entries>,
}

#[async_trait]
impl EntryWriter for NotingWriter {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.writer.write(chunk).await
    }

    async fn commit(self: Box<Self>) -> Result<Commit, StoreError> {
        let committed = self.writer.commit().await?;
        if let Commit::Created { entry, .. } = &committed {
            self.entries.add(entry);
        }
        Ok(committed)
    }

    async fn abort(self: Box<Self>) {
        self.writer.abort().await;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "entries are made at the real time")]

    use super::*;
    use crate::domain::key::Key;
    use crate::domain::scope::Scope;
    use crate::domain::version::Version;
    use crate::store::error::Access;
    use crate::store::testing::conformance;
    use crate::store::testing::memory::MemoryStore;
    use crate::store::{FailedStore, StoreExt as _};

    fn clock() -> chrono::DateTime<chrono::Utc> {
        chrono::Utc::now()
    }

    fn named(key: &str) -> NewEntry {
        let key = Key::new(key).expect("a key");
        NewEntry { scope: Scope::new("main").expect("a scope"), key, version: Version::of_roots(["a"]) }
    }

    async fn found(store: &dyn Store, key: &str) -> Result<Option<Entry>, StoreError> {
        let NewEntry { scope, key, version } = named(key);
        store.find(&scope, &key, &version).await
    }

    fn failing(kind: StoreErrorKind) -> Arc<dyn Store> {
        Arc::new(FailedStore::new("s3://bucket".to_owned(), &StoreError::new(kind, "no answer")))
    }

    #[tokio::test]
    async fn a_store_with_a_fallback_conforms_and_so_does_a_fallback() {
        conformance::run(async || {
            FallbackStore::new(Arc::new(MemoryStore::new(clock)), failing(StoreErrorKind::Other), None)
        })
        .await;
        conformance::run(async || {
            let fallback = Arc::new(MemoryStore::new(clock));
            FallbackStore::new(failing(StoreErrorKind::Unavailable), fallback, None)
        })
        .await;
    }

    #[tokio::test]
    async fn only_a_store_that_does_not_answer_is_replaced() {
        for (kind, is_replaced) in [
            (StoreErrorKind::Unavailable, true),
            (StoreErrorKind::RateLimited { retry_after: None }, true),
            (StoreErrorKind::Denied(Access::Read), false),
            (StoreErrorKind::Corrupt, false),
            (StoreErrorKind::Other, false),
        ] {
            let fallback = Arc::new(MemoryStore::new(clock));
            fallback.put(named("k"), Bytes::from_static(b"bytes")).await.expect("saved");
            let store = FallbackStore::new(failing(kind), fallback, None);
            let answer = found(&store, "k").await;
            assert_eq!(answer.is_ok_and(|found| found.is_some()), is_replaced, "{kind:?}");
            assert_eq!(store.put(named("l"), Bytes::new()).await.is_ok(), is_replaced, "{kind:?}");
            assert_eq!(store.fallback_in_use().is_some(), is_replaced, "{kind:?}");
            assert_eq!(store.location() == "s3://bucket", !is_replaced, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_miss_is_an_answer() {
        let fallback = Arc::new(MemoryStore::new(clock));
        fallback.put(named("k"), Bytes::from_static(b"bytes")).await.expect("saved");
        let store = FallbackStore::new(Arc::new(MemoryStore::new(clock)), fallback, None);
        assert_eq!(found(&store, "k").await.expect("an answer"), None);
        assert_eq!(store.fallback_in_use(), None);
    }

    /// The store is gone between a lookup and the read.
    #[tokio::test]
    async fn an_entry_that_cannot_be_read_is_looked_up_again() {
        let fallback = Arc::new(MemoryStore::new(clock));
        fallback.put(named("k"), Bytes::from_static(b"bytes")).await.expect("saved");
        let other = MemoryStore::new(clock);
        other.put(named("other"), Bytes::new()).await.expect("saved");
        let entry = found(&other, "other").await.expect("an answer").expect("an entry");
        let store = FallbackStore::new(failing(StoreErrorKind::Unavailable), fallback, None);
        let error = store.read(&entry).await.err().expect("it is gone");
        assert_eq!(error.kind(), StoreErrorKind::NotFound);
        let again = found(&store, "k").await.expect("an answer").expect("an entry");
        assert_eq!(store.get(&again).await.expect("read"), &b"bytes"[..]);
    }
}
