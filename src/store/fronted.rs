//! A directory on this machine before a store elsewhere: entries are read from there, and what is read or saved is kept
//! there.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::catalog::Catalog as _;
use super::contract::{Commit, EntryStream, EntryWriter, NewEntry, Store};
use super::directory::DirectoryStore;
use super::error::{StoreError, StoreErrorKind};
use crate::domain::entry::{Entry, EntryId, LookupRequest};
use crate::domain::event::{Event, Level, Observer};
use crate::domain::hint::Hint as _;
use crate::domain::unit::{ByteSize, SizeOrShare};
use crate::fs::volume::{Need, check_room};

/// The directory, and what keeps it from filling its volume.
pub(crate) struct Front {
    pub(crate) path: PathBuf,
    pub(crate) store: DirectoryStore,
    /// Free space that stays on its volume.
    pub(crate) reserve: SizeOrShare,
}

/// Keeps copies of the entries of a store in a directory. The store decides which entries there are; the directory
/// answers in its place only while it does not answer. A copy that cannot be read or written never fails an operation.
pub(crate) struct FrontedStore {
    store: Arc<dyn Store>,
    front: Arc<Front>,
    log: Arc<FrontLog>,
    /// Entries that this process created: reading one back must show what the store has.
    created: Arc<Mutex<BTreeSet<EntryId>>>,
    /// Set once the store has not answered.
    is_down: OnceLock<()>,
}

/// Reports the first failure of the directory.
struct FrontLog {
    path: PathBuf,
    observer: Option<Arc<dyn Observer>>,
    has_failed: OnceLock<()>,
}

impl FrontLog {
    fn failed(&self, error: &StoreError) {
        if self.has_failed.set(()).is_ok() {
            let text = format!("the front in {} is not used: {error}", self.path.display());
            self.report(Level::Warning, text, error.hint());
        }
    }

    fn report(&self, level: Level, text: String, hint: Option<String>) {
        if let Some(observer) = &self.observer {
            observer.observe(Event::Message { level, cache: None, text, hint });
        }
    }
}

impl FrontedStore {
    pub(crate) fn new(store: Arc<dyn Store>, front: Front, observer: Option<Arc<dyn Observer>>) -> Self {
        let log = FrontLog { path: front.path.clone(), observer, has_failed: OnceLock::new() };
        FrontedStore {
            store,
            front: Arc::new(front),
            log: Arc::new(log),
            created: Arc::default(),
            is_down: OnceLock::new(),
        }
    }

    fn has_created(&self, entry: &Entry) -> bool {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).contains(&entry.id)
    }

    /// The copy of an entry; `None` if there is none of its name and size.
    async fn copy_of(&self, entry: &Entry) -> Option<Entry> {
        let copy = self.copy_named(&NewEntry::of(entry)).await?;
        (copy.size == entry.size).then_some(copy)
    }

    async fn copy_named(&self, name: &NewEntry) -> Option<Entry> {
        let request = LookupRequest {
            exact: true,
            key: name.key.clone(),
            restore_keys: Vec::new(),
            version: name.version.clone(),
            scopes: vec![name.scope.clone()],
        };
        match self.front.store.lookup(&request).await {
            Ok(copy) => copy,
            Err(error) => {
                self.log.failed(&error);
                None
            }
        }
    }

    /// Begins a copy in place of any other of its name; `None` where that is not possible. `size` is the least that it may
    /// have.
    async fn begin_copy(&self, new: NewEntry, size: ByteSize) -> Option<Box<dyn EntryWriter>> {
        let need = Need { path: self.front.path.clone(), bytes: ByteSize(size.0.max(1)), inodes: 8 };
        if let Err(why) = check_room(&[need], self.front.reserve) {
            self.log.report(Level::Debug, format!("no copy of `{}` is kept: {why}", new.key), None);
            return None;
        }
        if let Some(copy) = self.copy_named(&new).await {
            // If it stays, the copy that is begun here is not committed.
            let _ = self.front.store.delete(&copy.id).await;
        }
        match self.front.store.create(new).await {
            Ok(writer) => Some(writer),
            Err(error) => {
                self.log.failed(&error);
                None
            }
        }
    }
}

