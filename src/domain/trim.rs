//! Trimming: making a local directory smaller by policy.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::unit::{ByteSize, Span};

/// When files of a cache are removed from its directory before it is saved.
///
/// At least one of the limits is set; with both, unused files are removed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrimPolicy {
    /// The unit of removal.
    pub units: TrimUnits,
    /// Upper bound for what remains; the least recently used units are removed.
    pub max_size: Option<ByteSize>,
    /// Units that were not used for this long are removed.
    pub unused_for: Option<Span>,
}

/// The unit of removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrimUnits {
    /// Single files.
    #[default]
    Files,
}

/// Once a directory exceeds its maximum size, trimming continues down to this percentage of it, so that the next job
/// does not start at the limit.
pub const LOW_MARK: u64 = 95;

/// A file that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimUnit {
    /// Path relative to the directory.
    pub path: PathBuf,
    /// Bytes that removal frees; 0 for a file with further hard links.
    pub frees: u64,
    /// When it was last read or written, as far as the file system records that.
    pub used_at: DateTime<Utc>,
}

/// Why a file is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimReason {
    /// It was not used for longer than the policy allows.
    Unused,
    /// The directory exceeds its maximum size, and this file is among the least recently used.
    OverSize,
}

/// The files to remove and why; applying the plan consumes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrimPlan {
    /// The files to remove, least recently used first.
    pub remove: Vec<(TrimUnit, TrimReason)>,
    /// Size of the directory before.
    pub before: ByteSize,
    /// Size of the directory once the plan is applied.
    pub after: ByteSize,
    /// Why the directory still exceeds its maximum size afterward, if it does.
    pub blocked: Option<String>,
}

impl TrimPolicy {
    /// Decides about every unit. `total` is the size of the directory, with hard links counted once.
    pub fn plan(&self, mut units: Vec<TrimUnit>, total: ByteSize, now: DateTime<Utc>) -> TrimPlan {
        // Ties are broken by path, so that the plan is deterministic.
        units.sort_by(|a, b| (a.used_at, &a.path).cmp(&(b.used_at, &b.path)));
        let mut plan = TrimPlan { before: total, after: total, ..TrimPlan::default() };
        let is_unused = |unit: &TrimUnit| {
            self.unused_for.is_some_and(|span| (now - unit.used_at).to_std().is_ok_and(|idle| idle >= span.0))
        };
        let low = self.max_size.filter(|max| total > *max).map(|max| max.0 / 100 * LOW_MARK);
        let mut passed_over = 0_u64;
        for unit in units {
            let reason = if is_unused(&unit) {
                TrimReason::Unused
            } else if low.is_some_and(|low| plan.after.0 > low) {
                TrimReason::OverSize
            } else {
                continue;
            };
            // A file with further hard links frees nothing, so removing it would be a pure loss.
            if unit.frees == 0 && reason == TrimReason::OverSize {
                passed_over += 1;
                continue;
            }
            plan.after.0 = plan.after.0.saturating_sub(unit.frees);
            plan.remove.push((unit, reason));
        }
        if self.max_size.is_some_and(|max| plan.after > max) {
            plan.blocked =
                Some(format!("{passed_over} files have other names, and removing one frees nothing"));
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use std::time::Duration;

    const DAY: u64 = 86_400;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn unit(path: &str, frees: u64, days: i64) -> TrimUnit {
        TrimUnit { path: path.into(), frees, used_at: now() - TimeDelta::days(days) }
    }

    fn planned(policy: &TrimPolicy, units: &[TrimUnit]) -> (Vec<String>, u64, bool) {
        let total = ByteSize(units.iter().map(|unit| unit.frees.max(10)).sum());
        let plan = policy.plan(units.to_vec(), total, now());
        let names = plan.remove.iter().map(|(unit, _)| unit.path.display().to_string()).collect();
        (names, plan.after.0, plan.blocked.is_some())
    }

    fn policy(max_size: Option<u64>, days: Option<u64>) -> TrimPolicy {
        TrimPolicy {
            units: TrimUnits::Files,
            max_size: max_size.map(ByteSize),
            unused_for: days.map(|days| Span(Duration::from_secs(days * DAY))),
        }
    }

    #[test]
    fn the_least_recently_used_are_removed_down_to_the_low_mark() {
        let units = [unit("new", 400, 1), unit("old", 400, 9), unit("middle", 400, 5)];
        assert_eq!(planned(&policy(Some(1000), None), &units), (vec!["old".into()], 800, false));
        assert_eq!(planned(&policy(Some(1200), None), &units), (vec![], 1200, false));
    }

    #[test]
    fn unused_files_are_removed_even_below_the_maximum_size() {
        let units = [unit("a", 10, 3), unit("b", 10, 5), unit("c", 10, 7)];
        assert_eq!(planned(&policy(None, Some(5)), &units), (vec!["c".into(), "b".into()], 10, false));
    }

    #[test]
    fn files_with_further_links_are_kept_and_named_as_the_reason() {
        let units = [unit("a", 0, 9), unit("b", 0, 8), unit("c", 100, 1)];
        let (removed, after, blocked) = planned(&policy(Some(10), None), &units);
        assert_eq!((removed, after, blocked), (vec!["c".into()], 20, true));
    }

    #[test]
    fn a_time_in_the_future_counts_as_just_used() {
        assert_eq!(planned(&policy(None, Some(1)), &[unit("a", 10, -3)]).0, Vec::<String>::new());
    }
}
