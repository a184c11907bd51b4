//! Trimming: making a local directory smaller by policy.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};

use super::template::Template;
use super::unit::{ByteSize, SizeOrShare, Span, counted};

/// How a cache is trimmed, as its configuration declares it.
///
/// At least one of the limits is set.
#[derive(Debug, Clone, PartialEq)]
pub struct TrimSpec {
    /// The unit of removal.
    pub units: TrimUnits,
    /// Upper bound for what remains of the cache as a whole.
    pub max_size: Option<SizeLimit>,
    /// Units that were not used for this long are removed.
    pub unused_for: Option<Span>,
    /// How many units remain at most.
    pub keep: Option<NonZeroUsize>,
    /// What tells when a unit was used.
    pub recency: Recency,
    /// Whether what the job did not use is removed.
    pub unused_by_job: bool,
}

/// An upper bound for the size of a cache, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum SizeLimit {
    /// A number of bytes, or a share of the volume that the cache lies on.
    Fixed(SizeOrShare),
    /// A text that is one of these once its placeholders are expanded.
    Expanded(Template),
}

/// The limits of a policy, with every size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrimPolicy {
    /// Upper bound for what remains; the least recently used units are removed.
    pub max_size: Option<ByteSize>,
    /// Units that were not used for this long are removed.
    pub unused_for: Option<Span>,
    /// The most recently used units that remain; all others are removed.
    pub keep: Option<NonZeroUsize>,
    /// Units that were not used since then are removed.
    pub used_since: Option<DateTime<Utc>>,
}

/// The unit of removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrimUnits {
    /// Single files.
    #[default]
    Files,
    /// What lies directly in a root: files, and directories with all that is in them.
    Children,
}

impl TrimUnits {
    /// The word for one unit.
    pub fn noun(self) -> &'static str {
        match self {
            TrimUnits::Files => "file",
            TrimUnits::Children => "unit",
        }
    }
}

/// What tells when a unit was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recency {
    /// When its contents last changed. Programs such as compiler caches set that time when they use a file.
    #[default]
    Modified,
    /// When its contents were last read, as far as the volume keeps that.
    Accessed,
    /// When it was created on this volume.
    Created,
}

impl fmt::Display for Recency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Recency::Modified => "modified",
            Recency::Accessed => "accessed",
            Recency::Created => "created",
        })
    }
}

/// Once a cache exceeds its maximum size, trimming continues down to this percentage of it, so that the next job
/// does not start at the limit.
pub const LOW_MARK: u64 = 95;

/// A time that is further ahead than this is not a time of use, in hours. Clocks of machines that share a volume differ by less.
const CLOCK_SKEW: i64 = 24;

/// What may be removed, as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimUnit {
    /// The number of the root that it lies in.
    pub root: usize,
    /// Its path relative to the root.
    pub path: PathBuf,
    /// Further names of the same file in the cache: root and path of each.
    pub also: Vec<(usize, PathBuf)>,
    /// Number of its files.
    pub files: u64,
    /// Bytes that removal frees.
    pub frees: u64,
    /// Whether some of its bytes have names elsewhere, so that removal does not free them.
    pub is_shared: bool,
    /// When it was last used.
    pub used_at: DateTime<Utc>,
    /// Why it has to stay, if it has to: a process uses it, or it could not be removed.
    pub held: Option<String>,
}

/// Why a unit is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrimReason {
    /// Its time of use lies in the future, so it says nothing.
    Future,
    /// It was not used for longer than the policy allows.
    Unused,
    /// The job did not use it.
    UnusedByJob,
    /// More recently used units fill the number that the policy keeps.
    Excess,
    /// The cache exceeds its maximum size, and this unit is among the least recently used.
    OverSize,
}

impl fmt::Display for TrimReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrimReason::Future => "dated in the future",
            TrimReason::Unused => "unused",
            TrimReason::UnusedByJob => "not used by this job",
            TrimReason::Excess => "in excess of `keep`",
            TrimReason::OverSize => "least recently used",
        })
    }
}

/// The units to remove and why; applying the plan consumes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrimPlan {
    /// The units to remove, least recently used first.
    pub remove: Vec<(TrimUnit, TrimReason)>,
    /// Units that would be removed but have to stay, least recently used first.
    pub stays: Vec<(TrimUnit, TrimReason)>,
    /// Size of the cache before.
    pub before: ByteSize,
    /// Size of the cache once the plan is applied.
    pub after: ByteSize,
    /// Why the cache still exceeds its maximum size afterward, if it does.
    pub blocked: Option<String>,
}

/// The order of removal: the time of use, then the place, so that ties have one order.
fn order(unit: &TrimUnit, now: DateTime<Utc>) -> (DateTime<Utc>, usize, &PathBuf) {
    let used_at = if is_future(unit, now) { DateTime::<Utc>::MIN_UTC } else { unit.used_at };
    (used_at, unit.root, &unit.path)
}

