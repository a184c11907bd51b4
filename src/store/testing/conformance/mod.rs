//! The suite that every store and every decorator passes.
//!
//! [`run`] takes a function that makes an empty store and gives a fresh one to every check. A check panics
//! with what it expected; it is meant to be called from tests, of this crate or of one that embeds it with
//! a store of its own. A store's clock must tell entries apart that are created [`TICK`] after each other.

mod denying;
mod finding;
mod keeping;
mod steps;
mod writing;

use crate::store::contract::Store;

pub use steps::TICK;

/// Runs every check against stores that `make` makes; each call must return an empty one.
pub async fn run<S: Store>(make: impl AsyncFn() -> S) {
    finding::an_empty_store_answers_nothing(&make().await).await;
    finding::an_exact_key_wins_over_a_newer_prefix_match(&make().await).await;
    finding::the_newest_of_several_prefix_matches_wins(&make().await).await;
    finding::restore_keys_are_tried_in_order(&make().await).await;
    finding::scopes_are_searched_in_order_and_no_other_is_read(&make().await).await;
    finding::an_exact_request_finds_its_key_in_any_scope_and_nothing_else(&make().await).await;
    finding::other_versions_are_never_found(&make().await).await;
    finding::names_that_look_alike_are_told_apart(&make().await).await;
    finding::lists_are_filtered_and_sorted(&make().await).await;
    keeping::bytes_come_back_as_they_were(&make().await).await;
    keeping::an_empty_archive_is_an_entry(&make().await).await;
    keeping::long_and_odd_keys_are_kept_exactly(&make().await).await;
    keeping::an_entry_is_immutable(&make().await).await;
    keeping::a_use_changes_nothing_but_the_time_of_the_last_use(&make().await).await;
    keeping::a_deleted_entry_is_gone(&make().await).await;
    keeping::a_successor_is_neither_read_nor_deleted_for_the_entry_before_it(&make().await).await;
    keeping::an_unknown_id_deletes_nothing(&make().await).await;
    writing::of_writers_at_once_one_creates_and_the_others_learn_that_it_exists(&make().await).await;
    writing::half_an_entry_is_never_seen(&make().await).await;
    writing::an_aborted_upload_leaves_nothing(&make().await).await;
    writing::a_dropped_upload_leaves_nothing(&make().await).await;
    writing::recovery_spares_entries_and_uploads_in_progress(&make().await).await;
}

/// Runs the checks of a store that may not be written. `make` returns two views of one empty store: one to
/// write to it, and the one to check.
pub async fn run_read_only<W: Store, R: Store>(make: impl AsyncFn() -> (W, R)) {
    let (writable, read_only) = make().await;
    denying::what_can_be_read_reads_the_same(&writable, &read_only).await;
    let (writable, read_only) = make().await;
    denying::nothing_is_created_or_deleted(&writable, &read_only).await;
}