impl NewEntry {
    /// The name of an entry.
    fn of(entry: &Entry) -> Self {
        NewEntry { scope: entry.scope.clone(), key: entry.key.clone(), version: entry.version.clone() }
    }
}

#[async_trait]
impl Store for FrontedStore {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        let error = match self.store.lookup(request).await {
            Err(error) if error.kind() == StoreErrorKind::Unavailable => error,
            answered => return answered,
        };
        let _ = self.is_down.set(());
        match self.front.store.lookup(request).await {
            Ok(Some(copy)) => {
                let (path, location) = (self.front.path.display(), self.store.location());
                let text = format!("the store at {location} does not answer; {path} has a copy");
                self.log.report(Level::Warning, text, None);
                Ok(Some(copy))
            }
            _ => Err(error),
        }
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        if self.has_created(entry) {
            return self.store.read(entry).await;
        }
        if let Some(copy) = self.copy_of(entry).await {
            match self.front.store.read(&copy).await {
                Ok(stream) => {
                    let text = format!("`{}` is read from {}", entry.key, self.front.path.display());
                    self.log.report(Level::Debug, text, None);
                    self.front.store.note_use(&copy).await;
                    let (store, log) = (Arc::clone(&self.store), Arc::clone(&self.log));
                    return Ok(going_on_in(stream, store, entry.clone(), log));
                }
                Err(error) => self.log.failed(&error),
            }
        }
        let stream = self.store.read(entry).await?;
        Ok(match self.begin_copy(NewEntry::of(entry), entry.size).await {
            Some(writer) => copying(stream, writer, entry.size.0, Arc::clone(&self.log)),
            None => stream,
        })
    }

    /// From the copy, if there is one and the entry was not created just now.
    async fn read_parts(&self, entry: &Entry, parts: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        if !self.has_created(entry)
            && let Some(copy) = self.copy_of(entry).await
        {
            match self.front.store.read_parts(&copy, parts).await {
                Ok(parts) => return Ok(parts),
                Err(error) => self.log.failed(&error),
            }
        }
        self.store.read_parts(entry, parts).await
    }

    /// From the copy, if there is one; ranges alone are not kept.
    async fn read_ranges(&self, entry: &Entry, ranges: Vec<Range<u64>>) -> Result<EntryStream, StoreError> {
        if let Some(copy) = self.copy_of(entry).await {
            match self.front.store.read_ranges(&copy, ranges.clone()).await {
                Ok(stream) => {
                    self.front.store.note_use(&copy).await;
                    return Ok(stream);
                }
                Err(error) => self.log.failed(&error),
            }
        }
        self.store.read_ranges(entry, ranges).await
    }

    fn evicts(&self) -> bool {
        self.store.evicts()
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        let writer = self.store.create(new.clone()).await?;
        let copy = self.begin_copy(new, ByteSize(0)).await;
        let (log, created) = (Arc::clone(&self.log), Arc::clone(&self.created));
        Ok(Box::new(BothWriters { writer, copy, log, created }))
    }

    /// In the store, unless it did not answer before: a copy notes its own use when it is read.
    async fn note_use(&self, entry: &Entry) {
        if self.is_down.get().is_none() {
            self.store.note_use(entry).await;
        }
    }
}

