//! A store in a directory conforms, and what only it can do wrong.

use crate::domain::entry_filter::EntryFilter;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;

use super::{Directory, DirectoryStore};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::repository::RepositoryId;
use crate::domain::scope::Scope;
use crate::domain::version::Version;
use crate::store::backend::Viewpoint;
use crate::store::catalog::{Catalog as _, CatalogError, Deletion};
use crate::store::contract::{Commit, NewEntry, Store as _, StoreExt as _};
use crate::store::error::StoreErrorKind;
use crate::store::testing::{ReadOnly, conformance};

fn clock() -> DateTime<Utc> {
    Utc::now()
}

pub(super) fn named(key: &str) -> NewEntry {
    NewEntry {
        scope: Scope::new("main").expect("a scope"),
        key: Key::new(key).expect("a key"),
        version: Version::of_roots(["x"]),
    }
}

pub(super) fn in_directory(root: &Path) -> DirectoryStore {
    DirectoryStore::over(Directory::new(root, clock), view())
}

/// What the stores of these tests see.
pub(super) fn view() -> Viewpoint {
    Viewpoint::of(RepositoryId::parse("github.com/owner/name").expect("a repository"))
}

pub(super) async fn created(store: &DirectoryStore, key: &str, bytes: &'static [u8]) -> Entry {
    match store.put(named(key), Bytes::from_static(bytes)).await {
        Ok(Commit::Created { entry, .. }) => entry,
        other => panic!("{key} came to {other:?}"),
    }
}

/// Every file below a directory, relative to it, sorted.
pub(super) fn files_below(root: &Path) -> Vec<String> {
    let mut files: Vec<String> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(root).expect("below").display().to_string())
        .map(|path| path.replace(std::path::MAIN_SEPARATOR, "/"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_store_in_a_directory_conforms() {
    let place = tempfile::tempdir().expect("a directory");
    let count = AtomicUsize::new(0);
    conformance::run_catalog(async || {
        let root = place.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        in_directory(&root)
    })
    .await;
}

#[tokio::test]
async fn a_directory_keeps_repositories_apart() {
    let place = tempfile::tempdir().expect("a directory");
    let count = AtomicUsize::new(0);
    conformance::run_divided(async || {
        let root = place.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        conformance::views().map(|view| DirectoryStore::over(Directory::new(&root, clock), view))
    })
    .await;
}

#[tokio::test]
async fn a_read_only_view_of_a_directory_conforms() {
    let place = tempfile::tempdir().expect("a directory");
    let count = AtomicUsize::new(0);
    conformance::run_read_only(async || {
        let root = place.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        (in_directory(&root), ReadOnly::new(in_directory(&root)))
    })
    .await;
}

#[tokio::test]
async fn a_directory_holds_the_archives_and_the_layout_file_and_nothing_else() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    created(&store, "a-1", b"one").await;
    let entry = created(&store, "Big", b"two").await;
    let directory = format!("repositories/github.com/owner/name/refs=2fheads=2fmain/{}", entry.version);
    assert_eq!(
        files_below(root.path()),
        [
            "cachekeep-store".to_owned(),
            format!("{directory}/=42ig.tar.zst"),
            format!("{directory}/a-1.tar.zst")
        ]
    );
    let archive = root.path().join(directory).join("=42ig.tar.zst");
    assert_eq!(fs::read(archive).expect("an archive"), b"two", "the file is the archive itself");
}

#[tokio::test]
async fn odd_roots_are_served() {
    let place = tempfile::tempdir().expect("a directory");
    let names = ["with space", "per%20cent", "h#sh", "\u{e4}\u{1f980}", "a+b&c=d;e", "uploads"];
    for name in names.into_iter().chain(cfg!(unix).then_some("qu?stion")) {
        let store = in_directory(&place.path().join(name));
        let entry = created(&store, "k", b"x").await;
        assert_eq!(
            store.list(&EntryFilter::default()).await.expect("a list"),
            std::slice::from_ref(&entry),
            "{name}"
        );
        assert_eq!(store.get(&entry).await.expect("an entry"), &b"x"[..]);
        assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
    }
}

#[tokio::test]
async fn foreign_files_are_neither_entries_nor_in_the_way() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let entry = created(&store, "k", b"x").await;
    let directory = root.path().join(view().directory(&entry.scope, Some(&entry.version)).as_ref());
    let names = ["README", "J.tar.zst", "k.tar.zst#1", "k.tar.zst.part", ".tar.zst"];
    for name in names.into_iter().chain(cfg!(unix).then_some("new\nline.tar.zst")) {
        fs::write(directory.join(name), "junk").expect("a file");
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        fs::write(directory.join(std::ffi::OsStr::from_bytes(b"\xff.tar.zst")), "junk").expect("a file");
        std::os::unix::fs::symlink("nowhere", directory.join("l.tar.zst")).expect("a link");
    }
    fs::create_dir_all(directory.join("d.tar.zst/x")).expect("a directory");
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), std::slice::from_ref(&entry));
    for n in 0..50 {
        created(&store, &format!("more-{n}"), b"x").await;
    }
    let listed = store.list(&EntryFilter::default()).await.expect("a list");
    assert_eq!(listed.len(), 51, "what comes after something foreign in a directory is listed as well");
    let again = store.find(&entry.scope, &entry.key, &entry.version).await.expect("a lookup");
    assert_eq!(again, Some(entry));
}

