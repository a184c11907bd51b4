//! Checks of a store that several repositories use.

use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::entry_filter::EntryFilter;
use crate::domain::repository::RepositoryId;
use crate::domain::scope::Section;
use crate::store::backend::Viewpoint;
use crate::store::catalog::{Catalog, Deletion};
use crate::store::contract::{NewEntry, Store, StoreExt as _};

use super::steps::{created, named, request};

/// The views of a store that [`run_divided`](super::run_divided) needs: of two repositories, of which the path of one is
/// the beginning of the other's, and one of the first that sees everything.
pub fn views() -> [Viewpoint; 3] {
    let own = || repository("git.example/group/tool");
    let other = repository("git.example/group/tool/part");
    [Viewpoint::of(own()), Viewpoint::of(other), Viewpoint { all: true, ..Viewpoint::of(own()) }]
}

fn repository(text: &str) -> RepositoryId {
    RepositoryId::parse(text).expect("repositories in checks are valid")
}

fn within(new: NewEntry, section: Section) -> NewEntry {
    NewEntry { scope: new.scope.within(section), ..new }
}

async fn expect_list(catalog: &impl Catalog, expect: &[&Entry]) {
    let listed = catalog.list(&EntryFilter::default()).await.expect("a list");
    assert_eq!(listed.iter().collect::<Vec<_>>(), expect);
}

async fn bytes_of(store: &impl Store, request: &LookupRequest) -> Option<Vec<u8>> {
    let entry = store.lookup(request).await.expect("a lookup")?;
    Some(store.get(&entry).await.expect("an entry").to_vec())
}

pub(super) async fn equal_keys_of_two_repositories_are_two_entries<S: Store + Catalog>(views: &[S; 3]) {
    let [own, other, _] = views;
    created(own, named("main", "deps-1"), b"own").await;
    assert_eq!(bytes_of(other, &request("deps-1", &["deps-"], &["main"])).await, None);
    created(other, named("main", "deps-1"), b"other").await;
    created(other, named("main", "deps-2"), b"newer").await;
    for (view, exact, by_prefix) in [(own, "own", "own"), (other, "other", "newer")] {
        let exactly = LookupRequest { exact: true, ..request("deps-1", &[], &["main"]) };
        assert_eq!(bytes_of(view, &exactly).await.as_deref(), Some(exact.as_bytes()));
        let prefix = request("deps-9", &["deps-"], &["main"]);
        assert_eq!(bytes_of(view, &prefix).await.as_deref(), Some(by_prefix.as_bytes()));
    }
}

pub(super) async fn a_repository_lists_and_deletes_its_own_entries<S: Store + Catalog>(views: &[S; 3]) {
    let [own, other, all] = views;
    let mine = created(own, named("main", "k"), b"own").await;
    let theirs = created(other, named("main", "k"), b"other").await;
    expect_list(own, &[&mine]).await;
    expect_list(other, &[&theirs]).await;
    let seen = all.list(&EntryFilter::default()).await.expect("a list");
    let sections: Vec<&Section> = seen.iter().map(|entry| entry.scope.section()).collect();
    assert_eq!(sections, [&Section::Own, &Section::Other(repository("git.example/group/tool/part"))]);
    assert!(own.delete(&theirs.id).await.is_err(), "another repository's entry was deleted");
    assert!(other.delete(&mine.id).await.is_err(), "another repository's entry was deleted");
    assert_eq!(all.delete(&theirs.id).await.expect("a deletion"), Deletion::Deleted);
    expect_list(other, &[]).await;
    expect_list(own, &[&mine]).await;
}

pub(super) async fn shared_entries_are_found_by_all_and_listed_on_request<S: Store + Catalog>(
    views: &[S; 3],
) {
    let [own, other, all] = views;
    let new = within(named("main", "k"), Section::Shared);
    let shared = created(own, new.clone(), b"shared").await;
    let mut wanted = request("k", &[], &["main"]);
    assert_eq!(bytes_of(other, &wanted).await, None);
    wanted.scopes = vec![new.scope.clone()];
    assert_eq!(bytes_of(other, &wanted).await.as_deref(), Some(&b"shared"[..]));
    expect_list(own, &[]).await;
    expect_list(all, &[&shared]).await;
}

pub(super) async fn old_entries_are_listed_and_deleted_and_found_only_on_request<S: Store + Catalog>(
    views: &[S; 3],
) {
    let [own, other, all] = views;
    let new = within(named("main", "k"), Section::Old);
    let old = created(own, new.clone(), b"old").await;
    let mut wanted = request("k", &["k"], &["main"]);
    for view in views {
        assert_eq!(bytes_of(view, &wanted).await, None);
        expect_list(view, &[&old]).await;
    }
    wanted.scopes.push(new.scope);
    assert_eq!(bytes_of(other, &wanted).await.as_deref(), Some(&b"old"[..]));
    assert_eq!(other.delete(&old.id).await.expect("a deletion"), Deletion::Deleted);
    expect_list(all, &[]).await;
}
