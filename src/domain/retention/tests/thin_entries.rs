//! Thin entries, and the entries that they take content from.

use super::*;
use crate::domain::retention::{Protect, PullRequestState, Stale};

const MIB: u64 = 1 << 20;

/// A full entry of this size.
fn full(scope_name: &str, key_text: &str, age: f64, mebibytes: u64) -> Entry {
    entry(scope_name, key_text, age, mebibytes * MIB)
}

/// A thin entry of 1 MiB for a tree of a thousand.
fn small(scope_name: &str, key_text: &str, age: f64, parents: &[&Entry]) -> Entry {
    thin(scope_name, key_text, age, MIB, parents)
}

fn with(entries: impl IntoIterator<Item = Entry>) -> Facts {
    let mut facts = facts();
    facts.entries = entries.into_iter().collect();
    facts
}

fn keeping(count: usize) -> Policy {
    Policy { superseded: keep(count), ..Policy::default() }
}

#[test]
fn full_and_thin_entries_are_generations_of_the_same_thing() {
    let base = full("main", "k-1000001", 9.0, 1_000);
    let second = small("main", "k-1000002", 8.0, &[&base]);
    let third = small("main", "k-1000003", 7.0, &[&base]);
    let fourth = full("main", "k-1000004", 6.0, 1_000);
    let facts = with([base, second, third, fourth]);
    let plan = keeping(2).plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["main k-1000002"]));
    assert_eq!(reasons(&plan, "main k-1000001")[0], "needed by `k-1000003`");
    assert!(plan.decisions.iter().all(|decision| decision.pattern.as_str() == "k-*"), "{plan:#?}");
    let plan = keeping(1).plan(&facts);
    assert_eq!(deleted(&plan), ["main k-1000001", "main k-1000002", "main k-1000003"].into());
    let order: Vec<&str> = plan.deletions().map(|decision| decision.entry.id.0.as_str()).collect();
    assert_eq!(order.last(), Some(&"main k-1000001"), "dependents go first");
}

#[test]
fn need_goes_one_step() {
    let base = full("main", "k-1000001", 9.0, 1_000);
    let second = small("main", "k-1000002", 8.0, &[&base]);
    let third = small("main", "k-1000003", 7.0, &[&base, &second]);
    let fourth = small("main", "k-1000004", 6.0, &[&base, &third]);
    let plan = keeping(1).plan(&with([base, second, third, fourth]));
    assert_eq!(deleted(&plan), BTreeSet::from(["main k-1000002"]));
    assert_eq!(reasons(&plan, "main k-1000003")[0], "needed by `k-1000004`");
}

#[test]
fn the_guard_compares_whole_trees() {
    let base = full("main", "k-1000001", 2.0, 1_000);
    let second = small("main", "k-1000002", 1.5, &[&base]);
    let large = full("main", "k-1000003", 1.3, 1_100);
    let third = small("main", "k-1000004", 1.1, &[&large]);
    let plan = keeping(1).plan(&with([base, second, large, third]));
    assert_eq!(deleted(&plan), ["main k-1000001", "main k-1000002"].into());
}

#[test]
fn an_entry_whose_parent_is_gone_goes_after_an_hour_and_supersedes_nothing() {
    let whole = full("main", "k-1000001", 9.0, 1_000);
    let gone = full("main", "k-1000000", 9.5, 1_000);
    let broken = |hours: f64| small("main", "k-1000002", hours / 24.0, &[&whole, &gone]);
    let plan = keeping(1).plan(&with([whole.clone(), broken(1.0)]));
    assert_eq!(deleted(&plan), BTreeSet::from(["main k-1000002"]));
    let text = "an entry that it takes content from is gone, so no job can restore it";
    assert_eq!(reasons(&plan, "main k-1000002"), [text]);
    let plan = keeping(1).plan(&with([whole.clone(), broken(0.9)]));
    assert!(deleted(&plan).is_empty(), "{plan:#?}");
    let policy = Policy { protect: Protect::new(["k-1000002"]).expect("a glob"), ..keeping(1) };
    let plan = policy.plan(&with([whole.clone(), broken(9.0)]));
    assert!(deleted(&plan).is_empty(), "it is protected by the key that it was saved for");
}

