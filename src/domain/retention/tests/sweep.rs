//! A nightly cleaning of 1 200 entries over 300 pull requests, branches, tags and merge-queue refs, checked against
//! a naive implementation of the rules.

use super::*;
use crate::domain::retention::{Headroom, Protect, PullRequestState, RefState};

/// One generated entry, with what the generator knows about it.
struct KnownRefs {
    entry: Entry,
    /// The pattern that its key was generated from.
    kind: String,
    /// Whether its key names contents.
    contents: bool,
}

/// A small generator of reproducible numbers (the multiplier and increment of Knuth's MMIX).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn hex(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| char::from(b"0123456789abcdef"[usize::try_from(self.below(16)).expect("small")]))
            .collect()
    }

    /// Days up to a bound, in steps of minutes.
    #[expect(clippy::cast_precision_loss, reason = "minutes of a month are few")]
    pub(super) fn days(&mut self, bound: u64) -> f64 {
        self.below(bound * 1_440) as f64 / 1_440.0
    }
}

fn generated() -> (Facts, Vec<KnownRefs>) {
    let mut numbers = Numbers(4);
    let mut facts = facts();
    let mut scopes = Vec::new();
    for number in 1..=300 {
        let state = match numbers.below(10) {
            0..5 => PullRequestState::Closed { at: days_ago(numbers.days(10)) },
            5..9 => PullRequestState::Open,
            _ => PullRequestState::Unknown { why: "502 Bad Gateway".to_owned() },
        };
        facts.pull_requests.insert(number, state);
        scopes
            .push(scope(&format!("refs/pull/{number}/{}", if number % 20 == 0 { "head" } else { "merge" })));
    }
    for number in 0..60 {
        let name = match number % 3 {
            0 => format!("refs/heads/topic-{number}"),
            1 => format!("refs/tags/v{number}"),
            _ => format!("refs/heads/gh-readonly-queue/main/pr-{number}-{}", numbers.hex(40)),
        };
        let state = match numbers.below(5) {
            0 => RefState::Exists,
            1 => RefState::Unknown { why: "rate limited".to_owned() },
            2 => RefState::DeletedOrAbsent { since: None },
            _ => RefState::DeletedOrAbsent { since: Some(days_ago(numbers.days(10))) },
        };
        facts.refs.insert(scope(&name), state);
        scopes.push(scope(&name));
    }
    let mut known = Vec::new();
    for index in 0..1_200_usize {
        // Every scope once, then a third each for the default branch and for the others.
        let place = match index {
            0..360 => scopes[index].clone(),
            _ if numbers.below(3) == 0 => facts.default_branch.clone(),
            _ => scopes[usize::try_from(numbers.below(360)).expect("small")].clone(),
        };
        let (kind, suffix, contents) = kind_and_suffix(&mut numbers);
        let age = numbers.days(14);
        let mut entry =
            entry(place.as_str(), &format!("{kind}{suffix}"), age, 1_000_000 + numbers.below(40_000_000));
        entry.id = EntryId((90_000 + index).to_string());
        if numbers.below(3) == 0 {
            entry.last_used_at = Some(days_ago(numbers.days(14).min(age)));
        }
        if numbers.below(12) == 0 {
            entry.size.0 /= 30;
        }
        if numbers.below(4) == 0 {
            entry.version = Version::of_roots(["other"]);
        }
        known.push(KnownRefs { entry, kind, contents });
    }
    facts.entries = known.iter().map(|k| k.entry.clone()).collect();
    (facts, known)
}