#[tokio::test]
async fn deleting_the_last_entry_leaves_no_empty_directories() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let long = created(&store, &"k".repeat(500), b"x").await;
    let other = created(&store, "other", b"x").await;
    store.delete(&long.id).await.expect("a deletion");
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), std::slice::from_ref(&other));
    store.delete(&other.id).await.expect("a deletion");
    assert_eq!(fs::read_dir(root.path().join("repositories")).expect("a directory").count(), 0);
}

#[tokio::test]
async fn a_newer_layout_is_refused_by_every_operation_and_left_alone() {
    let root = tempfile::tempdir().expect("a directory");
    fs::write(root.path().join("cachekeep-store"), "cachekeep store, layout 2\n").expect("a layout file");
    let store = in_directory(root.path());
    let refused = |error: Option<CatalogError>| {
        let kind = match error {
            Some(CatalogError::Store(error)) => Some(error.kind()),
            _ => None,
        };
        assert_eq!(kind, Some(StoreErrorKind::Unsupported));
    };
    refused(store.list(&EntryFilter::default()).await.err());
    refused(store.create(named("k")).await.err().map(CatalogError::from));
    refused(store.delete(&EntryId("x".to_owned())).await.err());
    refused(store.recover().await.err());
    assert_eq!(files_below(root.path()), ["cachekeep-store"]);
}

#[tokio::test]
async fn an_entry_that_was_cut_is_an_error_and_not_a_short_entry() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let entry = created(&store, "k", b"0123456789").await;
    let path = root.path().join(view().entry_path(&named("k")).as_ref());
    // Cut while it is being read: the stream was promised ten bytes.
    let mut stream = store.read(&entry).await.expect("a stream");
    fs::File::options().write(true).open(path).expect("a file").set_len(4).expect("cut");
    let mut result = Ok(None);
    for _ in 0..3 {
        result = stream.try_next().await;
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result.expect_err("it is too short").kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_root_that_cannot_be_created_is_named_in_the_error() {
    let place = tempfile::tempdir().expect("a directory");
    let file: PathBuf = place.path().join("file");
    fs::write(&file, "").expect("a file");
    let root = file.join("store");
    let store = in_directory(&root);
    let error = store.put(named("k"), Bytes::from_static(b"k")).await.expect_err("it cannot be created");
    let names_it = |verb: &str| error.to_string().starts_with(&format!("cannot {verb} {}", root.display()));
    // To Windows a directory in a file is not found, and is made.
    assert!(names_it("open") || names_it("create"), "{error}");
    let error = in_directory(&file).list(&EntryFilter::default()).await.expect_err("it is a file");
    assert!(error.to_string().starts_with(&format!("cannot open {}", file.display())), "{error}");
}

#[tokio::test]
async fn a_store_that_is_only_looked_at_is_not_created() {
    let place = tempfile::tempdir().expect("a directory");
    let root = place.path().join("a/store");
    let store = in_directory(&root);
    assert!(store.list(&EntryFilter::default()).await.expect("listed").is_empty());
    store.recover().await.expect("nothing to recover");
    assert_eq!(fs::read_dir(place.path()).expect("read").count(), 0);
    created(&store, "k", b"k").await;
    assert!(root.is_dir());
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_volume_is_no_space_and_nothing_is_left() {
    let root = tempfile::tempdir().expect("a directory");
    let Some(_mount) = crate::fs::testing::Mount::tmpfs(root.path(), "1m") else { return };
    let store = in_directory(root.path());
    let kept = created(&store, "kept", b"kept").await;
    let error = store.put(named("k"), Bytes::from(vec![1; 4 << 20])).await.expect_err("it is too much");
    assert_eq!(error.kind(), StoreErrorKind::NoSpace);
    let message = error.to_string();
    assert!(message.starts_with(&format!("cannot write {}", root.path().display())), "{message}");
    assert!(message.ends_with(": no space is left"), "{message}");
    assert_eq!(files_below(root.path()).len(), 2, "the layout file and the entry that was there");
    assert_eq!(store.get(&kept).await.expect("an entry"), &b"kept"[..]);
    created(&store, "small", b"fits").await;
}
