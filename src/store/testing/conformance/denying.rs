//! Checks of a read-only view of a store.

use crate::domain::entry::Entry;
use crate::domain::entry_filter::EntryFilter;
use crate::store::catalog::{Catalog, CatalogError};
use crate::store::contract::{Store, StoreExt};
use crate::store::error::{Access, StoreErrorKind};

use super::steps::{created, named, request};

const DENIED: StoreErrorKind = StoreErrorKind::Denied(Access::Write);

pub(super) async fn what_can_be_read_reads_the_same(
    writable: &(impl Store + Catalog),
    read_only: &(impl Store + Catalog),
) {
    let one = created(writable, named("main", "a-1"), b"one").await;
    let two = created(writable, named("topic", "a-2"), b"two").await;
    let all = EntryFilter::default();
    assert_eq!(listed(read_only, &all).await, [one.clone(), two]);
    let wanted = request("a-9", &["a-"], &["main"]);
    assert_eq!(read_only.lookup(&wanted).await.expect("a lookup"), Some(one.clone()));
    assert_eq!(read_only.get(&one).await.expect("an entry"), &b"one"[..]);
}

pub(super) async fn nothing_is_created_or_deleted(
    writable: &(impl Store + Catalog),
    read_only: &(impl Store + Catalog),
) {
    let kept = created(writable, named("main", "a"), b"kept").await;
    let error = read_only.create(named("main", "b")).await.err().expect("creating is denied");
    assert_eq!(error.kind(), DENIED);
    let error = read_only.delete(&kept.id).await.expect_err("deleting is denied");
    assert!(matches!(&error, CatalogError::Store(error) if error.kind() == DENIED), "{error:?}");

    let mut upload = writable.create(named("main", "c")).await.expect("an upload");
    assert_eq!(read_only.recover().await.expect("a recovery").removed, 0);
    upload.write("c".into()).await.expect("a write");
    upload.abort().await;
    assert_eq!(listed(writable, &EntryFilter::default()).await, [kept]);
}

async fn listed(store: &impl Catalog, filter: &EntryFilter) -> Vec<Entry> {
    store.list(filter).await.expect("a list")
}
