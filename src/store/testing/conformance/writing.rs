//! Checks of uploads: conditional, and visible as a whole.

use bytes::Bytes;

use crate::store::contract::{Commit, Store, StoreExt};

use super::steps::{created, found, named, one_of_writers_at_once_wins, request};

pub(super) async fn of_writers_at_once_one_creates_and_the_others_learn_that_it_exists(store: &impl Store) {
    for round in 0..5 {
        one_of_writers_at_once_wins(store, &format!("k{round}")).await;
    }
}

pub(super) async fn nothing_is_found_before_the_commit(store: &impl Store) {
    const CHUNKS: usize = 64;
    const CHUNK: usize = 100_000;
    let mut upload = store.create(named("main", "a-1")).await.expect("an upload");
    for _ in 0..CHUNKS {
        upload.write(Bytes::from(vec![7; CHUNK])).await.expect("a write");
    }
    assert_eq!(found(store, &request("a-1", &["a"], &["main"])).await, None, "nothing before the commit");
    let Commit::Created { entry, .. } = upload.commit().await.expect("a commit") else {
        panic!("the name was free");
    };
    assert_eq!(entry.size.0, (CHUNKS * CHUNK) as u64);
    assert_eq!(store.get(&entry).await.expect("an entry").len(), CHUNKS * CHUNK);
}

pub(super) async fn an_aborted_upload_leaves_its_name_free(store: &impl Store) {
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    upload.abort().await;
    the_name_is_free(store).await;
}

pub(super) async fn a_dropped_upload_leaves_its_name_free(store: &impl Store) {
    drop(store.create(named("main", "a")).await.expect("an upload"));
    let mut upload = store.create(named("main", "a")).await.expect("an upload");
    upload.write(Bytes::from(vec![1; 3 << 20])).await.expect("a write");
    drop(upload);
    the_name_is_free(store).await;
}

async fn the_name_is_free(store: &impl Store) {
    assert_eq!(found(store, &request("a", &[], &["main"])).await, None);
    created(store, named("main", "a"), b"x").await;
}