/// What a key begins with, what it ends in, and whether that end is made of contents.
fn kind_and_suffix(numbers: &mut Numbers) -> (String, String, bool) {
    let os = ["linux", "macos", "windows"][usize::try_from(numbers.below(3)).expect("small")];
    match numbers.below(5) {
        0 => (format!("ccache-v4-{os}-"), numbers.hex(40), false),
        1 => (format!("externaldata-{os}-"), numbers.hex(64), true),
        2 => (format!("build-{os}-"), (10_000_000_000 + numbers.below(1_000_000_000)).to_string(), false),
        3 => {
            let (month, day) = (1 + numbers.below(12), 1 + numbers.below(28));
            (format!("nightly-{os}-"), format!("2026-{month:02}-{day:02}"), false)
        }
        _ => (format!("tools-{os}-v{}", numbers.below(4)), String::new(), true),
    }
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Seconds since then.
fn since(then: DateTime<Utc>) -> i64 {
    (now() - then).num_seconds().max(0)
}

struct Oracle<'a> {
    facts: &'a Facts,
    known: &'a [KnownRefs],
}

impl Oracle<'_> {
    fn idle(entry: &Entry) -> i64 {
        since(entry.last_used_at.unwrap_or(entry.created_at).max(entry.created_at))
    }

    /// Generations of the same thing that a lookup prefers, newest first.
    fn newer(&self, of: &KnownRefs) -> Vec<&KnownRefs> {
        let place = |k: &KnownRefs| (k.entry.created_at, k.entry.key.clone(), k.entry.id.clone());
        let mut newer: Vec<&KnownRefs> = (self.known.iter())
            .filter(|k| k.entry.scope == of.entry.scope && k.entry.version == of.entry.version)
            .filter(|k| k.kind == of.kind && place(k) > place(of))
            .collect();
        newer.sort_by_key(|k| std::cmp::Reverse(place(k)));
        newer
    }

    fn is_default(&self, known: &KnownRefs) -> bool {
        known.entry.scope == self.facts.default_branch
    }

    fn guarded(older: &KnownRefs, newer: &KnownRefs) -> bool {
        newer.entry.size.0 * 2 < older.entry.size.0 && Self::idle(&older.entry) < 7 * DAY
    }

    /// On the default branch, the newest generation and those that only far smaller current ones follow.
    fn current(&self, known: &KnownRefs) -> bool {
        self.is_default(known)
            && self.newer(known).into_iter().filter(|n| self.current(n)).all(|n| Self::guarded(known, n))
    }

    fn stays(&self, known: &KnownRefs) -> bool {
        let name = known.entry.scope.as_str();
        let (unknown, follows) = match name.strip_prefix("refs/pull/").and_then(|rest| rest.split('/').next())
        {
            Some(number) => match self.facts.pull_requests[&number.parse().expect("a number")] {
                PullRequestState::Open => (false, true),
                PullRequestState::Unknown { .. } => (true, false),
                _ => (false, false),
            },
            None => (
                matches!(self.facts.refs.get(&known.entry.scope), Some(RefState::Unknown { .. })),
                self.is_default(known),
            ),
        };
        let newer = self.newer(known);
        let last_use = now() - TimeDelta::seconds(Self::idle(&known.entry));
        let restored = last_use - known.entry.created_at > TimeDelta::minutes(1);
        let asked_for = match newer.first() {
            None => true,
            Some(newest) => restored && (known.contents || last_use > newest.entry.created_at),
        };
        unknown
            || known.kind.starts_with("tools-linux")
            || self.current(known)
            || follows && Self::idle(&known.entry) <= DAY && asked_for
            || self.is_default(known) && self.is_behind_a_pull_request(known)
    }

    /// Whether an open pull request uses the same key and version of its own.
    fn is_behind_a_pull_request(&self, known: &KnownRefs) -> bool {
        let is_open = |k: &KnownRefs| {
            let number = k.entry.scope.as_str().strip_prefix("refs/pull/").and_then(|r| r.split('/').next());
            number.is_some_and(|n| {
                self.facts.pull_requests[&n.parse().expect("a number")] == PullRequestState::Open
            })
        };
        let same = |k: &&KnownRefs| k.entry.key == known.entry.key && k.entry.version == known.entry.version;
        let is_used = |k: &KnownRefs| Self::idle(&k.entry) <= DAY && (self.newer(k).is_empty() || k.contents);
        self.known.iter().filter(same).any(|k| is_open(k) && is_used(k))
    }

    /// Rules that look at one entry alone.
    fn goes_alone(&self, known: &KnownRefs) -> bool {
        let name = known.entry.scope.as_str();
        let dead = match name.strip_prefix("refs/pull/").and_then(|rest| rest.split('/').next()) {
            Some(number) => match self.facts.pull_requests[&number.parse().expect("a number")] {
                PullRequestState::Closed { at } => since(at) >= 3 * DAY,
                _ => false,
            },
            None => match self.facts.refs.get(&known.entry.scope) {
                Some(RefState::DeletedOrAbsent { since: Some(at) }) => since(*at) >= 3 * DAY,
                Some(RefState::DeletedOrAbsent { since: None }) => Self::idle(&known.entry) >= 3 * DAY,
                _ => false,
            },
        };
        !self.stays(known) && (dead || Self::idle(&known.entry) >= 7 * DAY)
    }

    fn goes_as_superseded(&self, known: &KnownRefs) -> bool {
        let left = |k: &&KnownRefs| !self.goes_alone(k) && !self.goes_as_superseded(k);
        !self.stays(known)
            && !self.goes_alone(known)
            && self.newer(known).into_iter().filter(left).any(|newer| !Self::guarded(known, newer))
    }

    fn expected(&self, target: u64) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let mut gone = BTreeSet::new();
        let mut left: Vec<&KnownRefs> = Vec::new();
        for known in self.known {
            if self.goes_alone(known) || self.goes_as_superseded(known) {
                gone.insert(known.entry.id.0.as_str());
            } else {
                left.push(known);
            }
        }
        let mut over_budget = BTreeSet::new();
        loop {
            let bytes: u64 = left.iter().map(|k| k.entry.size.0).sum();
            let place = |k: &&&KnownRefs| (-Self::idle(&k.entry), k.entry.created_at, k.entry.id.clone());
            let Some(next) = left.iter().filter(|k| !self.stays(k)).min_by_key(place).copied() else { break };
            if bytes <= target {
                break;
            }
            over_budget.insert(next.entry.id.0.as_str());
            left.retain(|k| k.entry.id != next.entry.id);
        }
        (gone, over_budget)
    }
}

