//! Behavior of the policy engine.

mod after;
mod defects;
mod in_use;
mod lost_parents;
mod properties;
mod quota;
mod sweep;
mod thin_entries;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Facts, Plan, Policy, Rule, Verdict};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::thin::{ShortId, ThinKey};
use crate::domain::unit::{ByteSize, Span};
use crate::domain::version::Version;

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

pub(super) fn days_ago(days: f64) -> DateTime<Utc> {
    now()
        - TimeDelta::from_std(Duration::from_secs_f64(days.abs() * 86_400.0)).expect("in range") * sign(days)
}

fn sign(number: f64) -> i32 {
    if number < 0.0 { -1 } else { 1 }
}

pub(super) fn days(count: f64) -> Span {
    Span(Duration::from_secs_f64(count * 86_400.0))
}

pub(super) fn scope(name: &str) -> Scope {
    Scope::new(name).expect(name)
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text).expect(text)
}

pub(super) fn facts() -> Facts {
    Facts::new(scope("main"), now())
}

/// An entry saved `age` days ago and not used since; its id is `scope key`.
pub(super) fn entry(scope_name: &str, key_text: &str, age: f64, size: u64) -> Entry {
    Entry {
        id: EntryId(format!("{scope_name} {key_text}")),
        scope: scope(scope_name),
        key: key(key_text),
        version: Version::of_roots(["x"]),
        created_at: days_ago(age),
        last_used_at: None,
        size: ByteSize(size),
    }
}

/// A thin entry of a tree of a thousand MiB, saved `age` days ago, that takes content from these; its id is `scope key`.
pub(super) fn thin(scope_name: &str, key_text: &str, age: f64, size: u64, parents: &[&Entry]) -> Entry {
    let ids = parents.iter().map(|parent| ShortId::of(&parent.key, &parent.version)).collect();
    let stored = ThinKey::new(&key(key_text), ByteSize(1_000 << 20), ids).expect("a thin key");
    Entry {
        key: stored.to_key(),
        version: Version::of_thin_roots(["x"]),
        ..entry(scope_name, key_text, age, size)
    }
}

/// The same entry with a last use, in days ago.
pub(super) fn used(mut entry: Entry, age: f64) -> Entry {
    entry.last_used_at = Some(days_ago(age));
    entry
}

/// The value of `superseded` that keeps this number of generations; 0 turns the rule off.
pub(super) fn keep(count: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(count)
}

/// The ids that a plan deletes.
pub(super) fn deleted(plan: &Plan) -> BTreeSet<&str> {
    plan.deletions().map(|decision| decision.entry.id.0.as_str()).collect()
}

/// The facts after a plan was applied.
pub(super) fn carried_out(facts: &Facts, plan: &Plan) -> Facts {
    let gone: BTreeSet<&EntryId> = plan.deletions().map(|decision| &decision.entry.id).collect();
    let mut after = facts.clone();
    after.entries.retain(|entry| !gone.contains(&entry.id));
    after
}

/// The texts of all reasons for an entry.
pub(super) fn reasons(plan: &Plan, id: &str) -> Vec<String> {
    let found = plan.decisions.iter().find(|decision| decision.entry.id.0 == id).expect(id);
    found.reasons.iter().map(ToString::to_string).collect()
}

/// A policy in which everything is on.
pub(super) fn strict() -> Policy {
    Policy {
        closed_pull_requests: Some(days(3.0)),
        deleted_refs: Some(days(3.0)),
        superseded: keep(1),
        unused_for: Some(days(7.0)),
        older_than: Some(days(60.0)),
        budget: Some(ByteSize(9_000)),
        ..Policy::default()
    }
}

#[test]
fn ten_thousand_entries_are_planned() {
    let mut facts = facts();
    facts.entries = (0..10_000)
        .map(|n| {
            let mut entry = entry("main", &format!("cache-{}-{:012}", n % 7, n), f64::from(n) / 500.0, 1_000);
            entry.id = EntryId(n.to_string());
            entry
        })
        .collect();
    let plan = strict().plan(&facts);
    assert_eq!(plan.decisions.len(), 10_000);
    assert_eq!(plan.deletions().count(), 10_000 - 7);
}

#[test]
fn every_rule_has_one_name() {
    for decision in strict().plan(&facts()).decisions {
        assert_eq!(decision.verdict, Verdict::Keep);
    }
    for rule in [Rule::ClosedPullRequest, Rule::Budget, Rule::NoRule, Rule::Guarded] {
        assert_eq!(Rule::from_name(rule.name()), Some(rule));
    }
    assert_eq!(Rule::from_name("nope"), None);
}
