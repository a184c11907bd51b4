//! No entry that stays loses an entry that it takes content from, wherever a cleaning ends: a thousand random stores and
//! policies, checked by what a job finds under each name before and after.

use std::collections::BTreeMap;

use super::sweep::Numbers;
use super::*;
use crate::domain::retention::{Decision, Headroom, Protect, PullRequestState, RefState};

const MIB: u64 = 1 << 20;

const SCOPES: [&str; 8] = [
    "main",
    "release",
    "topic",
    "gone",
    "refs/pull/1/merge",
    "refs/pull/2/merge",
    "refs/pull/3/merge",
    "refs/pull/4/merge",
];

/// A number below this one.
fn one_of(numbers: &mut Numbers, count: usize) -> usize {
    usize::try_from(numbers.below(count as u64)).expect("small")
}

/// The scopes that a job reads, where its base is `base`.
fn reads(own: &Scope, base: Option<&Scope>) -> Vec<Scope> {
    [Some(own), base, Some(&scope("main"))].into_iter().flatten().cloned().collect()
}

/// The stores that jobs leave behind: each saves in full, or thin on entries that it reads. Some entries are evicted.
fn store(numbers: &mut Numbers) -> Facts {
    let mut facts = facts();
    for number in 1..=4 {
        let state = match numbers.below(6) {
            0..3 => PullRequestState::Open,
            3 => PullRequestState::Unknown { why: "503".to_owned() },
            4 => PullRequestState::Untracked,
            _ => PullRequestState::Closed { at: days_ago(numbers.days(8)) },
        };
        facts.pull_requests.insert(number, state);
        if numbers.below(3) > 0 {
            facts.bases.insert(number, scope(["main", "release"][one_of(numbers, 2)]));
        }
    }
    for name in ["release", "topic"] {
        facts.refs.insert(scope(name), RefState::Exists);
    }
    facts.refs.insert(scope("gone"), RefState::DeletedOrAbsent { since: Some(days_ago(numbers.days(8))) });
    let count = 4 + one_of(numbers, 30);
    for index in 0..count {
        #[expect(clippy::cast_precision_loss, reason = "a few entries")]
        let age = (count - index) as f64 * 0.4 - 0.38;
        let saved = save(numbers, &facts, index, age);
        facts.entries.push(saved);
    }
    for _ in 0..numbers.below(3) {
        let evicted = one_of(numbers, facts.entries.len());
        facts.entries.remove(evicted);
    }
    if numbers.below(3) == 0 {
        let read = one_of(numbers, facts.entries.len());
        facts.leases.insert(facts.entries[read].id.clone());
    }
    facts
}

/// The entry that a job of some scope saves.
fn save(numbers: &mut Numbers, facts: &Facts, index: usize, age: f64) -> Entry {
    let place = if numbers.below(2) == 0 { "main" } else { SCOPES[one_of(numbers, SCOPES.len())] };
    let cache = ["a", "b", "pinned"][one_of(numbers, 3)];
    // Sometimes the key of an entry in another scope.
    let number = if numbers.below(5) == 0 { one_of(numbers, index + 1) } else { index };
    let name = format!("{cache}-{:07}", 1_000_000 + number);
    let mebibytes = 20 + numbers.below(30);
    let base = place.strip_prefix("refs/pull/").map(|rest| {
        let known = facts.bases.get(&rest[..1].parse().expect("a number")).cloned();
        known.unwrap_or_else(|| scope(["main", "release", "topic"][one_of(numbers, 3)]))
    });
    let readable = reads(&scope(place), base.as_ref());
    let mut earlier: Vec<&Entry> = (facts.entries.iter())
        .filter(|entry| readable.contains(&entry.scope) && entry.key.as_str().starts_with(cache))
        .collect();
    let base = earlier.iter().rposition(|entry| !entry.key.as_str().contains("~t"));
    let mut saved = if let Some(base) = base.filter(|_| numbers.below(4) > 0) {
        let base = earlier.remove(base);
        let more = one_of(numbers, 4);
        let parents = std::iter::once(base).chain(earlier.into_iter().rev().take(more));
        let ids = parents.map(|parent| ShortId::of(&parent.key, &parent.version)).collect();
        let stored = ThinKey::new(&key(&name), ByteSize(mebibytes * MIB), ids).expect("a thin key");
        let size = MIB / 2 + numbers.below(MIB);
        Entry {
            version: Version::of_thin_roots([cache]),
            ..entry(place, stored.to_key().as_str(), age, size)
        }
    } else {
        Entry { version: Version::of_roots([cache]), ..entry(place, &name, age, mebibytes * MIB) }
    };
    saved.id = EntryId(format!("{index:02}"));
    if numbers.below(3) == 0 {
        saved.last_used_at =
            Some(days_ago(age * 0.01 * f64::from(u32::try_from(numbers.below(100)).expect("small"))));
    }
    saved
}

fn policy(numbers: &mut Numbers) -> Policy {
    let span = |numbers: &mut Numbers, most: u64| (numbers.below(2) == 0).then(|| days(numbers.days(most)));
    Policy {
        closed_pull_requests: span(numbers, 4),
        deleted_refs: span(numbers, 4),
        superseded: keep(one_of(numbers, 4)),
        unused_for: span(numbers, 10),
        older_than: span(numbers, 14),
        budget: (numbers.below(2) == 0).then(|| ByteSize(numbers.below(400) * MIB)),
        low_mark: (numbers.below(4) == 0).then(|| ByteSize(numbers.below(300) * MIB)),
        headroom: if numbers.below(2) == 0 { Headroom::NextSave } else { Headroom::Bytes(ByteSize(0)) },
        protect: Protect::new(["pinned-1000003"]).expect("a glob"),
        keeps_used: numbers.below(4) > 0,
        recent: days(numbers.days(2)),
        abandoned_after: span(numbers, 14),
        ..Policy::default()
    }
}