#[test]
fn a_sweep_deletes_exactly_the_expected_entries() {
    let (mut facts, known) = generated();
    let mut policy = Policy {
        older_than: None,
        headroom: Headroom::Bytes(ByteSize(1_500_000_000)),
        protect: Protect::new(["tools-linux-*"]).expect("a glob"),
        ..strict()
    };
    // A budget that the other rules meet, and GitHub's, for which least recently used ones must go as well.
    for (budget, takes_more) in [(20_000_000_000_u64, false), (9_000_000_000, true)] {
        policy.budget = Some(ByteSize(budget));
        facts.limit = Some(ByteSize(budget + 1_000_000_000));
        let plan = policy.plan(&facts);
        let oracle = Oracle { facts: &facts, known: &known };
        let (gone, over_budget) = oracle.expected(budget - 500_000_000);
        assert_eq!((gone.len(), over_budget.len()), (713, if takes_more { 45 } else { 0 }));
        assert_eq!(deleted(&plan), gone.union(&over_budget).copied().collect());
        assert!(plan.budget.as_ref().expect("a budget").is_met());
        assert_eq!(policy.plan(&carried_out(&facts, &plan)).deletions().count(), 0);
        let named_in = |rule| plan.deletions().any(|d| d.reasons.iter().any(|r| r.rule == rule));
        for rule in [Rule::ClosedPullRequest, Rule::DeletedRef, Rule::Superseded, Rule::Unused] {
            assert!(named_in(rule), "{rule}");
        }
    }
}
