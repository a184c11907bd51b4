//! One test per defect of existing cleaners.

use super::*;
use crate::domain::retention::{DeclaredPattern, Protect, PullRequestState, RefState, Stale};
use crate::domain::scope::Access;
use crate::domain::template::Template;

const SHA: &str = "0123456789abcdef0123456789abcdef0123456";

/// Policy with only the rule of closed pull requests.
fn closed() -> Policy {
    Policy { closed_pull_requests: Some(days(3.0)), ..Policy::default() }
}

fn superseded() -> Policy {
    Policy { superseded: keep(1), ..Policy::default() }
}

fn of_pull_request(state: PullRequestState) -> Facts {
    let mut facts = facts();
    facts.pull_requests.insert(12, state);
    facts.entries = vec![entry("refs/pull/12/merge", "c", 5.0, 1), entry("refs/pull/12/head", "c", 5.0, 1)];
    facts
}

#[test]
fn the_grace_of_a_closed_pull_request_is_kept_to_the_hour() {
    let check = |hours: f64, gone: usize, text: &str| {
        let facts = of_pull_request(PullRequestState::Closed { at: days_ago(hours / 24.0) });
        let plan = closed().plan(&facts);
        assert_eq!(plan.deletions().count(), gone, "{hours} h");
        assert!(reasons(&plan, "refs/pull/12/merge c").contains(&text.to_owned()), "{plan:?}");
    };
    check(71.0, 0, "pull request 12 closed 2 d 23 h ago (grace 3 d)");
    check(72.0, 2, "pull request 12 closed 3 d ago (grace 3 d)");
    check(73.0, 2, "pull request 12 closed 3 d 1 h ago (grace 3 d)");
    check(-5.0, 0, "pull request 12 closed 0 s ago (grace 3 d)");
}

#[test]
fn open_reopened_and_unknown_pull_requests_keep_their_entries() {
    for state in [
        PullRequestState::Open,
        PullRequestState::Untracked,
        PullRequestState::Unknown { why: "502 Bad Gateway".to_owned() },
    ] {
        assert_eq!(closed().plan(&of_pull_request(state)).deletions().count(), 0);
    }
}

#[test]
fn entries_of_unknown_state_are_kept_under_every_rule_and_named() {
    let why = "502 Bad Gateway".to_owned();
    let mut facts = of_pull_request(PullRequestState::Unknown { why: why.clone() });
    facts.refs.insert(scope("topic"), RefState::Unknown { why });
    facts.entries.push(entry("topic", "c-1234567", 500.0, 1_000_000));
    facts.entries.push(entry("topic", "c-1234568", 400.0, 1_000_000));
    facts.entries.push(entry("never-asked", "c", 400.0, 1_000_000));
    let plan = strict().plan(&facts);
    assert_eq!(plan.deletions().count(), 0);
    let text = "the state of pull request 12 is unknown: 502 Bad Gateway";
    assert_eq!(reasons(&plan, "refs/pull/12/merge c")[0], text);
    let text = "the state of refs/heads/never-asked is unknown: its state was not queried";
    assert_eq!(reasons(&plan, "never-asked c")[0], text);
    let budget = plan.budget.expect("a budget");
    assert!(!budget.is_met());
    let text = "3.00 MB kept, over 9.00 kB; may not be deleted: 3.00 MB in 5 entries (unknown)";
    assert_eq!(budget.to_string(), text);
}

#[test]
fn a_key_shared_by_several_refs_goes_only_where_its_ref_is_dead() {
    let mut facts = of_pull_request(PullRequestState::Closed { at: days_ago(9.0) });
    facts.pull_requests.insert(13, PullRequestState::Open);
    facts.entries.push(entry("refs/pull/13/merge", "c", 5.0, 1));
    facts.entries.push(entry("main", "c", 5.0, 1));
    // Open pull request 13 needs the key, and reads it from its own ref and from main.
    facts.use_key(key("c"), &Access::new(scope("refs/pull/13/merge"), None, Some(scope("main"))));
    let policy = Policy { unused_for: Some(days(1.0)), ..closed() };
    let plan = policy.plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["refs/pull/12/head c", "refs/pull/12/merge c"]));
    assert_eq!(
        reasons(&plan, "refs/pull/13/merge c")[0],
        "its key is in use by a reader of refs/pull/13/merge"
    );
}