fn is_future(unit: &TrimUnit, now: DateTime<Utc>) -> bool {
    unit.used_at - now > TimeDelta::hours(CLOCK_SKEW)
}

impl TrimPolicy {
    /// Decides about every unit. `total` is the size of the cache, with every file counted once.
    ///
    /// A unit that is dated in the future counts as the least recently used one: its time cannot be one of use.
    pub fn plan(&self, mut units: Vec<TrimUnit>, total: ByteSize, now: DateTime<Utc>) -> TrimPlan {
        units.sort_by(|a, b| order(a, now).cmp(&order(b, now)));
        let excess = self.keep.map_or(0, |keep| units.len().saturating_sub(keep.get()));
        let low = self.max_size.filter(|max| total > *max).map(|max| max.0 / 100 * LOW_MARK);
        let mut plan = TrimPlan { before: total, after: total, ..TrimPlan::default() };
        let mut shared = 0_u64;
        for (index, unit) in units.into_iter().enumerate() {
            let reason = match self.by_age(&unit, now) {
                Some(reason) => reason,
                None if index < excess => TrimReason::Excess,
                None if low.is_some_and(|low| plan.after.0 > low) => TrimReason::OverSize,
                None => continue,
            };
            if unit.held.is_some() {
                plan.stays.push((unit, reason));
                continue;
            }
            // Removing what frees nothing would be a pure loss.
            if unit.frees == 0 && reason == TrimReason::OverSize {
                shared += u64::from(unit.is_shared);
                continue;
            }
            plan.after.0 = plan.after.0.saturating_sub(unit.frees);
            plan.remove.push((unit, reason));
        }
        if let Some(max) = self.max_size.filter(|max| plan.after > *max) {
            plan.blocked = Some(why_blocked(&plan, max, shared));
        }
        plan
    }

    /// Why a unit goes whatever the others are.
    fn by_age(&self, unit: &TrimUnit, now: DateTime<Utc>) -> Option<TrimReason> {
        if self.unused_for.is_none() && self.used_since.is_none() {
            return None;
        }
        if is_future(unit, now) {
            return Some(TrimReason::Future);
        }
        let idle = (now - unit.used_at).to_std().unwrap_or_default();
        if self.unused_for.is_some_and(|span| idle >= span.0) {
            return Some(TrimReason::Unused);
        }
        self.used_since.is_some_and(|since| unit.used_at < since).then_some(TrimReason::UnusedByJob)
    }

    /// Why nothing is to be removed, limit by limit.
    pub fn why_nothing(&self, units: usize, total: ByteSize, noun: &str) -> String {
        let mut reasons = Vec::new();
        if let Some(max) = self.max_size {
            reasons.push(format!("{total} is below `max-size`, {max}"));
        }
        if let Some(span) = self.unused_for {
            reasons.push(format!("all of {} used within {span}", counted(units, noun)));
        }
        if self.used_since.is_some() {
            reasons.push(format!("all of {} used by this job", counted(units, noun)));
        }
        if let Some(keep) = self.keep {
            reasons.push(format!("{} of {keep} that `keep` allows", counted(units, noun)));
        }
        reasons.join("; ")
    }
}

