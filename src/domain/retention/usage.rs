//! Usage of a store: bytes by ref, pattern, age and reach; what is evicted next; when the limit is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::decide::{distinct, eviction_place};
use super::elapsed::Elapsed;
use super::facts::{Facts, PullRequestState, RefState, ScopeState};
use super::pattern::{DeclaredPattern, Pattern};
use super::plan::Amount;
use crate::domain::entry::Entry;
use crate::domain::scope::Scope;
use crate::domain::thin;
use crate::domain::unit::ByteSize;

/// Bytes and entries of a store, broken down in several ways. Each list adds up to `total`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// All entries.
    pub total: Amount,
    /// By scope, largest first.
    pub by_ref: Vec<(Scope, Amount)>,
    /// By key pattern, largest first.
    pub by_pattern: Vec<(String, Amount)>,
    /// By time since the last use, most recent first; includes empty buckets.
    pub by_age: Vec<(AgeBucket, Amount)>,
    /// By which jobs can still restore them, in the order of [`Reach`].
    pub by_reach: Vec<(Reach, Amount)>,
}

/// A span of time since the last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgeBucket {
    /// Up to an hour.
    Hour,
    /// Up to a day.
    Day,
    /// Up to three days.
    ThreeDays,
    /// Up to a week, after which GitHub evicts entries.
    Week,
    /// Up to thirty days.
    Month,
    /// Longer.
    Older,
}

const HOUR: u64 = 3_600;
const BUCKETS: &[(AgeBucket, u64, &str)] = &[
    (AgeBucket::Hour, HOUR, "up to an hour"),
    (AgeBucket::Day, 24 * HOUR, "up to a day"),
    (AgeBucket::ThreeDays, 72 * HOUR, "up to 3 days"),
    (AgeBucket::Week, 168 * HOUR, "up to a week"),
    (AgeBucket::Month, 720 * HOUR, "up to 30 days"),
    (AgeBucket::Older, u64::MAX, "over 30 days"),
];

impl AgeBucket {
    /// The bucket that a span falls into.
    pub fn of(elapsed: Elapsed) -> Self {
        let bucket = BUCKETS.iter().find(|(_, most, _)| elapsed.0 <= Duration::from_secs(*most));
        bucket.expect("the last bucket takes everything").0
    }
}

impl fmt::Display for AgeBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BUCKETS.iter().find(|(bucket, _, _)| bucket == self).expect("every bucket has a row").2)
    }
}

/// Which jobs can still restore an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Every job: it is on the default branch.
    Everyone,
    /// Jobs of its branch or tag, and of pull requests into it.
    Branch,
    /// Jobs of one open pull request.
    PullRequest,
    /// No job: its pull request was closed or its ref deleted.
    NoJob,
    /// The state of its scope is not known.
    Unknown,
}

impl Reach {
    /// Which jobs can still restore entries of a scope in this state.
    pub fn of(state: &ScopeState) -> Self {
        match state {
            ScopeState::DefaultBranch => Reach::Everyone,
            ScopeState::PullRequest { state, .. } => match state {
                PullRequestState::Open => Reach::PullRequest,
                PullRequestState::Closed { .. } => Reach::NoJob,
                PullRequestState::Unknown { .. } | PullRequestState::Untracked => Reach::Unknown,
            },
            ScopeState::Ref(state) => match state {
                RefState::Exists => Reach::Branch,
                RefState::DeletedOrAbsent { .. } => Reach::NoJob,
                RefState::Unknown { .. } | RefState::Untracked => Reach::Unknown,
            },
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Everyone => "every job",
            Reach::Branch => "its branch and pull requests into it",
            Reach::PullRequest => "its open pull request",
            Reach::NoJob => "no job",
            Reach::Unknown => "unknown",
        })
    }
}