#[test]
fn more_than_a_hundred_caches_and_pull_requests_are_all_decided() {
    let mut facts = facts();
    for number in 1..=250 {
        let at = days_ago(if number <= 150 { 4.0 } else { 1.0 });
        facts.pull_requests.insert(number, PullRequestState::Closed { at });
        facts.entries.push(entry(&format!("refs/pull/{number}/merge"), "c", 5.0, 1));
    }
    let plan = closed().plan(&facts);
    assert_eq!((plan.decisions.len(), plan.deletions().count()), (250, 150));
}

#[test]
fn digests_runs_and_dates_are_generations_of_one_thing() {
    let check = |old: &str, new: &str, replaced: bool| {
        let mut facts = facts();
        facts.entries = vec![entry("main", old, 2.0, 100), entry("main", new, 1.5, 100)];
        let plan = superseded().plan(&facts);
        assert_eq!(plan.deletions().count(), usize::from(replaced), "{old} {new}");
    };
    check(&format!("c-{SHA}0"), &format!("c-{SHA}1"), true);
    let tail = "0123456789abcdef01234567";
    check(&format!("c-{SHA}0{tail}"), &format!("c-{SHA}1{tail}"), true);
    check("c-12345678901", "c-12345678902", true);
    check("c-2026-11-21", "c-2026-11-22", true);
    check("c-20261121", "c-20261122", true);
    check("c-deadbeef1", "c-deadbeef2", false);
    check("c-v4", "c-v5", false);
    check("c-linux-12345678901", "c-macos-12345678902", false);
}

#[test]
fn declared_keys_define_generations() {
    let mut facts = facts();
    facts.entries = vec![
        entry("main", "c-20260101-7", 3.0, 1),
        entry("main", "c-20260101-8", 2.5, 1),
        entry("main", "c-20260102-9", 2.0, 1),
    ];
    let template = Template::parse("c-{os}-{run-id}").expect("a template");
    let fixed = Template::parse("c-20260101-{run-id}").expect("a template");
    let patterns = vec![DeclaredPattern::of_template(&template), DeclaredPattern::of_template(&fixed)];
    let plan = Policy { patterns, ..superseded() }.plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["main c-20260101-7"]));
    assert_eq!(plan.deletions().next().expect("one").superseded_by[0].0, "main c-20260101-8");
}

#[test]
fn entries_with_the_same_successors_share_the_list() {
    let mut facts = facts();
    let days = (1..=9).map(|day| entry("main", &format!("c-2026010{day}"), f64::from(10 - day), 1));
    facts.entries = days.collect();
    let keep = std::num::NonZeroUsize::new(3);
    let plan = Policy { superseded: keep, ..superseded() }.plan(&facts);
    let lists: Vec<_> = plan.deletions().map(|decision| &decision.superseded_by).collect();
    assert_eq!((lists.len(), lists[0].len()), (6, 3));
    assert!(lists.iter().all(|list| std::sync::Arc::ptr_eq(list, lists[0])));
}

#[test]
fn two_versions_under_one_prefix_do_not_replace_each_other() {
    let mut facts = facts();
    facts.entries = vec![entry("main", "c-1234567", 2.0, 1), entry("main", "c-1234568", 1.5, 1)];
    facts.entries[0].version = Version::of_roots(["other"]);
    assert_eq!(superseded().plan(&facts).deletions().count(), 0);
}

#[test]
fn a_tiny_newest_generation_replaces_nothing() {
    for branch in ["main", "topic"] {
        let mut facts = facts();
        facts.refs.insert(scope("topic"), RefState::Exists);
        facts.entries = vec![
            entry(branch, "c-1234561", 4.0, 1_000),
            entry(branch, "c-1234562", 3.0, 1_000),
            entry(branch, "c-1234563", 2.0, 499),
        ];
        let plan = superseded().plan(&facts);
        assert_eq!(deleted(&plan), BTreeSet::from([format!("{branch} c-1234561").as_str()]), "{branch}");
        let text = "the newer generation of 499 B is under 50 % of its 1.00 kB, perhaps from a broken build";
        assert!(reasons(&plan, &format!("{branch} c-1234562")).contains(&text.to_owned()));
        facts.entries[2].size = ByteSize(500);
        assert_eq!(superseded().plan(&facts).deletions().count(), 2, "{branch}");
    }
}

