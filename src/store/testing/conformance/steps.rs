//! Names, requests and steps that the checks share.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::key::{Key, MAX_KEY_LENGTH};
use crate::domain::scope::Scope;
use crate::domain::version::Version;
use crate::store::contract::{Commit, NewEntry, Store, StoreExt as _};

/// The pause between entries whose age is compared: more than the granularity of any file system's clock
/// but FAT's.
pub const TICK: Duration = Duration::from_millis(30);

tokio::task_local! {
    static OTHER_TICK: Duration;
}

/// Runs checks of a store whose clock is coarser than [`TICK`].
pub async fn with_tick<F: Future>(tick: Duration, checks: F) -> F::Output {
    OTHER_TICK.scope(tick, checks).await
}

/// Waits until the clock of the store has moved on.
pub(super) async fn tick() {
    tokio::time::sleep(OTHER_TICK.try_with(|tick| *tick).unwrap_or(TICK)).await;
}

const WRITERS: u8 = 8;

pub(super) fn scope(name: &str) -> Scope {
    Scope::new(name).expect("scopes in checks are valid")
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text).expect("keys in checks are valid")
}

pub(super) fn version(root: &str) -> Version {
    Version::of_roots([root])
}

/// The name of an entry of the version that most checks use.
pub(super) fn named(scope_name: &str, key_text: &str) -> NewEntry {
    NewEntry { scope: scope(scope_name), key: key(key_text), version: version("a") }
}

/// A lookup of the version that most checks use.
pub(super) fn request(key_text: &str, restore_keys: &[&str], scopes: &[&str]) -> LookupRequest {
    LookupRequest {
        exact: false,
        key: key(key_text),
        restore_keys: restore_keys.iter().map(|text| key(text)).collect(),
        version: version("a"),
        scopes: scopes.iter().map(|name| scope(name)).collect(),
    }
}

/// Creates an entry that must not exist yet.
pub(super) async fn created(store: &impl Store, new: NewEntry, bytes: &'static [u8]) -> Entry {
    match store.put(new.clone(), Bytes::from_static(bytes)).await {
        Ok(Commit::Created { entry, .. }) => {
            assert_eq!(
                (&entry.scope, &entry.key, &entry.version, entry.size.0),
                (&new.scope, &new.key, &new.version, bytes.len() as u64),
                "a created entry is what was asked for"
            );
            // A store may lease it until then.
            assert_eq!(store.get(&entry).await.expect("an entry"), bytes, "a created entry is read back");
            entry
        }
        other => panic!("creating {new:?} came to {other:?}"),
    }
}

/// Creates entries so that each is newer than the one before it.
pub(super) async fn created_in_turn(store: &impl Store, names: &[(&str, &str)]) {
    for (scope_name, key_text) in names {
        created(store, named(scope_name, key_text), b"x").await;
        tick().await;
    }
}

/// The scope and key of what a lookup finds.
pub(super) async fn found(store: &impl Store, request: &LookupRequest) -> Option<(String, String)> {
    let entry = store.lookup(request).await.expect("a lookup works");
    entry.map(|entry| (entry.scope.to_string(), entry.key.to_string()))
}

/// Saves one key with several writers at once: one creates the entry, and the others learn that it exists.
pub(super) async fn one_of_writers_at_once_wins(store: &impl Store, key: &str) {
    let write = async |writer: u8| {
        let mut upload = store.create(named("main", key)).await.expect("an upload");
        for _ in 0..4 {
            upload.write(Bytes::from(vec![writer; 10_000])).await.expect("a write");
            tokio::task::yield_now().await;
        }
        upload.commit().await.expect("a commit")
    };
    let commits = futures::future::join_all((0..WRITERS).map(write)).await;
    let winners: Vec<usize> =
        (0..commits.len()).filter(|n| matches!(commits[*n], Commit::Created { .. })).collect();
    assert_eq!(winners.len(), 1, "{commits:?}");
    let Commit::Created { entry, .. } = &commits[winners[0]] else { unreachable!("it was just matched") };
    let bytes = store.get(entry).await.expect("an entry");
    let winner = u8::try_from(winners[0]).expect("there are eight");
    assert!(bytes.len() == 40_000 && bytes.iter().all(|byte| *byte == winner), "the winner's bytes are kept");
}

/// Keys that some file system or service takes for each other.
pub(super) const LOOK_ALIKE_KEYS: [&str; 12] =
    ["a", "A", "a.tar.zst", "a=", "a=41", "a%41", "a/b", "a\\b", "\u{e4}", "a\u{308}", "con", "..a"];

/// Long keys and keys with characters that some file system rejects; and such a scope.
pub(super) fn long_and_odd_names() -> (Vec<String>, String) {
    let long = |text: &str| text.repeat(MAX_KEY_LENGTH / text.chars().count());
    let keys = vec![
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
    let odd_scope = format!("refs/heads/{}", "Long/".repeat(30) + "\u{e4}.x");
    (keys, odd_scope)
}

/// Ids that are not those of entries.
pub(super) const UNKNOWN_IDS: [&str; 9] =
    ["", "0", "..", "../x", "entries", "uploads", "entries/../entries", "nonsense#x", "/etc/passwd"];