/// The bytes of a copy; where they break off, the rest of those of the entry.
fn going_on_in(copy: EntryStream, store: Arc<dyn Store>, entry: Entry, log: Arc<FrontLog>) -> EntryStream {
    struct State {
        bytes: EntryStream,
        read: u64,
        is_copy: bool,
    }
    let state = State { bytes: copy, read: 0, is_copy: true };
    futures::stream::try_unfold(state, move |mut state| {
        let (store, entry, log) = (Arc::clone(&store), entry.clone(), Arc::clone(&log));
        async move {
            loop {
                match state.bytes.try_next().await {
                    Ok(Some(chunk)) => {
                        state.read += chunk.len() as u64;
                        return Ok(Some((chunk, state)));
                    }
                    Ok(None) => return Ok(None),
                    Err(error) if state.is_copy => {
                        log.failed(&error);
                        state.bytes = without_first(store.read(&entry).await?, state.read);
                        state.is_copy = false;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    })
    .boxed()
}

/// The bytes after the first `count`.
fn without_first(bytes: EntryStream, count: u64) -> EntryStream {
    let mut left = count;
    bytes
        .map_ok(move |mut chunk| {
            let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            left -= skipped as u64;
            chunk.split_off(skipped)
        })
        .try_filter(|chunk| std::future::ready(!chunk.is_empty()))
        .boxed()
}

/// The bytes of an entry, which are also written to a copy. It is committed with the last byte: a reader may stop there.
fn copying(bytes: EntryStream, writer: Box<dyn EntryWriter>, size: u64, log: Arc<FrontLog>) -> EntryStream {
    let state = (bytes, Some(writer), 0);
    futures::stream::try_unfold(state, move |(mut bytes, mut copy, mut written)| {
        let log = Arc::clone(&log);
        async move {
            let Some(chunk) = bytes.try_next().await? else { return Ok(None) };
            written += chunk.len() as u64;
            copy = added(copy, &chunk, &log).await;
            if written == size
                && let Some(writer) = copy.take()
                && let Err(error) = writer.commit().await
            {
                log.failed(&error);
            }
            Ok(Some((chunk, (bytes, copy, written))))
        }
    })
    .boxed()
}

/// Adds bytes to a copy; `None` if there is no copy any more.
async fn added(
    copy: Option<Box<dyn EntryWriter>>,
    chunk: &Bytes,
    log: &FrontLog,
) -> Option<Box<dyn EntryWriter>> {
    let mut writer = copy?;
    match writer.write(chunk.clone()).await {
        Ok(()) => Some(writer),
        Err(error) => {
            log.failed(&error);
            writer.abort().await;
            None
        }
    }
}

/// An upload to the store, and a copy as long as it can be written.
struct BothWriters {
    writer: Box<dyn EntryWriter>,
    copy: Option<Box<dyn EntryWriter>>,
    log: Arc<FrontLog>,
    created: Arc<Mutex<BTreeSet<EntryId>>>,
}

#[async_trait]
impl EntryWriter for BothWriters {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.writer.write(chunk.clone()).await?;
        self.copy = added(self.copy.take(), &chunk, &self.log).await;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Commit, StoreError> {
        let BothWriters { writer, copy, log, created } = *self;
        let committed = writer.commit().await;
        match (&committed, copy) {
            (Ok(Commit::Created { entry, .. }), copy) => {
                created.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.id.clone());
                if let Some(copy) = copy
                    && let Err(error) = copy.commit().await
                {
                    log.failed(&error);
                }
            }
            (_, Some(copy)) => copy.abort().await,
            (_, None) => {}
        }
        committed
    }

    async fn abort(self: Box<Self>) {
        self.writer.abort().await;
        if let Some(copy) = self.copy {
            copy.abort().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test damages files of the directory")]

    use super::*;
    use crate::domain::key::Key;
    use crate::domain::scope::Scope;
    use crate::domain::version::Version;
    use crate::store::StoreExt as _;
    use crate::store::directory::Directory;
    use crate::store::testing::conformance;
    use crate::store::testing::memory::MemoryStore;

    fn clock() -> chrono::DateTime<chrono::Utc> {
        chrono::Utc::now()
    }

    fn before(store: Arc<dyn Store>, directory: &tempfile::TempDir) -> FrontedStore {
        let [view, ..] = conformance::views();
        let path = directory.path().join("front");
        let front = DirectoryStore::over(Directory::new(&path, clock), view);
        FrontedStore::new(store, Front { path, store: front, reserve: SizeOrShare::Percent(0.0) }, None)
    }

    fn named(key: &str) -> NewEntry {
        let key = Key::new(key).expect("a key");
        NewEntry { scope: Scope::new("main").expect("a scope"), key, version: Version::of_roots(["a"]) }
    }

    async fn found(store: &dyn Store, key: &str) -> Option<Entry> {
        let NewEntry { scope, key, version } = named(key);
        store.find(&scope, &key, &version).await.expect("an answer")
    }

    #[tokio::test]
    async fn a_store_with_a_front_conforms() {
        let directory = tempfile::tempdir().expect("a directory");
        let next = std::sync::atomic::AtomicU32::new(0);
        conformance::run(async || {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let place = tempfile::Builder::new().prefix(&format!("{number}.")).tempdir_in(&directory);
            let place = Box::leak(Box::new(place.expect("a directory")));
            before(Arc::new(MemoryStore::new(clock)), place)
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_saved_or_read_is_copied_and_a_new_entry_replaces_an_old_copy() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(MemoryStore::new(clock));
        let fronted = before(Arc::clone(&store) as Arc<dyn Store>, &directory);
        let copy = async |key: &str| {
            let copy = found(&fronted.front.store, key).await?;
            Some(fronted.front.store.get(&copy).await.expect("readable"))
        };
        fronted.put(named("saved"), Bytes::from_static(b"saved")).await.expect("saved");
        assert_eq!(copy("saved").await.as_deref(), Some(&b"saved"[..]));
        store.put(named("read"), Bytes::from_static(b"other")).await.expect("saved");
        assert_eq!(copy("read").await, None);
        let entry = found(&fronted, "read").await.expect("an entry");
        assert_eq!(fronted.get(&entry).await.expect("read"), &b"other"[..]);
        assert_eq!(copy("read").await.as_deref(), Some(&b"other"[..]));

        // Deleted elsewhere and saved again.
        store.delete(&entry.id).await.expect("deleted");
        assert_eq!(found(&fronted, "read").await, None);
        fronted.put(named("read"), Bytes::from_static(b"newer")).await.expect("saved");
        assert_eq!(copy("read").await.as_deref(), Some(&b"newer"[..]));
        let replaced = store.delete(&found(&store, "read").await.expect("an entry").id).await;
        replaced.expect("deleted");
        store.put(named("read"), Bytes::from_static(b"of another size")).await.expect("saved");
        let entry = found(&fronted, "read").await.expect("an entry");
        assert_eq!(fronted.get(&entry).await.expect("read"), &b"of another size"[..]);
        assert_eq!(copy("read").await.as_deref(), Some(&b"of another size"[..]));
    }

    #[tokio::test]
    async fn a_front_that_fails_fails_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("front"), "a file").expect("written");
        let fronted = before(Arc::new(MemoryStore::new(clock)), &directory);
        fronted.put(named("k"), Bytes::from_static(b"bytes")).await.expect("saved");
        let entry = found(&fronted, "k").await.expect("an entry");
        fronted.created.lock().expect("no panic").clear();
        assert_eq!(fronted.get(&entry).await.expect("read"), &b"bytes"[..]);
    }

    #[tokio::test]
    async fn a_copy_that_breaks_off_is_continued_from_the_store() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Arc::new(MemoryStore::new(clock));
        let fronted = before(Arc::clone(&store) as Arc<dyn Store>, &directory);
        store.put(named("k"), Bytes::from_static(b"0123456789")).await.expect("saved");
        let entry = found(&*store, "k").await.expect("an entry");
        let broken = || StoreError::new(StoreErrorKind::Other, "cannot read a copy");
        let pieces = [Ok(Bytes::from_static(b"0123")), Err(broken())];
        let copy = futures::stream::iter(pieces).boxed();
        let log = Arc::clone(&fronted.log);
        let read: Vec<Bytes> = going_on_in(copy, store, entry, log).try_collect().await.expect("all of it");
        assert_eq!(read.concat(), b"0123456789");
        assert!(fronted.log.has_failed.get().is_some());
    }

    #[tokio::test]
    async fn a_full_volume_keeps_no_copies() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut fronted = before(Arc::new(MemoryStore::new(clock)), &directory);
        let path = fronted.front.path.clone();
        let [view, ..] = conformance::views();
        let front = DirectoryStore::over(Directory::new(&path, clock), view);
        fronted.front = Arc::new(Front { path, store: front, reserve: SizeOrShare::Percent(100.0) });
        fronted.put(named("k"), Bytes::from_static(b"bytes")).await.expect("saved");
        assert_eq!(found(&fronted.front.store, "k").await, None);
        assert!(found(&fronted, "k").await.is_some());
    }
}
