//! Properties that hold for every policy and all facts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::retention::{Guard, Headroom, Protect, PullRequestState, RefState};

const SCOPES: [&str; 8] = [
    "main",
    "topic",
    "gone",
    "lost",
    "refs/heads/gh-readonly-queue/main/pr-1-a",
    "refs/pull/1/merge",
    "refs/pull/2/merge",
    "refs/pull/3/head",
];

const KEYS: [&str; 8] = [
    "c-1234561",
    "c-1234562",
    "c-1234563",
    "c-1234564",
    "pinned-1234565",
    "d-a1b2c3d4e5",
    "d-b1b2c3d4e5",
    "plain",
];

/// Instants lie on a grid of three hours, so that equal ones and exact limits occur.
fn hours() -> impl Strategy<Value = f64> {
    (-8_i32..240).prop_map(|steps| f64::from(steps) * 3.0 / 24.0)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let one =
        (0..SCOPES.len(), 0..KEYS.len(), any::<bool>(), hours(), proptest::option::of(hours()), 0..200_u64);
    proptest::collection::vec(one, 0..40).prop_map(|rows| {
        let mut entries = Vec::new();
        for (index, (scope, key, version, age, used, size)) in rows.into_iter().enumerate() {
            let mut entry = entry(SCOPES[scope], KEYS[key], age, size);
            entry.id = EntryId(format!("{index:02}"));
            entry.last_used_at = used.map(days_ago);
            if version {
                entry.version = Version::of_roots(["other"]);
            }
            entries.push(entry);
        }
        entries
    })
}

fn pull_request() -> impl Strategy<Value = PullRequestState> {
    prop_oneof![
        Just(PullRequestState::Open),
        Just(PullRequestState::Untracked),
        hours().prop_map(|age| PullRequestState::Closed { at: days_ago(age) }),
        Just(PullRequestState::Unknown { why: "503".to_owned() }),
    ]
}

fn git_ref() -> impl Strategy<Value = RefState> {
    prop_oneof![
        Just(RefState::Exists),
        Just(RefState::Untracked),
        proptest::option::of(hours()).prop_map(|age| RefState::DeletedOrAbsent { since: age.map(days_ago) }),
        Just(RefState::Unknown { why: "503".to_owned() }),
    ]
}

prop_compose! {
    fn any_facts()(
        entries in entries(),
        states in proptest::collection::vec(pull_request(), 2),
        refs in proptest::collection::vec(git_ref(), 4),
        leased in proptest::collection::btree_set(0..40_u8, 0..4),
        in_use in proptest::collection::vec((0..KEYS.len(), 0..SCOPES.len()), 0..4),
        limit in proptest::option::of(0..3_000_u64),
        complete in proptest::bool::weighted(0.95),
    ) -> Facts {
        let mut facts = facts();
        facts.entries = entries;
        // The third pull request and the fourth ref are not queried.
        facts.pull_requests = (1..).zip(states).collect();
        facts.refs = ["topic", "gone", SCOPES[4], "other"].into_iter().map(scope).zip(refs).collect();
        facts.bases.insert(1, scope("topic"));
        facts.leases = leased.iter().map(|n| EntryId(format!("{n:02}"))).collect();
        for (key_index, scope_index) in in_use {
            facts.keys_in_use.entry(key(KEYS[key_index])).or_default().insert(scope(SCOPES[scope_index]));
        }
        facts.limit = limit.map(ByteSize);
        facts.listing_complete = complete;
        facts
    }
}

prop_compose! {
    fn any_policy()(
        spans in proptest::collection::vec(proptest::option::of(hours()), 5),
        keep_count in 0..4_usize,
        budget in proptest::option::of(0..3_000_u64),
        headroom in proptest::option::of(0..300_u64),
        recent in hours(),
        guard in (0..=100_u8, hours()),
        only in proptest::option::weighted(0.1, 1..3_u64),
    ) -> Policy {
        let span = |index: usize| spans[index].map(|age| days(age.max(0.0)));
        Policy {
            closed_pull_requests: span(0),
            deleted_refs: span(1),
            superseded: keep(keep_count),
            unused_for: span(2),
            older_than: span(3),
            budget: budget.map(ByteSize),
            headroom: headroom.map_or(Headroom::NextSave, |size| Headroom::Bytes(ByteSize(size))),
            protect: Protect::new(["pinned-*"]).expect("a glob"),
            recent: days(recent.max(0.0)),
            abandoned_after: span(4),
            guard: Guard { percent: guard.0, lasts: days(guard.1.max(0.0)) },
            only_pull_request: only,
            ..Policy::default()
        }
    }
}

