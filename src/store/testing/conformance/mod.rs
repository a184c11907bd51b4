//! The suites that stores, catalogs and decorators pass.
//!
//! [`run`] checks the contract of a [`Store`], [`run_catalog`] that of a store that is also a [`Catalog`],
//! [`run_filled_catalog`] that of a catalog without a store, [`run_divided`] that repositories do not read each other's
//! entries, [`run_read_only`] a view that denies changes. Each takes a function that makes an empty store and calls it for
//! every check. A check panics with what it expected; call the suites from tests, also from those of a crate with a
//! store of its own. The clock of a store must tell apart entries that are created [`TICK`] after each other;
//! [`with_tick`] is for a coarser one.

mod denying;
mod dividing;
mod filled;
mod finding;
mod keeping;
mod listing;
mod recovering;
mod steps;
mod writing;

use crate::store::catalog::Catalog;
use crate::store::contract::Store;

pub use dividing::views;
pub use steps::{TICK, with_tick};

/// Checks the contract of a store. `make` returns an empty store at each call.
pub async fn run<S: Store>(make: impl AsyncFn() -> S) {
    finding::an_empty_store_answers_nothing(&make().await).await;
    finding::an_exact_key_wins_over_a_newer_prefix_match(&make().await).await;
    finding::the_newest_of_several_prefix_matches_wins(&make().await).await;
    finding::restore_keys_are_tried_in_order(&make().await).await;
    finding::scopes_are_searched_in_order_and_no_other_is_read(&make().await).await;
    finding::an_exact_request_finds_its_key_in_any_scope_and_nothing_else(&make().await).await;
    finding::other_versions_are_never_found(&make().await).await;
    finding::names_that_look_alike_are_found_apart(&make().await).await;
    keeping::bytes_come_back_as_they_were(&make().await).await;
    keeping::an_empty_archive_is_an_entry(&make().await).await;
    keeping::long_and_odd_keys_are_kept_exactly(&make().await).await;
    keeping::an_entry_is_immutable(&make().await).await;
    keeping::a_use_changes_nothing_but_the_time_of_the_last_use(&make().await).await;
    writing::of_writers_at_once_one_creates_and_the_others_learn_that_it_exists(&make().await).await;
    writing::nothing_is_found_before_the_commit(&make().await).await;
    writing::an_aborted_upload_leaves_its_name_free(&make().await).await;
    writing::a_dropped_upload_leaves_its_name_free(&make().await).await;
}

/// Checks the contract of a store, and then that of its catalog. `make` returns an empty store at each call.
pub async fn run_catalog<S: Store + Catalog>(make: impl AsyncFn() -> S) {
    run(&make).await;
    listing::an_empty_catalog_lists_nothing(&make().await).await;
    listing::lists_are_filtered_and_sorted(&make().await).await;
    listing::names_that_look_alike_are_listed_apart(&make().await).await;
    listing::long_and_odd_keys_are_listed_and_deleted(&make().await).await;
    listing::a_second_save_changes_nothing_in_the_list(&make().await).await;
    listing::a_use_changes_nothing_but_the_time_of_the_last_use(&make().await).await;
    listing::a_deleted_entry_is_gone(&make().await).await;
    listing::a_successor_is_neither_read_nor_deleted_for_the_entry_before_it(&make().await).await;
    listing::an_unknown_id_deletes_nothing(&make().await).await;
    recovering::uploads_that_lost_leave_nothing(&make().await).await;
    recovering::half_an_entry_is_never_listed(&make().await).await;
    recovering::aborted_and_dropped_uploads_leave_nothing(&make().await).await;
    recovering::recovery_keeps_entries_and_uploads_in_progress(&make().await).await;
}

/// Checks a catalog to which this crate cannot write. `make` returns one with at least three entries in at least two
/// scopes at each call.
pub async fn run_filled_catalog<C: Catalog>(make: impl AsyncFn() -> C) {
    filled::lists_are_filtered_and_sorted(&make().await).await;
    filled::a_deleted_entry_is_no_longer_listed(&make().await).await;
    filled::an_unknown_id_deletes_nothing(&make().await).await;
    filled::nothing_is_leased_or_recovered(&make().await).await;
}

/// Checks a store that several repositories use. `make` returns a new store at each call, as each of [`views`] sees it.
pub async fn run_divided<S: Store + Catalog>(make: impl AsyncFn() -> [S; 3]) {
    dividing::equal_keys_of_two_repositories_are_two_entries(&make().await).await;
    dividing::a_repository_lists_and_deletes_its_own_entries(&make().await).await;
    dividing::shared_entries_are_found_by_all_and_listed_on_request(&make().await).await;
    dividing::old_entries_are_listed_and_deleted_and_found_only_on_request(&make().await).await;
}

/// Checks a view that denies changes. `make` returns two views of one empty store: one to write to it, and the one
/// to check.
pub async fn run_read_only<W: Store + Catalog, R: Store + Catalog>(make: impl AsyncFn() -> (W, R)) {
    let (writable, read_only) = make().await;
    denying::what_can_be_read_reads_the_same(&writable, &read_only).await;
    let (writable, read_only) = make().await;
    denying::nothing_is_created_or_deleted(&writable, &read_only).await;
}
