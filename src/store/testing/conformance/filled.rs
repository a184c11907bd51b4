//! Checks of a catalog by the entries that it holds.

use crate::domain::entry::{Entry, EntryId};
use crate::domain::entry_filter::EntryFilter;
use crate::store::catalog::{Catalog, Deletion, Recovered};

use super::steps::UNKNOWN_IDS;

async fn listed(catalog: &impl Catalog, filter: &EntryFilter) -> Vec<Entry> {
    catalog.list(filter).await.expect("a list")
}

pub(super) async fn lists_are_filtered_and_sorted(catalog: &impl Catalog) {
    let any = EntryFilter::default;
    let all = listed(catalog, &any()).await;
    assert!(all.len() >= 3, "there are too few entries to check: {all:?}");
    let is_sorted = all.is_sorted_by_key(|entry| (&entry.scope, &entry.key, &entry.version));
    assert!(is_sorted, "not in the order of scope, key and version: {all:?}");
    let (first, last) = (&all[0], &all[all.len() - 1]);
    assert_ne!(first.scope, last.scope, "there is one scope only: {all:?}");
    for entry in [first, last] {
        let prefix = entry.key.as_str().chars().take(2).collect();
        for filter in [
            EntryFilter { scope: Some(entry.scope.clone()), ..any() },
            EntryFilter { version: Some(entry.version.clone()), ..any() },
            EntryFilter { key_prefix: Some(prefix), ..any() },
        ] {
            let expect: Vec<Entry> = all.iter().filter(|entry| filter.matches(entry)).cloned().collect();
            assert_eq!(listed(catalog, &filter).await, expect, "{filter:?}");
        }
    }
}

pub(super) async fn a_deleted_entry_is_no_longer_listed(catalog: &impl Catalog) {
    let mut all = listed(catalog, &EntryFilter::default()).await;
    let gone = all.remove(0);
    assert_eq!(catalog.delete(&gone.id).await.expect("a deletion"), Deletion::Deleted);
    assert_eq!(catalog.delete(&gone.id).await.expect("a deletion"), Deletion::AlreadyGone);
    assert_eq!(listed(catalog, &EntryFilter::default()).await, all);
}

pub(super) async fn an_unknown_id_deletes_nothing(catalog: &impl Catalog) {
    let all = listed(catalog, &EntryFilter::default()).await;
    for id in UNKNOWN_IDS {
        let deletion = catalog.delete(&EntryId(id.to_owned())).await;
        assert!(!matches!(deletion, Ok(Deletion::Deleted)), "{id:?} came to {deletion:?}");
    }
    assert_eq!(listed(catalog, &EntryFilter::default()).await, all);
}

pub(super) async fn nothing_is_leased_or_recovered(catalog: &impl Catalog) {
    let all = listed(catalog, &EntryFilter::default()).await;
    let ids: Vec<EntryId> = all.iter().map(|entry| entry.id.clone()).collect();
    assert!(catalog.leased(&ids).await.expect("leases").is_empty(), "no process reads");
    assert_eq!(catalog.recover().await.expect("a recovery"), Recovered::default());
    assert_eq!(listed(catalog, &EntryFilter::default()).await, all);
}