#[test]
fn a_pull_request_does_not_keep_the_base_that_its_target_has_replaced() {
    let base = full("main", "k-1000001", 9.0, 1_000);
    let newer = full("main", "k-1000002", 5.0, 1_000);
    let of_pull = small("refs/pull/7/merge", "k-1000003", 4.0, &[&base]);
    let mut facts = with([base, newer, of_pull]);
    facts.pull_requests.insert(7, PullRequestState::Open);
    let plan = keeping(1).plan(&facts);
    let order: Vec<&str> = plan.deletions().map(|decision| decision.entry.id.0.as_str()).collect();
    assert_eq!(order, ["refs/pull/7/merge k-1000003", "main k-1000001"]);
    let why = "`k-1000001`, which it takes content from, is deleted as well";
    assert_eq!(reasons(&plan, "refs/pull/7/merge k-1000003")[0], why);
    facts.entries[2].last_used_at = Some(days_ago(0.5));
    let plan = keeping(1).plan(&facts);
    assert!(deleted(&plan).is_empty(), "it was used today: {plan:#?}");
    assert_eq!(reasons(&plan, "main k-1000001")[0], "needed by `k-1000003`");
}

#[test]
fn a_pull_requests_thin_entry_keeps_the_equal_entry_behind_it() {
    let base = full("main", "k-1000001", 9.0, 1_000);
    let newer = full("main", "k-1000002", 5.0, 1_000);
    let of_pull = small("refs/pull/7/merge", "k-1000001", 0.5, &[&newer]);
    let mut facts = with([base, newer, of_pull]);
    facts.pull_requests.insert(7, PullRequestState::Open);
    let plan = keeping(1).plan(&facts);
    assert!(reasons(&plan, "main k-1000001")[0].starts_with("pull request 7 uses its key"), "{plan:#?}");
}

#[test]
fn the_budget_takes_dependents_before_their_base_and_what_only_they_need() {
    let budget = |mebibytes: u64| Policy {
        budget: Some(ByteSize(mebibytes * MIB)),
        headroom: crate::domain::retention::Headroom::Bytes(ByteSize(0)),
        keeps_used: false,
        ..Policy::default()
    };
    let base = full("main", "k-1000001", 9.0, 100);
    let second = small("main", "k-1000002", 5.0, &[&base]);
    let third = used(small("main", "k-1000003", 4.0, &[&base]), 0.5);
    let other = full("main", "other", 1.0, 50);
    let facts = with([base, second, third, other]);
    assert_eq!(deleted(&budget(151).plan(&facts)), ["main k-1000002"].into());
    assert_eq!(deleted(&budget(101).plan(&facts)), ["main k-1000002", "main other"].into());
    let plan = budget(100).plan(&facts);
    assert_eq!(deleted(&plan).len(), 3, "{plan:#?}");
    let plan = Policy { superseded: keep(1), ..budget(99) }.plan(&facts);
    let order: Vec<&str> = plan.deletions().map(|decision| decision.entry.id.0.as_str()).collect();
    assert_eq!(order, ["main k-1000002", "main k-1000003", "main k-1000001", "main other"]);
    assert_eq!(plan.budget.expect("a budget").after, ByteSize(0));
}

#[test]
fn a_plan_is_stale_where_something_new_takes_content_from_what_it_deletes() {
    let base = full("main", "k-1000001", 9.0, 1_000);
    let second = small("main", "k-1000002", 8.0, &[&base]);
    let third = full("main", "k-1000003", 6.0, 1_000);
    let facts = with([base.clone(), second.clone(), third]);
    let plan = keeping(1).plan(&facts);
    assert_eq!((plan.deletions().count(), plan.is_stale(&facts)), (2, None));
    let mut later = facts.clone();
    later.entries.push(small("topic", "k-1000004", 0.0, &[&base]));
    let needed = |by: &str| Stale::Needed { id: base.id.clone(), by: EntryId(by.to_owned()) };
    assert_eq!(plan.stale_entries(&later), [needed("topic k-1000004")]);
    let mut later = facts.clone();
    later.entries[1].last_used_at = Some(now());
    let used = Stale::Used { id: second.id.clone(), at: now() };
    assert_eq!(plan.stale_entries(&later), [used, needed("main k-1000002")]);
}
