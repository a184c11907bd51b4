//! Names, requests and steps that the checks share.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;
use crate::store::contract::{Commit, NewEntry, Store, StoreExt as _};

/// The pause between entries whose age is compared: more than the granularity of any file system's clock
/// but FAT's.
pub const TICK: Duration = Duration::from_millis(30);

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
        Ok(Commit::Created(entry)) => {
            assert_eq!(
                (&entry.scope, &entry.key, &entry.version, entry.size.0),
                (&new.scope, &new.key, &new.version, bytes.len() as u64),
                "a created entry is what was asked for"
            );
            entry
        }
        other => panic!("creating {new:?} came to {other:?}"),
    }
}

/// Creates entries so that each is newer than the one before it.
pub(super) async fn created_in_turn(store: &impl Store, names: &[(&str, &str)]) {
    for (scope_name, key_text) in names {
        created(store, named(scope_name, key_text), b"x").await;
        tokio::time::sleep(TICK).await;
    }
}

/// The scope and key of what a lookup finds.
pub(super) async fn found(store: &impl Store, request: &LookupRequest) -> Option<(String, String)> {
    let entry = store.lookup(request).await.expect("a lookup works");
    entry.map(|entry| (entry.scope.to_string(), entry.key.to_string()))
}