#[test]
fn a_series_of_shrinking_generations_replaces_by_what_stays() {
    let mut facts = facts();
    let sizes = [100, 60, 36, 21];
    facts.entries = (0..4_u8)
        .map(|n| entry("main", &format!("c-123456{n}"), 5.0 - f64::from(n), sizes[usize::from(n)]))
        .collect();
    // 21 may replace 36 but not 60; 60, which is kept, replaces 100.
    let expected = BTreeSet::from(["main c-1234560", "main c-1234562"]);
    assert_eq!(deleted(&superseded().plan(&facts)), expected);
}

#[test]
fn after_a_week_without_use_a_small_generation_is_assumed_to_be_intended() {
    let mut facts = facts();
    facts.entries = vec![entry("main", "c-1234561", 8.0, 1_000), entry("main", "c-1234562", 7.5, 10)];
    assert_eq!(deleted(&superseded().plan(&facts)), BTreeSet::from(["main c-1234561"]));
}

#[test]
fn an_abandoned_pattern_goes_only_where_the_policy_says_so() {
    let mut facts = facts();
    facts.entries = vec![entry("main", "c-v3-1234561", 40.0, 5), entry("main", "c-v4-1234562", 0.5, 5)];
    let policy = Policy { unused_for: Some(days(7.0)), ..Policy::default() };
    assert_eq!(policy.plan(&facts).deletions().count(), 0);
    let policy = Policy { abandoned_after: Some(days(30.0)), ..policy };
    assert_eq!(deleted(&policy.plan(&facts)), BTreeSet::from(["main c-v3-1234561"]));
}

#[test]
fn an_entry_that_goes_supersedes_nothing() {
    let mut facts = facts();
    facts.refs.insert(scope("topic"), RefState::Exists);
    facts.entries =
        vec![used(entry("topic", "c-1234561", 9.0, 10), 2.0), entry("topic", "c-1234562", 8.0, 10)];
    let policy = Policy { unused_for: Some(days(7.0)), ..superseded() };
    assert_eq!(deleted(&policy.plan(&facts)), BTreeSet::from(["topic c-1234562"]));
}

#[test]
fn a_clock_that_runs_ahead_makes_nothing_old() {
    let mut facts = facts();
    facts.refs.insert(scope("topic"), RefState::DeletedOrAbsent { since: Some(days_ago(-2.0)) });
    facts.entries = vec![used(entry("topic", "c", -1.0, 1), 40.0), used(entry("main", "d", 2.0, 1), -9.0)];
    let plan = strict().plan(&facts);
    assert_eq!(plan.deletions().count(), 0);
    assert!(reasons(&plan, "topic c")[0].starts_with("refs/heads/topic was deleted 0 s ago"));
}

#[test]
fn deleted_refs_and_merge_queue_refs_go_after_their_grace() {
    let queue = "refs/heads/gh-readonly-queue/main/pr-7-abc";
    let mut facts = facts();
    let gone = |since: Option<f64>| RefState::DeletedOrAbsent { since: since.map(days_ago) };
    facts.refs = [
        ("refs/heads/old", gone(Some(4.0))),
        ("refs/tags/v1", gone(Some(2.0))),
        (queue, gone(None)),
        ("refs/heads/used", gone(None)),
        ("refs/heads/here", RefState::Exists),
        ("refs/heads/local", RefState::Untracked),
    ]
    .map(|(name, state)| (scope(name), state))
    .into();
    facts.entries = facts.refs.keys().map(|scope| entry(scope.as_str(), "c", 5.0, 1)).collect();
    for entry in &mut facts.entries {
        if entry.scope.as_str() == "refs/heads/used" {
            entry.last_used_at = Some(days_ago(1.0));
        }
    }
    let plan = Policy { deleted_refs: Some(days(3.0)), ..Policy::default() }.plan(&facts);
    let queued = format!("{queue} c");
    assert_eq!(deleted(&plan), BTreeSet::from([queued.as_str(), "refs/heads/old c"]));
    let text = format!("merge-queue ref {queue} does not exist and this was last used 5 d ago (grace 3 d)");
    assert_eq!(reasons(&plan, &queued), [text]);
}

