//! The plan of a quota: the least recently used entries go first, and those that are being read or protected stay.

use std::collections::BTreeMap;

use super::*;
use crate::domain::quota::Marks;
use crate::domain::repository::RepositoryId;
use crate::domain::retention::{Protect, RefState};
use crate::domain::scope::Section;

fn marks(high: u64, low: u64) -> Marks {
    Marks { high: ByteSize(high), low: ByteSize(low) }
}

fn quota(high: u64, low: u64) -> Policy {
    Policy::of_quota(marks(high, low), Protect::default(), BTreeMap::new())
}

/// Ten entries of 10 bytes on the default branch; `k-9` is the newest.
fn ten() -> Facts {
    let mut facts = facts();
    facts.entries =
        (0..10).map(|n| entry("main", &format!("k-{n}"), f64::from(10 - n) / 100.0, 10)).collect();
    facts
}

#[test]
fn the_least_recently_used_go_until_the_low_mark() {
    let mut facts = ten();
    facts.entries[0] = used(facts.entries[0].clone(), 0.001);
    let plan = quota(95, 80).plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["main k-1", "main k-2"]));
    assert!(reasons(&plan, "main k-1")[0].starts_with("least recently used"), "{plan:?}");
    assert_eq!(quota(95, 80).plan(&carried_out(&facts, &plan)).deletions().count(), 0);
}

#[test]
fn nothing_goes_up_to_the_high_mark_and_no_entry_that_would_leave_less_than_the_low_one() {
    assert_eq!(quota(100, 10).plan(&ten()).deletions().count(), 0);
    let mut facts = facts();
    facts.entries = vec![entry("main", "small", 3.0, 10), entry("main", "large", 1.0, 95)];
    assert_eq!(deleted(&quota(100, 90).plan(&facts)), BTreeSet::from(["main small"]));
}

#[test]
fn neither_the_newest_generation_nor_a_recent_use_is_in_the_way() {
    let plan = quota(5, 5).plan(&ten());
    assert_eq!(plan.deletions().count(), 10, "{plan:?}");
    assert!(plan.budget.expect("a budget").is_met());
}

#[test]
fn what_is_read_or_protected_stays_and_is_named() {
    let repository = Section::Other(RepositoryId::parse("github.com/o/n").expect("a repository"));
    let mut facts = ten();
    let theirs = scope("main").within(repository.clone());
    for (key, id) in [("seed-1", "theirs seed-1"), ("k-1", "theirs k-1")] {
        let mut entry = entry("main", key, 20.0, 10);
        (entry.scope, entry.id) = (theirs.clone(), EntryId(id.to_owned()));
        facts.entries.push(entry);
    }
    facts.refs.insert(theirs, RefState::Untracked);
    facts.leases.insert(EntryId("main k-0".to_owned()));
    let elsewhere = BTreeMap::from([(repository, Protect::new(["seed-*"]).expect("a glob"))]);
    let own = Protect::new(["k-1"]).expect("a glob");
    let plan = Policy::of_quota(marks(5, 5), own.clone(), elsewhere).plan(&facts);
    let kept: BTreeSet<&str> = plan
        .decisions
        .iter()
        .filter(|decision| decision.verdict == Verdict::Keep)
        .map(|decision| decision.entry.id.0.as_str())
        .collect();
    assert_eq!(kept, BTreeSet::from(["main k-0", "main k-1", "theirs seed-1"]));
    let blocked = plan.budget.expect("a budget").blocked;
    assert_eq!(blocked.keys().copied().collect::<Vec<_>>(), [Rule::Protected, Rule::Leased]);
}
