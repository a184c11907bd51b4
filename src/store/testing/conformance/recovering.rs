//! Checks of uploads as a catalog sees them: unfinished ones are not listed, and recovery removes only dead ones.

use crate::domain::entry_filter::EntryFilter;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::store::catalog::Catalog;
use crate::store::contract::{Commit, Store, StoreExt};

use super::steps::{created, found, named, one_of_writers_at_once_wins, request};

pub(super) async fn uploads_that_lost_leave_nothing(store: &(impl Store + Catalog)) {
    one_of_writers_at_once_wins(store, "k").await;
    let recovered = store.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.kept), (0, 0), "uploads that lost leave nothing");
}

pub(super) async fn half_an_entry_is_never_listed(store: &(impl Store + Catalog)) {
    const CHUNKS: usize = 64;
    const CHUNK: usize = 100_000;
    let done = AtomicBool::new(false);
    let write = async {
        let mut upload = store.create(named("main", "a-1")).await.expect("an upload");
        for _ in 0..CHUNKS {
            upload.write(Bytes::from(vec![7; CHUNK])).await.expect("a write");
            tokio::task::yield_now().await;
        }
        assert_eq!(found(store, &request("a-1", &["a"], &["main"])).await, None, "nothing before the commit");
        assert!(matches!(upload.commit().await, Ok(Commit::Created { .. })));
        done.store(true, Ordering::SeqCst);
    };
    let watch = async {
        loop {
            // Read before looking: what was committed by then must be seen.
            let committed = done.load(Ordering::SeqCst);
            let entries = store.list(&EntryFilter::default()).await.expect("a list");
            for entry in &entries {
                assert_eq!(entry.size.0, (CHUNKS * CHUNK) as u64, "half an entry is listed");
                assert_eq!(store.get(entry).await.expect("an entry").len(), CHUNKS * CHUNK);
            }
            if committed {
                assert_eq!(entries.len(), 1);
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, watch);
}

pub(super) async fn aborted_and_dropped_uploads_leave_nothing(store: &(impl Store + Catalog)) {
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    upload.abort().await;
    nothing_is_left(store).await;
    drop(store.create(named("main", "a")).await.expect("an upload"));
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    drop(upload);
    nothing_is_left(store).await;
}

async fn nothing_is_left(store: &(impl Store + Catalog)) {
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), []);
    let recovered = store.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.kept), (0, 0));
}

pub(super) async fn recovery_keeps_entries_and_uploads_in_progress(store: &(impl Store + Catalog)) {
    let kept = created(store, named("main", "kept"), b"kept").await;
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    assert_eq!(store.recover().await.expect("a recovery").removed, 0);
    upload.write(Bytes::from(vec![2; 3 << 20])).await.expect("a write after a recovery");
    let Commit::Created { entry, .. } = upload.commit().await.expect("a commit") else {
        panic!("the name was free");
    };
    assert_eq!(store.get(&entry).await.expect("an entry").len(), 6 << 20);
    assert_eq!(store.get(&kept).await.expect("an entry"), &b"kept"[..]);
}
