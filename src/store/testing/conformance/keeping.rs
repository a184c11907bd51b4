//! Checks that bytes and names come back as they were, and that entries never change.

use bytes::Bytes;
use futures::TryStreamExt as _;

use crate::domain::entry::Entry;
use crate::store::contract::{Commit, NewEntry, Store, StoreExt};

use super::steps::{created, long_and_odd_names, named, tick};

pub(super) async fn bytes_come_back_as_they_were(store: &impl Store) {
    let chunks: Vec<Bytes> = (0..40_u8).map(|n| Bytes::from(vec![n; 1 + usize::from(n) * 7919])).collect();
    let whole: Vec<u8> = chunks.iter().flatten().copied().collect();
    let mut writer = store.create(named("main", "a")).await.expect("an upload");
    for chunk in chunks {
        writer.write(chunk).await.expect("a write");
    }
    let Commit::Created { entry, .. } = writer.commit().await.expect("a commit") else {
        panic!("the store was empty");
    };
    assert_eq!(entry.size.0, whole.len() as u64);
    assert!(store.get(&entry).await.expect("an entry") == whole, "the bytes differ");
    let end = entry.size.0;
    let parts = store.read_parts(&entry, &[0..0, 0..100, 50_000..90_001, end - 9..end]).await.expect("parts");
    let expect = [&whole[..0], &whole[..100], &whole[50_000..90_001], &whole[whole.len() - 9..]];
    assert!(parts == expect, "the parts differ");
    let ranges = store.read_ranges(&entry, vec![0..100, 100..100, 50_000..90_001, end - 9..end]).await;
    let read: Vec<Bytes> = ranges.expect("ranges").try_collect().await.expect("all of them");
    assert!(read.concat() == expect.concat(), "the ranges differ");
    let again = store.find(&entry.scope, &entry.key, &entry.version).await.expect("a lookup");
    assert_eq!(again.as_ref(), Some(&entry), "a lookup describes an entry as its commit did");
}

pub(super) async fn an_empty_archive_is_an_entry(store: &impl Store) {
    let writer = store.create(named("main", "nothing")).await.expect("an upload");
    let Commit::Created { entry, .. } = writer.commit().await.expect("a commit") else {
        panic!("the store was empty");
    };
    assert_eq!(entry.size.0, 0);
    assert_eq!(store.get(&entry).await.expect("an entry"), Bytes::new());
}

pub(super) async fn long_and_odd_keys_are_kept_exactly(store: &impl Store) {
    let (keys, odd_scope) = long_and_odd_names();
    for text in &keys {
        for scope_name in ["main", &odd_scope] {
            let new = named(scope_name, text);
            let bytes = Bytes::from(format!("{scope_name} {text}"));
            let commit = store.put(new.clone(), bytes.clone()).await;
            let Ok(Commit::Created { entry, .. }) = commit else { panic!("{text:?} came to {commit:?}") };
            assert_eq!(store.get(&entry).await.expect("an entry"), bytes);
            let again = store.find(&new.scope, &new.key, &new.version).await.expect("a lookup");
            assert_eq!(again, Some(entry), "{text:?}");
        }
    }
}

pub(super) async fn an_entry_is_immutable(store: &impl Store) {
    let first = created(store, named("main", "a"), b"first").await;
    tick().await;
    let second = store.put(named("main", "a"), Bytes::from_static(b"second")).await;
    assert_eq!(second.expect("a commit"), Commit::Exists);
    assert_eq!(store.get(&first).await.expect("an entry"), &b"first"[..]);
    let after = store.find(&first.scope, &first.key, &first.version).await.expect("a lookup");
    assert_eq!(after, Some(first), "neither its time nor its size has changed");
    created(store, named("topic", "a"), b"another scope").await;
    created(
        store,
        NewEntry { version: super::steps::version("b"), ..named("main", "a") },
        b"another version",
    )
    .await;
}

pub(super) async fn a_use_changes_nothing_but_the_time_of_the_last_use(store: &impl Store) {
    let entry = created(store, named("main", "a"), b"used").await;
    assert_eq!(entry.last_used_at, None);
    tick().await;
    store.note_use(&entry).await;
    let used = store.find(&entry.scope, &entry.key, &entry.version).await.expect("a lookup");
    let used = used.expect("it is there");
    // A store may leave that to its service.
    assert!(used.last_used_at.is_none_or(|used| used >= entry.created_at), "{used:?}");
    assert_eq!(used, Entry { last_used_at: used.last_used_at, ..entry.clone() });
    assert_eq!(store.get(&entry).await.expect("an entry"), &b"used"[..]);
}