/// What a job of this scope finds for each entry that a key names; once for every base that its pull request may have.
fn found<'a>(facts: &Facts, entries: &[(&'a Entry, String)], thin: &Entry) -> Vec<Option<&'a EntryId>> {
    let bases: Vec<Option<Scope>> = match thin.scope.as_str().strip_prefix("refs/pull/") {
        None => vec![None],
        Some(rest) => match facts.bases.get(&rest[..1].parse().expect("a number")) {
            Some(base) => vec![Some(base.clone())],
            None => ["main", "release", "topic", "gone"].map(|name| Some(scope(name))).into(),
        },
    };
    let mut found = Vec::new();
    let names = thin.key.as_str().rsplit_once("~t").map_or("", |(_, names)| names);
    for name in names.split('.').skip(1) {
        for base in &bases {
            let of_scope = |scope: &Scope| {
                let found = entries.iter().find(|(entry, named)| named == name && entry.scope == *scope);
                found.map(|(entry, _)| &entry.id)
            };
            found.push(reads(&thin.scope, base.as_ref()).iter().find_map(of_scope));
        }
    }
    found
}

/// Whether an entry stays only for the sake of others. The guard keeps an entry or is only a note; `guard_keeps` takes it for
/// the former.
fn is_only_needed(decision: &Decision, guard_keeps: bool) -> bool {
    let mut notes = vec![Rule::Needed, Rule::Grace, Rule::Generation, Rule::NoRule];
    notes.extend((!guard_keeps).then_some(Rule::Guarded));
    decision.reasons.iter().any(|reason| reason.rule == Rule::Needed)
        && !decision.despite.is_empty()
        && decision.reasons.iter().all(|reason| notes.contains(&reason.rule))
}

/// Checks one plan; returns how many thin entries it keeps and deletes, and how many entries it keeps for them alone.
fn check(seed: u64, facts: &Facts, policy: &Policy) -> [usize; 3] {
    let plan = policy.plan(facts);
    let named = |entry| -> (&Entry, String) { (entry, ShortId::of(&entry.key, &entry.version).to_string()) };
    let all: Vec<(&Entry, String)> = facts.entries.iter().map(named).collect();
    let before: BTreeMap<&EntryId, Vec<Option<&EntryId>>> =
        all.iter().map(|(entry, _)| (&entry.id, found(facts, &all, entry))).collect();
    let ids = |guard_keeps: bool| -> BTreeSet<&EntryId> {
        let only_needed = plan.decisions.iter().filter(|decision| is_only_needed(decision, guard_keeps));
        only_needed.map(|decision| &decision.entry.id).collect()
    };
    let (perhaps, only_needed) = (ids(false), ids(true));
    let mut left = all.clone();
    for deletion in plan.deletions().map(Some).chain([None]) {
        for (entry, _) in left.iter().filter(|(entry, _)| !perhaps.contains(&entry.id)) {
            let now = found(facts, &left, entry);
            let lost =
                before[&entry.id].iter().zip(&now).any(|(before, now)| before.is_some() && before != now);
            assert!(!lost, "seed {seed}: {} lost a parent: {plan:#?}", entry.key);
        }
        if let Some(deletion) = deletion {
            left.retain(|(entry, _)| entry.id != deletion.entry.id);
        }
    }
    for (entry, name) in all.iter().filter(|(entry, _)| only_needed.contains(&entry.id)) {
        let needs = |(other, _): &&(&Entry, String)| {
            !only_needed.contains(&other.id)
                && other.key.as_str().split('.').skip(1).any(|named| named == name)
        };
        assert!(left.iter().any(|other| needs(&other)), "seed {seed}: nothing needs {}: {plan:#?}", entry.id);
    }
    let again = policy.plan(&carried_out(facts, &plan));
    assert_eq!(deleted(&again), BTreeSet::new(), "seed {seed}: {plan:#?}\n{again:#?}");
    assert_eq!(plan.is_stale(facts), None, "seed {seed}");
    let mut turned = facts.clone();
    turned.entries.reverse();
    assert_eq!(policy.plan(&turned), plan, "seed {seed}: the order of entries matters");
    let is_thin = |entry: &Entry| entry.key.as_str().contains("~t");
    let thin_left = left.iter().filter(|(entry, _)| is_thin(entry)).count();
    let thin_gone = plan.deletions().filter(|decision| is_thin(&decision.entry)).count();
    [thin_left, thin_gone, only_needed.len()]
}

#[test]
fn no_entry_that_stays_loses_a_parent_wherever_a_cleaning_ends() {
    let mut sums = [0; 3];
    for seed in 0..1_000 {
        let mut numbers = Numbers(seed);
        let facts = store(&mut numbers);
        let policy = policy(&mut numbers);
        for (sum, more) in sums.iter_mut().zip(check(seed, &facts, &policy)) {
            *sum += more;
        }
    }
    assert!(sums.iter().all(|sum| *sum > 500), "the stores and policies are too tame: {sums:?}");
}