impl Usage {
    /// Computes the usage of the entries.
    pub fn of(facts: &Facts, declared: &[DeclaredPattern]) -> Self {
        let mut total = Amount::default();
        let mut by_ref: BTreeMap<Scope, Amount> = BTreeMap::new();
        let mut by_pattern: BTreeMap<String, Amount> = BTreeMap::new();
        let mut by_age: BTreeMap<AgeBucket, Amount> =
            BUCKETS.iter().map(|(bucket, _, _)| (*bucket, Amount::default())).collect();
        let mut by_reach: BTreeMap<Reach, Amount> = BTreeMap::new();
        for entry in distinct(&facts.entries) {
            let idle = Elapsed::between(facts.last_use(entry), facts.now);
            total.add(entry.size);
            by_ref.entry(entry.scope.clone()).or_default().add(entry.size);
            by_pattern
                .entry(Pattern::of(&thin::saved_for(&entry.key), declared).to_string())
                .or_default()
                .add(entry.size);
            by_age.entry(AgeBucket::of(idle)).or_default().add(entry.size);
            by_reach.entry(Reach::of(&facts.scope_state(&entry.scope))).or_default().add(entry.size);
        }
        Usage {
            total,
            by_ref: largest_first(by_ref),
            by_pattern: largest_first(by_pattern),
            by_age: by_age.into_iter().collect(),
            by_reach: by_reach.into_iter().collect(),
        }
    }
}

fn largest_first<N: Ord>(amounts: BTreeMap<N, Amount>) -> Vec<(N, Amount)> {
    let mut rows: Vec<(N, Amount)> = amounts.into_iter().collect();
    rows.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
    rows
}

/// All entries in the order in which the store evicts them: least recently used first.
pub fn eviction_order(facts: &Facts) -> Vec<&Entry> {
    let mut entries = distinct(&facts.entries);
    entries.sort_by_key(|entry| eviction_place(facts, entry));
    entries
}

/// The entries that the store would evict if `incoming` bytes were saved under `limit`: least recently used first,
/// in use or not, as GitHub does.
pub fn evicted_next(facts: &Facts, limit: ByteSize, incoming: ByteSize) -> Vec<&Entry> {
    let order = eviction_order(facts);
    let mut bytes = order.iter().map(|entry| entry.size.0).fold(incoming.0, u64::saturating_add);
    order
        .into_iter()
        .take_while(|entry| {
            let over = bytes > limit.0;
            bytes = bytes.saturating_sub(entry.size.0);
            over
        })
        .collect()
}

/// A forecast of when a store reaches its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The window that the rate is computed from: a week, less if the oldest entry is younger, but at least a day.
    pub window: Elapsed,
    /// Bytes saved per day in the window. Entries that have been deleted since do not count.
    pub per_day: ByteSize,
    /// When the limit is reached at this rate: `now` if it already is, `None` if nothing was saved.
    pub runs_out_at: Option<DateTime<Utc>>,
}