/// Entries that must never be deleted, determined without the engine: protected, unknown, leased, in use, or the newest
/// generation on the default branch.
fn untouchable(facts: &Facts, policy: &Policy, entry: &Entry) -> bool {
    let kind = |key: &Key| key.as_str().trim_end_matches(|c: char| c != '-').to_owned();
    let known = match entry.scope.as_str() {
        "refs/heads/main" => true,
        "refs/pull/1/merge" => !matches!(facts.pull_requests[&1], PullRequestState::Unknown { .. }),
        "refs/pull/2/merge" => !matches!(facts.pull_requests[&2], PullRequestState::Unknown { .. }),
        "refs/pull/3/head" => false,
        _ => facts.refs.get(&entry.scope).is_some_and(|state| !matches!(state, RefState::Unknown { .. })),
    };
    let idle = (now() - facts.last_use(entry)).to_std().expect("not in the future");
    let abandoned = policy.abandoned_after.is_some_and(|limit| idle >= limit.0);
    let newest = || {
        let place = |e: &Entry| (e.created_at, e.key.clone(), e.id.clone());
        let same = |e: &&Entry| {
            e.scope == entry.scope && e.version == entry.version && kind(&e.key) == kind(&entry.key)
        };
        facts.entries.iter().filter(same).all(|other| place(other) <= place(entry))
    };
    !facts.listing_complete
        || !known
        || entry.key.as_str().starts_with("pinned-")
        || facts.leases.contains(&entry.id)
        || facts.keys_in_use.get(&entry.key).is_some_and(|scopes| scopes.contains(&entry.scope))
        || entry.scope == facts.default_branch && newest() && !abandoned
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_plan_deletes_what_is_protected_live_leased_or_unknown(facts in any_facts(), policy in any_policy()) {
        let plan = policy.plan(&facts);
        prop_assert_eq!(plan.decisions.len(), facts.entries.len());
        for decision in plan.deletions() {
            prop_assert!(!untouchable(&facts, &policy, &decision.entry), "{:#?}", decision);
            prop_assert!(decision.despite.is_empty());
        }
        prop_assert!(plan.decisions.iter().all(|decision| !decision.reasons.is_empty()));
        prop_assert!(plan.decisions.is_sorted_by_key(|d| (&d.entry.scope, &d.entry.key, &d.entry.version, &d.entry.id)));
        prop_assert_eq!(plan.is_stale(&facts).is_some(), !facts.listing_complete);
    }

    #[test]
    fn planning_again_after_applying_deletes_nothing_more(facts in any_facts(), policy in any_policy()) {
        let plan = policy.plan(&facts);
        let again = policy.plan(&carried_out(&facts, &plan));
        prop_assert_eq!(deleted(&again), BTreeSet::new(), "{:#?}\n{:#?}", plan, again);
        if let (Some(first), Some(second)) = (plan.budget, again.budget) {
            prop_assert!(first.target <= second.target);
            prop_assert_eq!(first.after, second.after);
        }
    }

    #[test]
    fn the_order_of_entries_does_not_matter(facts in any_facts(), policy in any_policy(), seed in any::<u64>()) {
        let mut shuffled = facts.clone();
        let place = |e: &Entry| e.id.0.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        shuffled.entries.sort_by_key(place);
        let (plan, other) = (policy.plan(&facts), policy.plan(&shuffled));
        prop_assert_eq!(plan.fingerprint(), other.fingerprint());
        prop_assert_eq!(plan, other);
    }

    #[test]
    fn every_superseded_entry_leaves_enough_generations_of_its_size(
        facts in any_facts(),
        policy in any_policy(),
    ) {
        // Without the budget, which may delete any of them later.
        let policy = Policy { budget: None, ..policy };
        let plan = policy.plan(&facts);
        let by_id: BTreeMap<_, _> = plan.decisions.iter().map(|d| (&d.entry.id, d)).collect();
        for decision in plan.deletions().filter(|d| d.reasons.iter().all(|r| r.rule == Rule::Superseded)) {
            prop_assert_eq!(Some(decision.superseded_by.len()), policy.superseded.map(NonZeroUsize::get));
            for newer in decision.superseded_by.iter() {
                let newer = by_id[newer];
                prop_assert_eq!(newer.verdict, Verdict::Keep);
                prop_assert!(newer.entry.created_at >= decision.entry.created_at);
                let idle = (now() - facts.last_use(&decision.entry)).to_std().expect("not in the future");
                prop_assert!(
                    idle >= policy.guard.lasts.0
                        || newer.entry.size.0 * 100 >= decision.entry.size.0 * u64::from(policy.guard.percent)
                );
            }
        }
    }

    #[test]
    fn a_plan_that_was_interrupted_can_be_carried_on(
        facts in any_facts(),
        policy in any_policy(),
        stop in 0..40_usize,
    ) {
        let facts = Facts { listing_complete: true, ..facts };
        let plan = policy.plan(&facts);
        let done: BTreeSet<&EntryId> = plan.deletions().take(stop).map(|d| &d.entry.id).collect();
        let mut later = facts.clone();
        later.entries.retain(|entry| !done.contains(&entry.id));
        prop_assert_eq!(plan.is_stale(&later), None);
    }

    #[test]
    fn the_budget_is_met_or_everything_left_is_untouchable(facts in any_facts(), policy in any_policy()) {
        let plan = policy.plan(&facts);
        if let Some(budget) = &plan.budget {
            let kept: u64 =
                plan.decisions.iter().filter(|d| d.verdict == Verdict::Keep).map(|d| d.entry.size.0).sum();
            prop_assert_eq!(budget.after, ByteSize(kept));
            let blocked: u64 = budget.blocked.values().map(|amount| amount.bytes.0).sum();
            prop_assert_eq!(blocked, if budget.is_met() { 0 } else { kept });
        }
    }

    #[test]
    fn any_key_has_a_pattern(text in "[-a-f0-9T:./_WQm]{1,80}|\\PC{1,60}") {
        if let Ok(key) = Key::new(text) {
            let pattern = crate::domain::retention::Pattern::of(&key, &[]);
            prop_assert!(!pattern.as_str().is_empty());
        }
    }
}
