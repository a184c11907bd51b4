//! Uploads of jobs that died.

use bytes::Bytes;
use cachekeep::store::{Catalog as _, RemoteStore, Store as _};
use chrono::{DateTime, TimeDelta, Utc};

use super::service::{Running, fresh_prefix, named, request, view};

fn tomorrow() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(25)
}

/// Removed and kept uploads.
async fn recovered(store: &RemoteStore) -> (u64, u64) {
    let recovered = store.recover().await.expect("a recovery");
    assert_eq!(recovered.refused, Vec::<String>::new());
    (recovered.removed, recovered.kept)
}

/// One part of an upload is sent, and its job is gone; `stays` is whether the service keeps it.
async fn a_dead_upload(service: &Running, stays: u64) {
    let prefix = fresh_prefix();
    let store = service.store(&prefix, view());
    let mut upload = store.create(named("k")).await.expect("an upload");
    upload.write(Bytes::from(vec![7; 18 << 20])).await.expect("a write");
    std::mem::forget(upload);
    assert_eq!(store.lookup(&request("k")).await.expect("an answer"), None);
    assert_eq!(recovered(&store).await, (0, stays));
    let later = service.store_with_clock(&prefix, view(), service.port(), tomorrow);
    assert_eq!(recovered(&later).await, (stays, 0));
    assert_eq!(recovered(&store).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_aborted_after_a_day() {
    if let Some(service) = Running::versitygw() {
        a_dead_upload(&service, 1).await;
    }
    a_dead_upload(&Running::gcs(), 1).await;
    // The service drops them by itself.
    if let Some(service) = Running::azurite() {
        a_dead_upload(&service, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copies_of_google_leave_nothing_behind() {
    let service = Running::gcs();
    let store = service.store("p", view());
    for key in ["a", "a", "b"] {
        let mut upload = store.create(named(key)).await.expect("an upload");
        upload.write(Bytes::from(vec![7; 9 << 20])).await.expect("a write");
        upload.commit().await.expect("a commit");
    }
    let Running::Gcs(gcs) = &service else { unreachable!("it was just made") };
    let (names, uploads) = gcs.kept();
    let entries = names.iter().filter(|name| name.ends_with(".tar.zst")).count();
    assert_eq!((names.len(), entries, uploads), (3, 2, 0), "{names:?}");
}
