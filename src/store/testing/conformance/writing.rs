//! Checks of uploads: conditional, atomic, and without leftovers.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::store::contract::{Commit, ListFilter, Store, StoreExt};

use super::steps::{created, found, named, request};

const WRITERS: u8 = 8;

pub(super) async fn of_writers_at_once_one_creates_and_the_others_learn_that_it_exists(store: &impl Store) {
    for round in 0..5 {
        let key = format!("k{round}");
        let write = async |writer: u8| {
            let mut upload = store.create(named("main", &key)).await.expect("an upload");
            for _ in 0..4 {
                upload.write(Bytes::from(vec![writer; 10_000])).await.expect("a write");
                tokio::task::yield_now().await;
            }
            upload.commit().await.expect("a commit")
        };
        let commits = futures::future::join_all((0..WRITERS).map(write)).await;
        let winners: Vec<usize> =
            (0..commits.len()).filter(|n| matches!(commits[*n], Commit::Created(_))).collect();
        assert_eq!(winners.len(), 1, "{commits:?}");
        let Commit::Created(entry) = &commits[winners[0]] else { unreachable!("it was just matched") };
        let bytes = store.get(entry).await.expect("an entry");
        let winner = u8::try_from(winners[0]).expect("there are eight");
        assert!(
            bytes.len() == 40_000 && bytes.iter().all(|byte| *byte == winner),
            "the winner's bytes are kept"
        );
    }
    let recovered = store.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.kept), (0, 0), "uploads that lost leave nothing");
}

pub(super) async fn half_an_entry_is_never_seen(store: &impl Store) {
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
        assert!(matches!(upload.commit().await, Ok(Commit::Created(_))));
        done.store(true, Ordering::SeqCst);
    };
    let watch = async {
        loop {
            // Read before looking: what was committed by then must be seen.
            let committed = done.load(Ordering::SeqCst);
            let entries = store.list(&ListFilter::default()).await.expect("a list");
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

pub(super) async fn an_aborted_upload_leaves_nothing(store: &impl Store) {
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    upload.abort().await;
    nothing_is_left(store).await;
}

pub(super) async fn a_dropped_upload_leaves_nothing(store: &impl Store) {
    drop(store.create(named("main", "a")).await.expect("an upload"));
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    drop(upload);
    nothing_is_left(store).await;
}

async fn nothing_is_left(store: &impl Store) {
    assert_eq!(store.list(&ListFilter::default()).await.expect("a list"), []);
    let recovered = store.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.kept), (0, 0));
    // The name is free.
    created(store, named("main", "a"), b"x").await;
}

pub(super) async fn recovery_spares_entries_and_uploads_in_progress(store: &impl Store) {
    let kept = created(store, named("main", "kept"), b"kept").await;
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    assert_eq!(store.recover().await.expect("a recovery").removed, 0);
    upload.write(Bytes::from(vec![2; 3 << 20])).await.expect("a write after a recovery");
    let Commit::Created(entry) = upload.commit().await.expect("a commit") else {
        panic!("the name was free");
    };
    assert_eq!(store.get(&entry).await.expect("an entry").len(), 6 << 20);
    assert_eq!(store.get(&kept).await.expect("an entry"), &b"kept"[..]);
}
