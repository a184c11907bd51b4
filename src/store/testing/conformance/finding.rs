//! Checks of lookups.

use crate::domain::entry::LookupRequest;
use crate::store::contract::{NewEntry, Store};

use super::steps::{LOOK_ALIKE_KEYS, created, created_in_turn, found, named, request, scope, version};

fn of(scope_name: &str, key_text: &str) -> (String, String) {
    (scope(scope_name).to_string(), key_text.to_owned())
}

pub(super) async fn an_empty_store_answers_nothing(store: &impl Store) {
    assert!(!store.location().is_empty(), "a store has a location");
    assert_eq!(found(store, &request("a-1", &["a-"], &["main"])).await, None);
}

pub(super) async fn an_exact_key_wins_over_a_newer_prefix_match(store: &impl Store) {
    created_in_turn(store, &[("main", "a-1"), ("main", "a-12")]).await;
    assert_eq!(found(store, &request("a-1", &["a-"], &["main"])).await, Some(of("main", "a-1")));
}

pub(super) async fn the_newest_of_several_prefix_matches_wins(store: &impl Store) {
    created_in_turn(store, &[("main", "a-2"), ("main", "a-3"), ("main", "a-1")]).await;
    assert_eq!(found(store, &request("a-9", &["a-"], &["main"])).await, Some(of("main", "a-1")));
    assert_eq!(found(store, &request("a-", &[], &["main"])).await, Some(of("main", "a-1")));
}

pub(super) async fn restore_keys_are_tried_in_order(store: &impl Store) {
    created_in_turn(store, &[("main", "a-1"), ("main", "b-1")]).await;
    assert_eq!(found(store, &request("x", &["a-", "b-"], &["main"])).await, Some(of("main", "a-1")));
    assert_eq!(found(store, &request("x", &["c-", "b-", "a-"], &["main"])).await, Some(of("main", "b-1")));
}

pub(super) async fn scopes_are_searched_in_order_and_no_other_is_read(store: &impl Store) {
    created_in_turn(store, &[("topic", "a-1"), ("main", "a-9"), ("refs/pull/7/merge", "a-9")]).await;
    assert_eq!(found(store, &request("a-9", &["a-"], &["topic", "main"])).await, Some(of("topic", "a-1")));
    assert_eq!(found(store, &request("a-9", &["a-"], &["other", "main"])).await, Some(of("main", "a-9")));
    assert_eq!(found(store, &request("a-9", &["a-"], &["other"])).await, None);
    // The beginning of a scope is another scope.
    assert_eq!(found(store, &request("a-9", &["a-"], &["refs/pull/7"])).await, None);
    assert_eq!(found(store, &request("a-9", &["a-"], &["refs/pull/7/merge/x"])).await, None);
}

pub(super) async fn an_exact_request_finds_its_key_in_any_scope_and_nothing_else(store: &impl Store) {
    created_in_turn(store, &[("topic", "a-12"), ("main", "a-1")]).await;
    let exact = |key_text, scopes| LookupRequest { exact: true, ..request(key_text, &["a-"], scopes) };
    assert_eq!(found(store, &exact("a-12", &["topic", "main"])).await, Some(of("topic", "a-12")));
    assert_eq!(found(store, &exact("a-", &["topic", "main"])).await, None);
    assert_eq!(found(store, &exact("a-1", &["main"])).await, Some(of("main", "a-1")));
}

pub(super) async fn other_versions_are_never_found(store: &impl Store) {
    created(store, NewEntry { version: version("b"), ..named("main", "a-1") }, b"b").await;
    assert_eq!(found(store, &request("a-1", &["a-"], &["main"])).await, None);
    created(store, named("main", "a-1"), b"a").await;
    let entry = store.lookup(&request("a-1", &[], &["main"])).await.expect("a lookup").expect("an entry");
    assert_eq!(entry.version, version("a"));
}

pub(super) async fn names_that_look_alike_are_found_apart(store: &impl Store) {
    for text in LOOK_ALIKE_KEYS {
        created(store, named("main", text), text.as_bytes()).await;
        created(store, named("MAIN", text), b"upper").await;
    }
    for text in LOOK_ALIKE_KEYS {
        assert_eq!(found(store, &request(text, &[], &["main"])).await, Some(of("main", text)));
        assert_eq!(found(store, &request(text, &[], &["MAIN"])).await, Some(of("MAIN", text)));
    }
}