/// What keeps a cache above its maximum size.
fn why_blocked(plan: &TrimPlan, max: ByteSize, shared: u64) -> String {
    let mut causes = Vec::new();
    if let Some((unit, _)) = plan.stays.first() {
        let why = unit.held.as_deref().unwrap_or_default();
        let more = match plan.stays.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        causes.push(format!("`{}` stays, {why}{more}", unit.path.display()));
    }
    if shared > 0 {
        let has = if shared == 1 { "has names" } else { "have names" };
        let text = format!("{} {has} elsewhere, and removing one frees nothing", counted(shared, "unit"));
        causes.push(text);
    }
    if causes.is_empty() {
        causes.push("the rest is never trimmed".to_owned());
    }
    format!("{} of {max}: {}", plan.after, causes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const DAY: u64 = 86_400;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn unit(path: &str, frees: u64, days: i64) -> TrimUnit {
        TrimUnit {
            root: 0,
            path: path.into(),
            also: Vec::new(),
            files: 1,
            frees,
            is_shared: false,
            used_at: now() - TimeDelta::days(days),
            held: None,
        }
    }

    fn held(path: &str, frees: u64, days: i64) -> TrimUnit {
        TrimUnit { held: Some("in use by process 7".to_owned()), ..unit(path, frees, days) }
    }

    fn shared(path: &str, days: i64) -> TrimUnit {
        TrimUnit { is_shared: true, ..unit(path, 0, days) }
    }

    fn policy(max_size: Option<u64>, days: Option<u64>, keep: Option<usize>) -> TrimPolicy {
        TrimPolicy {
            max_size: max_size.map(ByteSize),
            unused_for: days.map(|days| Span(Duration::from_secs(days * DAY))),
            keep: keep.and_then(NonZeroUsize::new),
            used_since: None,
        }
    }

    fn plan(policy: TrimPolicy, units: &[TrimUnit]) -> TrimPlan {
        let total = ByteSize(units.iter().map(|unit| unit.frees.max(10)).sum());
        policy.plan(units.to_vec(), total, now())
    }

    fn names(units: &[(TrimUnit, TrimReason)]) -> String {
        let named = units.iter().map(|(unit, reason)| format!("{} {reason}", unit.path.display()));
        named.collect::<Vec<_>>().join(", ")
    }

    /// What each policy removes of the units, what stays although it should go, and the size afterward.
    #[test]
    fn every_limit_removes_what_it_says() {
        let three = [unit("new", 400, 1), unit("old", 400, 9), unit("middle", 400, 5)];
        let small = [unit("a", 10, 3), unit("b", 10, 5), unit("c", 10, 7)];
        let future = [unit("a", 400, 3), unit("ahead", 400, -400), unit("skewed", 400, 0)];
        let ties = [unit("b", 400, 5), unit("a", 400, 5), unit("c", 400, 5)];
        let used = [held("old", 400, 9), unit("middle", 400, 5), unit("new", 400, 1)];
        let cases: &[(&[TrimUnit], TrimPolicy, &str, &str, u64)] = &[
            (&three, policy(Some(1000), None, None), "old least recently used", "", 800),
            (&three, policy(Some(1200), None, None), "", "", 1200),
            (&small, policy(None, Some(5), None), "c unused, b unused", "", 10),
            (&small, policy(Some(1_000_000), Some(9), None), "", "", 30),
            (
                &three,
                policy(None, None, Some(1)),
                "old in excess of `keep`, middle in excess of `keep`",
                "",
                400,
            ),
            (&three, policy(None, None, Some(3)), "", "", 1200),
            (&future, policy(None, Some(5), None), "ahead dated in the future", "", 800),
            (&future, policy(Some(1000), None, None), "ahead least recently used", "", 800),
            (&future, policy(None, None, Some(2)), "ahead in excess of `keep`", "", 800),
            (&ties, policy(Some(700), None, None), "a least recently used, b least recently used", "", 400),
            (
                &used,
                policy(Some(1000), None, None),
                "middle least recently used",
                "old least recently used",
                800,
            ),
            (&used, policy(None, Some(5), None), "middle unused", "old unused", 800),
            (&used, policy(None, None, Some(2)), "", "old in excess of `keep`", 1200),
        ];
        for (units, policy, removed, stays, after) in cases {
            let plan = plan(*policy, units);
            assert_eq!(
                (names(&plan.remove).as_str(), names(&plan.stays).as_str()),
                (*removed, *stays),
                "{policy:?}"
            );
            assert_eq!(plan.after, ByteSize(*after), "{policy:?}");
            assert_eq!(plan.blocked, None, "{policy:?}");
        }
    }

    #[test]
    fn what_a_job_did_not_use_goes() {
        let units = [unit("restored", 400, 9), unit("hit", 400, 0), unit("ahead", 400, -400)];
        let policy = TrimPolicy { used_since: Some(now() - TimeDelta::hours(1)), ..TrimPolicy::default() };
        let plan = plan(policy, &units);
        assert_eq!(names(&plan.remove), "ahead dated in the future, restored not used by this job");
    }

    #[test]
    fn what_keeps_a_cache_too_large_is_named() {
        let check = |units: &[TrimUnit], removed: &str, blocked: &str| {
            let plan = plan(policy(Some(10), None, None), units);
            assert_eq!((names(&plan.remove).as_str(), plan.blocked.as_deref()), (removed, Some(blocked)));
        };
        check(
            &[shared("a", 9), shared("b", 8), unit("c", 100, 1)],
            "c least recently used",
            "20 B of 10 B: 2 units have names elsewhere, and removing one frees nothing",
        );
        check(
            &[held("run-1", 70, 9), held("run-2", 50, 8)],
            "",
            "120 B of 10 B: `run-1` stays, in use by process 7 and 1 more",
        );
        let nothing = policy(Some(10), None, None).plan(Vec::new(), ByteSize(30), now());
        assert_eq!(nothing.blocked.as_deref(), Some("30 B of 10 B: the rest is never trimmed"));
    }

    #[test]
    fn the_order_does_not_depend_on_that_of_the_walk() {
        let mut units: Vec<TrimUnit> =
            (0..50).map(|index| unit(&format!("u{index}"), 10, index % 7)).collect();
        let first = plan(policy(Some(200), None, None), &units);
        units.reverse();
        assert_eq!(plan(policy(Some(200), None, None), &units), first);
    }

    #[test]
    fn a_limit_that_removes_nothing_says_so() {
        let policy = policy(Some(5_000_000_000), Some(7), Some(3));
        assert_eq!(
            policy.why_nothing(2, ByteSize(1_200), "file"),
            "1.20 kB is below `max-size`, 5.00 GB; all of 2 files used within 1w; 2 files of 3 that `keep` allows"
        );
    }
}
