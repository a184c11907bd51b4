//! Trimming: how a local folder is kept small.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::unit::{ByteSize, Span};

/// When files of a cache may be removed from its folder before it is saved.
///
/// At least one of the limits is set; with both, whatever is unused goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrimPolicy {
    /// What is removed as one.
    pub units: TrimUnits,
    /// The most bytes that may stay; the least recently used units go.
    pub max_size: Option<ByteSize>,
    /// Units that were not used for so long go.
    pub unused_for: Option<Span>,
}

/// What trimming removes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrimUnits {
    /// Single files.
    #[default]
    Files,
}

/// Once a folder is beyond its size, removal goes on to this share of it, in percent: the next job shall not begin
/// at the mark.
pub const LOW_MARK: u64 = 95;

/// A file that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimUnit {
    /// Where it is, below the folder.
    pub path: PathBuf,
    /// Bytes that its removal frees: none for one of several names of a file.
    pub frees: u64,
    /// When it was last read or written, as far as the file system knows.
    pub used_at: DateTime<Utc>,
}

/// Why a file is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrimReason {
    /// Nobody used it for longer than the policy allows.
    Unused,
    /// The folder is beyond its size, and this is among the least recently used.
    OverSize,
}

/// What would be removed and why; applying consumes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrimPlan {
    /// What goes, least recently used first.
    pub remove: Vec<(TrimUnit, TrimReason)>,
    /// Bytes in the folder before.
    pub before: ByteSize,
    /// Bytes that remain if everything is removed as planned.
    pub after: ByteSize,
    /// Why the folder stays beyond its size even so.
    pub blocked: Option<String>,
}

impl TrimPolicy {
    /// Decides over every unit; `total` is what the folder holds, shared files counted once.
    pub fn plan(&self, mut units: Vec<TrimUnit>, total: ByteSize, now: DateTime<Utc>) -> TrimPlan {
        // Ties are broken by path, so that one folder always gives one plan.
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
            // Removing what frees nothing would only lose it.
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
    fn the_least_recently_used_go_until_the_low_mark() {
        let units = [unit("new", 400, 1), unit("old", 400, 9), unit("middle", 400, 5)];
        assert_eq!(planned(&policy(Some(1000), None), &units), (vec!["old".into()], 800, false));
        assert_eq!(planned(&policy(Some(1200), None), &units), (vec![], 1200, false));
    }

    #[test]
    fn the_unused_go_even_where_there_is_room() {
        let units = [unit("a", 10, 3), unit("b", 10, 5), unit("c", 10, 7)];
        assert_eq!(planned(&policy(None, Some(5)), &units), (vec!["c".into(), "b".into()], 10, false));
    }

    #[test]
    fn what_frees_nothing_stays_and_is_named_as_the_reason() {
        let units = [unit("a", 0, 9), unit("b", 0, 8), unit("c", 100, 1)];
        let (removed, after, blocked) = planned(&policy(Some(10), None), &units);
        assert_eq!((removed, after, blocked), (vec!["c".into()], 20, true));
    }

    #[test]
    fn a_file_of_the_future_was_just_used() {
        assert_eq!(planned(&policy(None, Some(1)), &[unit("a", 10, -3)]).0, Vec::<String>::new());
    }
}