#[test]
fn an_incomplete_listing_deletes_nothing() {
    let mut facts = of_pull_request(PullRequestState::Closed { at: days_ago(90.0) });
    facts.listing_complete = false;
    let plan = strict().plan(&facts);
    assert_eq!(plan.deletions().count(), 0);
    assert_eq!(reasons(&plan, "refs/pull/12/head c")[0], "the listing of entries is not complete");
    assert_eq!(plan.is_stale(&facts), Some(Stale::IncompleteListing));
}

#[test]
fn an_entry_listed_twice_by_a_shifting_page_counts_once() {
    let mut facts = facts();
    facts.entries = vec![entry("main", "c", 9.0, 6), used(entry("main", "c", 9.0, 6), 1.0)];
    let plan = strict().plan(&facts);
    assert_eq!(plan.decisions.len(), 1);
    assert_eq!(plan.decisions[0].entry.last_used_at, Some(days_ago(1.0)));
}

#[test]
fn what_is_protected_or_being_read_stays() {
    let mut facts = of_pull_request(PullRequestState::Closed { at: days_ago(90.0) });
    facts.entries.push(entry("refs/pull/12/merge", "externaldata-v1", 80.0, 1));
    facts.leases.insert(EntryId("refs/pull/12/head c".to_owned()));
    let protect = Protect::new(["externaldata-*"]).expect("a glob");
    let plan = Policy { protect, ..strict() }.plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["refs/pull/12/merge c"]));
    assert_eq!(reasons(&plan, "refs/pull/12/merge externaldata-v1")[0], "protected by `externaldata-*`");
    let kept = plan.decisions.iter().find(|d| d.entry.id.0 == "refs/pull/12/head c").expect("kept");
    assert_eq!(kept.despite[0].rule, Rule::ClosedPullRequest);
}

#[test]
fn an_older_generation_that_is_still_restored_stays() {
    let mut facts = facts();
    let lock = |n: u8| format!("deps-{SHA}{n}{}", &SHA[..24]);
    facts.entries = vec![
        // Two lock files in turn: their keys recur.
        used(entry("main", &lock(1), 5.0, 10), 0.5),
        entry("main", &lock(2), 0.1, 10),
        // A cache keyed by commit, restored by prefix before the next one was saved.
        used(entry("main", "c-12345671", 0.6, 10), 0.3),
        // An older one that was restored by its exact key afterward.
        used(entry("main", "c-12345672", 0.5, 10), 0.1),
        entry("main", "c-12345673", 0.2, 10),
    ];
    assert_eq!(deleted(&superseded().plan(&facts)), BTreeSet::from(["main c-12345671"]));
}

#[test]
fn the_budget_takes_the_least_recently_used_and_leaves_room_for_the_next_save() {
    let mut facts = facts();
    facts.refs.insert(scope("topic"), RefState::Exists);
    facts.limit = Some(ByteSize(100));
    facts.entries = vec![
        entry("main", "live", 9.0, 20),
        entry("topic", "a", 3.0, 20),
        used(entry("topic", "b", 8.0, 20), 2.0),
        entry("topic", "c", 4.0, 20),
        entry("topic", "d", 1.0, 20),
    ];
    let policy = Policy { budget: Some(ByteSize(90)), ..Policy::default() };
    let plan = policy.plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["topic c"]));
    let budget = plan.budget.clone().expect("a budget");
    assert_eq!((budget.target, budget.headroom, budget.after), (ByteSize(80), ByteSize(20), ByteSize(80)));
    assert_eq!(reasons(&plan, "topic c"), ["least recently used (4 d ago) while 100 B had to fit in 80 B"]);
    facts.limit = None;
    assert_eq!(deleted(&policy.plan(&facts)), BTreeSet::from(["topic a", "topic c"]));
}

#[test]
fn the_close_of_one_pull_request_touches_only_its_entries() {
    let mut facts = of_pull_request(PullRequestState::Closed { at: days_ago(0.0) });
    facts.pull_requests.insert(13, PullRequestState::Closed { at: days_ago(9.0) });
    facts.entries.push(entry("refs/pull/13/merge", "c", 5.0, 1));
    let policy =
        Policy { only_pull_request: Some(12), closed_pull_requests: Some(days(0.0)), ..Policy::default() };
    let plan = policy.plan(&facts);
    assert_eq!(deleted(&plan), BTreeSet::from(["refs/pull/12/head c", "refs/pull/12/merge c"]));
}
