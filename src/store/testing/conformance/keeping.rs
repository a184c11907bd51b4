//! Checks of what is kept: bytes, names, and that entries never change.

use bytes::Bytes;

use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::MAX_KEY_LENGTH;
use crate::store::contract::{Commit, Deletion, ListFilter, NewEntry, Store, StoreExt};
use crate::store::error::StoreErrorKind;

use super::steps::{TICK, created, found, named, request, scope};

pub(super) async fn bytes_come_back_as_they_were(store: &impl Store) {
    let chunks: Vec<Bytes> = (0..40_u8).map(|n| Bytes::from(vec![n; 1 + usize::from(n) * 7919])).collect();
    let whole: Vec<u8> = chunks.iter().flatten().copied().collect();
    let mut writer = store.create(named("main", "a")).await.expect("an upload");
    for chunk in chunks {
        writer.write(chunk).await.expect("a write");
    }
    let Commit::Created(entry) = writer.commit().await.expect("a commit") else {
        panic!("the store was empty");
    };
    assert_eq!(entry.size.0, whole.len() as u64);
    assert!(store.get(&entry).await.expect("an entry") == whole, "the bytes differ");
    let again = store.find(&entry.scope, &entry.key, &entry.version).await.expect("a lookup");
    assert_eq!(again.as_ref(), Some(&entry), "a lookup says the same of an entry as its commit");
}

pub(super) async fn an_empty_archive_is_an_entry(store: &impl Store) {
    let writer = store.create(named("main", "nothing")).await.expect("an upload");
    let Commit::Created(entry) = writer.commit().await.expect("a commit") else {
        panic!("the store was empty");
    };
    assert_eq!(entry.size.0, 0);
    assert_eq!(store.get(&entry).await.expect("an entry"), Bytes::new());
}

pub(super) async fn long_and_odd_keys_are_kept_exactly(store: &impl Store) {
    let long = |text: &str| text.repeat(MAX_KEY_LENGTH / text.chars().count());
    let keys = [
        long("k"),
        long("k").replacen('k', "K", 1),
        long("k")[..200].to_owned(),
        long("k")[..201].to_owned(),
        long("A"),
        long("\u{e4}"),
        long("\u{1f980}"),
        long("a/"),
        long(".tar.zst"),
        "a b\"c'd<e>f|g?h*i:j;k&l$m`n(o)p{q}r[s]t!u#v^w~x@y+z=".to_owned(),
        "../../etc/passwd".to_owned(),
        "/".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "-rf".to_owned(),
        "trailing.".to_owned(),
        "nul.txt".to_owned(),
        "\u{5d0}\u{202e}\u{feff}x".to_owned(),
    ];
    let odd_scope = format!("refs/heads/{}", "Long/".repeat(30) + "\u{e4}.");
    for text in &keys {
        for scope_name in ["main", &odd_scope] {
            let new = named(scope_name, text);
            let bytes = Bytes::from(format!("{scope_name} {text}"));
            let commit = store.put(new.clone(), bytes.clone()).await;
            let Ok(Commit::Created(entry)) = commit else { panic!("{text:?} came to {commit:?}") };
            assert_eq!(store.get(&entry).await.expect("an entry"), bytes);
            let again = store.find(&new.scope, &new.key, &new.version).await.expect("a lookup");
            assert_eq!(again, Some(entry), "{text:?}");
        }
    }
    let filter = ListFilter { scope: Some(scope(&odd_scope)), ..ListFilter::default() };
    let listed = store.list(&filter).await.expect("a list");
    let mut names: Vec<String> = listed.iter().map(|entry| entry.key.to_string()).collect();
    let mut expect = keys.to_vec();
    names.sort();
    expect.sort();
    assert_eq!(names, expect);
    for entry in store.list(&ListFilter::default()).await.expect("a list") {
        assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted, "{}", entry.key);
    }
    assert_eq!(store.list(&ListFilter::default()).await.expect("a list"), []);
}

pub(super) async fn an_entry_is_immutable(store: &impl Store) {
    let first = created(store, named("main", "a"), b"first").await;
    tokio::time::sleep(TICK).await;
    let second = store.put(named("main", "a"), Bytes::from_static(b"second")).await;
    assert_eq!(second.expect("a commit"), Commit::Exists);
    assert_eq!(store.get(&first).await.expect("an entry"), &b"first"[..]);
    let after = store.list(&ListFilter::default()).await.expect("a list");
    assert_eq!(after, [first], "neither its time nor its size has changed");
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
    let other = created(store, named("main", "b"), b"idle").await;
    assert_eq!(entry.last_used_at, None);
    tokio::time::sleep(TICK).await;
    store.note_use(&entry).await;
    let listed = store.list(&ListFilter::default()).await.expect("a list");
    let used = listed.iter().find(|listed| listed.id == entry.id).expect("it is there");
    // A store may leave that to its service.
    assert!(used.last_used_at.is_none_or(|used| used >= entry.created_at), "{used:?}");
    assert_eq!(listed, [Entry { last_used_at: used.last_used_at, ..entry.clone() }, other]);
    assert_eq!(store.get(&entry).await.expect("an entry"), &b"used"[..]);
    let ids = [entry.id.clone(), EntryId("nonsense".to_owned())];
    assert!(store.leased(&ids).await.expect("leases").is_empty(), "nobody reads");
    assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
    store.note_use(&entry).await;
    assert_eq!(store.list(&ListFilter::default()).await.expect("a list").len(), 1, "a note makes no entry");
}

pub(super) async fn a_deleted_entry_is_gone(store: &impl Store) {
    let gone = created(store, named("main", "a"), b"gone").await;
    let kept = created(store, named("main", "ab"), b"kept").await;
    assert_eq!(store.delete(&gone.id).await.expect("a deletion"), Deletion::Deleted);
    assert_eq!(store.delete(&gone.id).await.expect("a deletion"), Deletion::AlreadyGone);
    assert_eq!(found(store, &request("a", &[], &["topic"])).await, None);
    let error = store.read(&gone).await.err().expect("it has vanished");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(store.list(&ListFilter::default()).await.expect("a list"), [kept]);
}

pub(super) async fn a_successor_is_neither_read_nor_deleted_for_the_entry_before_it(store: &impl Store) {
    let before = created(store, named("main", "a"), b"before").await;
    assert_eq!(store.delete(&before.id).await.expect("a deletion"), Deletion::Deleted);
    tokio::time::sleep(TICK).await;
    let successor = created(store, named("main", "a"), b"after!").await;
    assert_ne!(before.id, successor.id);
    let error = store.read(&before).await.err().expect("it has vanished");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(store.delete(&before.id).await.expect("a deletion"), Deletion::AlreadyGone);
    assert_eq!(store.get(&successor).await.expect("an entry"), &b"after!"[..]);
}

pub(super) async fn an_unknown_id_deletes_nothing(store: &impl Store) {
    let kept = created(store, named("main", "a"), b"kept").await;
    for id in ["", "0", "..", "../x", "entries", "uploads", "entries/../entries", "nonsense#x", "/etc/passwd"]
    {
        let deletion = store.delete(&EntryId(id.to_owned())).await;
        assert!(!matches!(deletion, Ok(Deletion::Deleted)), "{id:?} came to {deletion:?}");
    }
    assert_eq!(store.list(&ListFilter::default()).await.expect("a list"), [kept]);
}
