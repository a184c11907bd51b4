//! Entries of a directory that are read, used and deleted at the same time, by this and by other processes.

use crate::domain::entry_filter::EntryFilter;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures::TryStreamExt as _;

use super::DirectoryStore;
use super::process_tests::Peer;
use super::tests::{created, files_below, in_directory, named, view};
use crate::domain::entry::Entry;
use crate::store::backend::layout;
use crate::store::catalog::{Catalog as _, Deletion};
use crate::store::contract::{Commit, Store as _, StoreExt as _};

/// More than a stream reads ahead.
const LARGE: usize = 4 << 20;

fn use_file(root: &Path, key: &str) -> PathBuf {
    layout::use_file_of(&root.join(view().entry_path(&named(key)).as_ref()))
}

async fn large(store: &DirectoryStore, key: &str) -> Entry {
    match store.put(named(key), Bytes::from(vec![7; LARGE])).await {
        Ok(Commit::Created { entry, .. }) => entry,
        other => panic!("{key} came to {other:?}"),
    }
}

#[tokio::test]
async fn an_entry_that_is_being_read_is_not_deleted_and_is_read_to_its_end() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let (entry, idle) = (large(&store, "k").await, created(&store, "idle", b"x").await);
    let ids = [entry.id.clone(), idle.id];
    let mut stream = store.read(&entry).await.expect("a stream");
    assert_eq!(store.leased(&ids).await.expect("leases"), BTreeSet::from([entry.id.clone()]));
    let mut length = stream.try_next().await.expect("a chunk").map_or(0, |chunk| chunk.len());
    assert_eq!(store.delete(&entry.id).await.expect("an answer"), Deletion::InUse);
    while let Some(chunk) = stream.try_next().await.expect("a chunk") {
        length += chunk.len();
    }
    assert_eq!(length, LARGE);
    drop(stream);
    assert!(store.leased(&ids).await.expect("leases").is_empty());
    assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
}

#[tokio::test]
async fn a_lease_of_another_process_counts_until_it_ends_or_dies() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let entry = large(&store, "k").await;
    for is_killed in [false, true] {
        let mut peer = Peer::start("read k", root.path());
        assert_eq!(peer.next_line(), "reading");
        assert_eq!(store.delete(&entry.id).await.expect("an answer"), Deletion::InUse);
        assert_eq!(
            store.leased(std::slice::from_ref(&entry.id)).await.expect("leases"),
            BTreeSet::from([entry.id.clone()])
        );
        if is_killed {
            peer.kill();
        } else {
            peer.go_on();
            assert_eq!(peer.next_line(), (LARGE - (1 << 20)).to_string(), "it read the rest");
            peer.end();
        }
        assert!(store.leased(std::slice::from_ref(&entry.id)).await.expect("leases").is_empty());
    }
    assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
    assert_eq!(files_below(root.path()), ["cachekeep-store", "directories.lock"], "a lease leaves nothing");
}

#[tokio::test]
async fn a_use_is_a_file_beside_the_entry_that_goes_with_it() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let long = "k".repeat(300);
    for key in ["Big.1", long.as_str()] {
        let entry = created(&store, key, b"x").await;
        store.note_use(&entry).await;
        let file = fs::File::options().write(true).open(use_file(root.path(), key)).expect("a use file");
        let later = Utc::now() + TimeDelta::hours(30);
        file.set_modified(later.into()).expect("set");
        // A clock that is behind takes nothing back.
        store.note_use(&entry).await;
        let found = store.find(&entry.scope, &entry.key, &entry.version).await.expect("a lookup");
        let found = found.expect("an entry");
        assert_eq!((&found.id, found.created_at), (&entry.id, entry.created_at));
        assert_eq!(found.last_used_at.map(|used| (used - later).num_seconds()), Some(0));
        assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
    }
    assert_eq!(files_below(root.path()), ["cachekeep-store", "directories.lock"]);
    assert_eq!(fs::read_dir(root.path().join("repositories")).expect("a directory").count(), 0);
}

#[tokio::test]
async fn use_files_whose_entry_was_removed_by_hand_are_removed_and_others_stay() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let (gone, kept) = (created(&store, "gone", b"x").await, created(&store, "kept", b"x").await);
    for entry in [&gone, &kept] {
        store.note_use(entry).await;
    }
    fs::remove_file(root.path().join(view().entry_path(&named("gone")).as_ref())).expect("removed");
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list").len(), 1);
    store.recover().await.expect("a recovery");
    assert!(!use_file(root.path(), "gone").exists() && use_file(root.path(), "kept").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_use_file_of_another_user_is_replaced_and_a_store_that_cannot_be_written_still_serves() {
    use std::os::unix::fs::PermissionsExt as _;

    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let entry = created(&store, "k", b"bytes").await;
    store.note_use(&entry).await;
    let directory = use_file(root.path(), "k").parent().expect("a directory").to_owned();
    for path in [use_file(root.path(), "k"), directory.clone()] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("changed");
    }
    let before = files_below(root.path());
    store.note_use(&entry).await;
    assert_eq!(store.get(&entry).await.expect("an entry"), &b"bytes"[..]);
    assert_eq!(files_below(root.path()), before);
    assert_eq!(store.recover().await.expect("a recovery").kept, 0, "nothing is left behind");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("changed");
}

#[cfg(unix)]
#[tokio::test]
async fn links_in_a_store_are_not_followed() {
    let (root, elsewhere) =
        (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = in_directory(root.path());
    let other = in_directory(elsewhere.path());
    created(&other, "k", b"x").await;
    let scope = view().directory(&named("k").scope, None);
    let above = root.path().join(scope.as_ref());
    fs::create_dir_all(above.parent().expect("a repository")).expect("directories");
    std::os::unix::fs::symlink(elsewhere.path().join(scope.as_ref()), root.path().join(scope.as_ref()))
        .expect("a link");
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), []);
}

#[tokio::test]
async fn an_entry_is_leased_from_its_publication_until_it_was_read_back() {
    let root = tempfile::tempdir().expect("a directory");
    let (store, other) = (in_directory(root.path()), in_directory(root.path()));
    let entry = large(&store, "k").await;
    assert_eq!(other.delete(&entry.id).await.expect("an answer"), Deletion::InUse);
    let stream = store.read(&entry).await.expect("a stream");
    assert_eq!(other.delete(&entry.id).await.expect("an answer"), Deletion::InUse);
    drop(stream);
    assert_eq!(other.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
    // A store that does nothing more holds none, either.
    let entry = large(&store, "l").await;
    drop(store);
    assert_eq!(other.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
}