impl Forecast {
    /// Computes the forecast as of `facts.now`.
    pub fn of(facts: &Facts, limit: ByteSize) -> Self {
        const DAY: u64 = 24 * HOUR;
        let entries = distinct(&facts.entries);
        let age = |entry: &Entry| Elapsed::between(entry.created_at, facts.now).0.as_secs();
        let oldest = entries.iter().map(|entry| age(entry)).max().unwrap_or(0);
        let window = oldest.clamp(DAY, 7 * DAY);
        let sum = |young: &dyn Fn(&Entry) -> bool| -> u128 {
            entries.iter().filter(|entry| young(entry)).map(|entry| u128::from(entry.size.0)).sum()
        };
        let saved = sum(&|entry| age(entry) <= window);
        let left = u128::from(limit.0).saturating_sub(sum(&|_| true));
        let per_day = saved.saturating_mul(u128::from(DAY)) / u128::from(window);
        let runs_out_at = if left == 0 {
            Some(facts.now)
        } else if oldest < DAY {
            // Less than a day shows no rate: the first run of a job fills all its caches.
            None
        } else {
            // A date that chrono cannot represent counts as never.
            let seconds = left.saturating_mul(u128::from(window)).checked_div(saved);
            seconds
                .and_then(|seconds| i64::try_from(seconds).ok())
                .and_then(TimeDelta::try_seconds)
                .and_then(|delta| facts.now.checked_add_signed(delta))
        };
        Forecast {
            window: Elapsed(Duration::from_secs(window)),
            per_day: ByteSize(u64::try_from(per_day).unwrap_or(u64::MAX)),
            runs_out_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::retention::tests::{entry, facts, scope};

    #[test]
    fn every_breakdown_adds_up_to_the_total() {
        let mut facts = facts();
        facts.pull_requests.insert(1, PullRequestState::Closed { at: facts.now });
        facts.pull_requests.insert(2, PullRequestState::Open);
        facts.refs.insert(scope("topic"), RefState::Exists);
        facts.entries = vec![
            entry("main", "c-1234567", 30.0, 5),
            entry("main", "c-1234568", 0.01, 7),
            entry("refs/pull/1/merge", "c-1234567", 2.0, 1),
            entry("refs/pull/2/head", "d", 3.5, 2),
            entry("topic", "d", 5.0, 3),
            entry("refs/heads/gone", "e", 50.0, 4),
        ];
        let usage = Usage::of(&facts, &[]);
        assert_eq!(usage.total, Amount { entries: 6, bytes: ByteSize(22) });
        let bytes = |rows: &[Amount]| rows.iter().map(|amount| amount.bytes.0).collect::<Vec<_>>();
        let amounts: Vec<Amount> = usage.by_ref.iter().map(|row| row.1).collect();
        assert_eq!(bytes(&amounts), [12, 4, 3, 2, 1]);
        let patterns: Vec<_> = usage.by_pattern.iter().map(|(name, a)| (name.as_str(), a.bytes.0)).collect();
        assert_eq!(patterns, [("c-*", 13), ("d", 5), ("e", 4)]);
        let ages: Vec<Amount> = usage.by_age.iter().map(|row| row.1).collect();
        assert_eq!(bytes(&ages), [7, 0, 1, 5, 5, 4]);
        let reach: Vec<_> = usage.by_reach.iter().map(|(reach, a)| (*reach, a.bytes.0)).collect();
        let expected = [
            (Reach::Everyone, 12),
            (Reach::Branch, 3),
            (Reach::PullRequest, 2),
            (Reach::NoJob, 1),
            (Reach::Unknown, 4),
        ];
        assert_eq!(reach, expected);
    }

    #[test]
    fn the_least_recently_used_are_evicted_until_the_next_save_fits() {
        let mut facts = facts();
        facts.entries =
            vec![entry("main", "a", 3.0, 4), entry("main", "b", 1.0, 4), entry("main", "c", 2.0, 4)];
        let evicted = |limit, incoming| -> Vec<&str> {
            let found = evicted_next(&facts, ByteSize(limit), ByteSize(incoming));
            found.into_iter().map(|entry| entry.key.as_str()).collect()
        };
        assert_eq!(evicted(12, 0), [] as [&str; 0]);
        assert_eq!(evicted(12, 1), ["a"]);
        assert_eq!(evicted(12, 5), ["a", "c"]);
        assert_eq!(evicted(12, 99), ["a", "c", "b"]);
    }

    #[test]
    fn the_budget_runs_out_at_the_present_rate() {
        let mut facts = facts();
        facts.entries =
            vec![entry("main", "a", 4.0, 40), entry("main", "b", 1.0, 40), entry("main", "o", 9.0, 70)];
        let forecast = Forecast::of(&facts, ByteSize(230));
        assert_eq!(forecast.window.to_string(), "7 d");
        assert_eq!(forecast.per_day, ByteSize(11));
        assert_eq!(forecast.runs_out_at, Some(facts.now + TimeDelta::days(7)));
        assert_eq!(Forecast::of(&facts, ByteSize(100)).runs_out_at, Some(facts.now));
        facts.entries.truncate(0);
        assert_eq!(Forecast::of(&facts, ByteSize(100)).runs_out_at, None);
    }
}
