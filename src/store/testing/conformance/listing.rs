//! Checks of lists and deletions.

use crate::domain::entry_filter::EntryFilter;
use bytes::Bytes;

use crate::domain::entry::{Entry, EntryId};
use crate::store::catalog::{Catalog, Deletion};
use crate::store::contract::{Commit, NewEntry, Store, StoreExt};
use crate::store::error::StoreErrorKind;

use super::steps::LOOK_ALIKE_KEYS;
use super::steps::{
    UNKNOWN_IDS, created, created_in_turn, found, long_and_odd_names, named, request, scope, tick, version,
};

pub(super) async fn an_empty_catalog_lists_nothing(store: &(impl Store + Catalog)) {
    assert!(!Catalog::location(store).is_empty(), "a catalog has a location");
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), []);
    let recovered = store.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.kept), (0, 0));
}

pub(super) async fn names_that_look_alike_are_listed_apart(store: &(impl Store + Catalog)) {
    for text in LOOK_ALIKE_KEYS {
        created(store, named("main", text), text.as_bytes()).await;
        created(store, named("MAIN", text), b"upper").await;
    }
    let filter = EntryFilter { scope: Some(scope("main")), ..EntryFilter::default() };
    assert_eq!(store.list(&filter).await.expect("a list").len(), LOOK_ALIKE_KEYS.len());
}

pub(super) async fn long_and_odd_keys_are_listed_and_deleted(store: &(impl Store + Catalog)) {
    let (keys, odd_scope) = long_and_odd_names();
    for text in &keys {
        for scope_name in ["main", &odd_scope] {
            created(store, named(scope_name, text), b"x").await;
        }
    }
    let filter = EntryFilter { scope: Some(scope(&odd_scope)), ..EntryFilter::default() };
    let listed = store.list(&filter).await.expect("a list");
    let mut names: Vec<String> = listed.iter().map(|entry| entry.key.to_string()).collect();
    let mut expect = keys.clone();
    names.sort();
    expect.sort();
    assert_eq!(names, expect);
    for entry in store.list(&EntryFilter::default()).await.expect("a list") {
        assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted, "{}", entry.key);
    }
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), []);
}

pub(super) async fn a_second_save_changes_nothing_in_the_list(store: &(impl Store + Catalog)) {
    let first = created(store, named("main", "a"), b"first").await;
    tick().await;
    let second = store.put(named("main", "a"), Bytes::from_static(b"second")).await;
    assert_eq!(second.expect("a commit"), Commit::Exists);
    let after = store.list(&EntryFilter::default()).await.expect("a list");
    assert_eq!(after, [first], "neither its time nor its size has changed");
}

pub(super) async fn lists_are_filtered_and_sorted(store: &(impl Store + Catalog)) {
    created_in_turn(store, &[("topic", "b-1"), ("main", "a-2"), ("main", "b-1"), ("main", "a-1")]).await;
    created(store, NewEntry { version: version("b"), ..named("main", "a-1") }, b"x").await;
    let all = listed(store, EntryFilter::default()).await;
    let mut sorted = all.clone();
    sorted
        .sort_by(|one, two| (&one.scope, &one.key, &one.version).cmp(&(&two.scope, &two.key, &two.version)));
    assert_eq!(all, sorted);
    assert_eq!(all.len(), 5);

    let main = Some(scope("main"));
    let prefix = Some("a-".to_owned());
    let check = async |filter: EntryFilter, expect: usize| {
        let entries = listed(store, filter.clone()).await;
        assert_eq!(entries.len(), expect, "{filter:?}");
        assert!(
            entries.iter().all(|entry| all.contains(entry)),
            "a filtered list describes entries as the full one"
        );
    };
    let any = EntryFilter::default;
    check(EntryFilter { scope: main.clone(), ..any() }, 4).await;
    check(EntryFilter { key_prefix: prefix.clone(), ..any() }, 3).await;
    check(EntryFilter { version: Some(version("b")), ..any() }, 1).await;
    check(EntryFilter { scope: main, key_prefix: prefix, version: Some(version("a")), ..any() }, 2).await;
    check(EntryFilter { scope: Some(scope("none")), ..any() }, 0).await;
}

pub(super) async fn a_use_changes_nothing_but_the_time_of_the_last_use(store: &(impl Store + Catalog)) {
    let entry = created(store, named("main", "a"), b"used").await;
    let other = created(store, named("main", "b"), b"idle").await;
    assert_eq!(entry.last_used_at, None);
    tick().await;
    store.note_use(&entry).await;
    let listed = store.list(&EntryFilter::default()).await.expect("a list");
    let used = listed.iter().find(|listed| listed.id == entry.id).expect("it is there");
    // A store may leave that to its service.
    assert!(used.last_used_at.is_none_or(|used| used >= entry.created_at), "{used:?}");
    assert_eq!(listed, [Entry { last_used_at: used.last_used_at, ..entry.clone() }, other]);
    assert_eq!(store.get(&entry).await.expect("an entry"), &b"used"[..]);
    let ids = [entry.id.clone(), EntryId("nonsense".to_owned())];
    assert!(store.leased(&ids).await.expect("leases").is_empty(), "no process reads");
    assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
    store.note_use(&entry).await;
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list").len(), 1, "a note makes no entry");
}

pub(super) async fn a_deleted_entry_is_gone(store: &(impl Store + Catalog)) {
    let gone = created(store, named("main", "a"), b"gone").await;
    let kept = created(store, named("main", "ab"), b"kept").await;
    assert_eq!(store.delete(&gone.id).await.expect("a deletion"), Deletion::Deleted);
    assert_eq!(store.delete(&gone.id).await.expect("a deletion"), Deletion::AlreadyGone);
    assert_eq!(found(store, &request("a", &[], &["topic"])).await, None);
    let error = store.read(&gone).await.err().expect("it has vanished");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), [kept]);
}

pub(super) async fn a_successor_is_neither_read_nor_deleted_for_the_entry_before_it(
    store: &(impl Store + Catalog),
) {
    let before = created(store, named("main", "a"), b"before").await;
    assert_eq!(store.delete(&before.id).await.expect("a deletion"), Deletion::Deleted);
    tick().await;
    let successor = created(store, named("main", "a"), b"after!").await;
    assert_ne!(before.id, successor.id);
    let error = store.read(&before).await.err().expect("it has vanished");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(store.delete(&before.id).await.expect("a deletion"), Deletion::AlreadyGone);
    assert_eq!(store.get(&successor).await.expect("an entry"), &b"after!"[..]);
}

pub(super) async fn an_unknown_id_deletes_nothing(store: &(impl Store + Catalog)) {
    let kept = created(store, named("main", "a"), b"kept").await;
    for id in UNKNOWN_IDS {
        let deletion = store.delete(&EntryId(id.to_owned())).await;
        assert!(!matches!(deletion, Ok(Deletion::Deleted)), "{id:?} came to {deletion:?}");
    }
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), [kept]);
}

async fn listed(store: &impl Catalog, filter: EntryFilter) -> Vec<Entry> {
    store.list(&filter).await.expect("a list")
}
