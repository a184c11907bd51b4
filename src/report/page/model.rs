//! What the page shows: sums of a plan by pattern, ref, verdict and age, with long tails summed up.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::retention::facts::is_merge_queue;
use crate::domain::retention::plan::{Amount, Decision};
use crate::domain::retention::usage::Reach;
use crate::domain::retention::{Elapsed, Facts, Plan, Verdict};
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;

/// Patterns in the picture before the rest is one.
const PATTERNS: usize = 12;

/// Refs of a pattern in the picture before the rest is one.
const REFS: usize = 14;

/// An entry smaller than the whole divided by this has no tile of its own.
const SMALLEST_SHARE: u64 = 500;

/// What is deleted and what is kept of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) stays: Amount,
    pub(super) goes: Amount,
}

impl Sides {
    fn add(&mut self, decision: &Decision) {
        match decision.verdict {
            Verdict::Keep => self.stays.add(decision.entry.size),
            Verdict::Delete => self.goes.add(decision.entry.size),
        }
    }

    pub(super) fn add_all(&mut self, other: &Sides) {
        for (own, more) in [(&mut self.stays, other.stays), (&mut self.goes, other.goes)] {
            own.entries += more.entries;
            own.bytes.0 = own.bytes.0.saturating_add(more.bytes.0);
        }
    }

    pub(super) fn all(&self) -> Amount {
        let mut all = self.stays;
        all.entries += self.goes.entries;
        all.bytes.0 = all.bytes.0.saturating_add(self.goes.bytes.0);
        all
    }
}

/// A tile of the treemap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// The ref; none for what is summed up.
    pub(super) scope: Option<Scope>,
    /// How many refs are summed up.
    pub(super) refs: usize,
    pub(super) amount: Amount,
    /// Whether the plan deletes it.
    pub(super) goes: bool,
    /// Who can still restore it.
    pub(super) reach: Reach,
    /// What kind of ref it is.
    pub(super) kind: RefKind,
}

/// What people call a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RefKind {
    PullRequest,
    MergeQueue,
    Tag,
    Branch,
}

impl RefKind {
    fn of(scope: &Scope) -> Self {
        if scope.is_pull_request() {
            RefKind::PullRequest
        } else if is_merge_queue(scope) {
            RefKind::MergeQueue
        } else if scope.as_str().starts_with("refs/tags/") {
            RefKind::Tag
        } else {
            RefKind::Branch
        }
    }
}

/// A pattern of the treemap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageGroup {
    /// The pattern; none for what is summed up.
    pub(super) pattern: Option<String>,
    /// How many patterns are summed up.
    pub(super) patterns: usize,
    pub(super) amount: Amount,
    pub(super) leaves: Vec<Leaf>,
}

/// A column of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    /// The column's name, `7 d`.
    pub(super) label: &'static str,
    /// What is in it, in words.
    pub(super) span: String,
    pub(super) sides: Sides,
}

/// Ends of the timeline's columns in hours, with their names; what is older is in a last one.
const COLUMNS: &[(u64, &str)] = &[
    (1, "1 h"),
    (6, "6 h"),
    (12, "12 h"),
    (24, "1 d"),
    (48, "2 d"),
    (72, "3 d"),
    (120, "5 d"),
    (168, "7 d"),
    (336, "14 d"),
    (720, "30 d"),
    (2_160, "90 d"),
];

/// Refs of a pattern, apart by whether they go.
type Refs<'a> = BTreeMap<(&'a Scope, bool), (Amount, Reach)>;

/// The groups of the treemap, the largest first.
pub(super) fn groups(plan: &Plan) -> Vec<PageGroup> {
    let mut cells: BTreeMap<&str, Refs<'_>> = BTreeMap::new();
    for decision in &plan.decisions {
        let key = (&decision.entry.scope, decision.verdict == Verdict::Delete);
        let refs = cells.entry(decision.pattern.as_str()).or_default();
        let cell = refs.entry(key).or_insert((Amount::default(), Reach::of(&decision.scope_state)));
        cell.0.add(decision.entry.size);
    }
    let total: ByteSize = plan.decisions.iter().map(|decision| decision.entry.size).sum();
    let least = total.0 / SMALLEST_SHARE;
    let mut groups: Vec<PageGroup> = cells
        .into_iter()
        .map(|(pattern, refs)| {
            let mut leaves: Vec<Leaf> = refs
                .into_iter()
                .map(|((scope, goes), (amount, reach))| Leaf {
                    scope: Some(scope.clone()),
                    refs: 1,
                    amount,
                    goes,
                    reach,
                    kind: RefKind::of(scope),
                })
                .collect();
            sort(&mut leaves, |leaf| leaf.amount);
            let amount = sum(&leaves);
            PageGroup { pattern: Some(pattern.to_owned()), patterns: 1, amount, leaves: tail(leaves, least) }
        })
        .collect();
    sort(&mut groups, |group| group.amount);
    let shown = groups.iter().take(PATTERNS).take_while(|group| group.amount.bytes.0 >= least).count();
    let rest = groups.split_off(shown);
    if !rest.is_empty() {
        let patterns = rest.len();
        let leaves: Vec<Leaf> = rest.into_iter().flat_map(|group| group.leaves).collect();
        groups.push(PageGroup {
            pattern: None,
            patterns,
            amount: sum(&leaves),
            leaves: tail(leaves, u64::MAX),
        });
    }
    groups.retain(|group| group.amount.bytes.0 > 0);
    groups
}

fn sort<T>(items: &mut [T], amount: impl Fn(&T) -> Amount) {
    items.sort_by_key(|item| std::cmp::Reverse(amount(item).bytes));
}

fn sum(leaves: &[Leaf]) -> Amount {
    let mut all = Amount::default();
    for leaf in leaves {
        all.entries += leaf.amount.entries;
        all.bytes.0 = all.bytes.0.saturating_add(leaf.amount.bytes.0);
    }
    all
}

/// Keeps the large leaves; the rest are summed up by kind of ref, by who can restore them, and by what cleaning does to them.
fn tail(mut leaves: Vec<Leaf>, least: u64) -> Vec<Leaf> {
    let shown = leaves.iter().take(REFS).take_while(|leaf| leaf.amount.bytes.0 >= least).count();
    let mut kinds: BTreeMap<(bool, Reach, RefKind), Vec<Leaf>> = BTreeMap::new();
    for leaf in leaves.split_off(shown) {
        kinds.entry((leaf.goes, leaf.reach, leaf.kind)).or_default().push(leaf);
    }
    for ((goes, reach, kind), part) in kinds {
        let refs = part.iter().map(|leaf| leaf.refs).sum();
        let scope = if refs == 1 { part[0].scope.clone() } else { None };
        leaves.push(Leaf { scope, refs, amount: sum(&part), goes, reach, kind });
    }
    leaves.retain(|leaf| leaf.amount.bytes.0 > 0);
    sort(&mut leaves, |leaf| leaf.amount);
    leaves
}

/// The columns of the timeline, the most recently used first.
pub(super) fn timeline(plan: &Plan, facts: &Facts) -> Vec<Bucket> {
    let mut from = "0";
    let mut buckets: Vec<Bucket> = Vec::new();
    for (_, label) in COLUMNS {
        buckets.push(Bucket { label, span: format!("{from} to {label}"), sides: Sides::default() });
        from = label;
    }
    buckets.push(Bucket { label: "older", span: format!("longer than {from}"), sides: Sides::default() });
    for decision in &plan.decisions {
        let idle = Elapsed::between(facts.last_use(&decision.entry), plan.now).0;
        let at = COLUMNS.iter().position(|(hours, _)| idle <= hour(*hours)).unwrap_or(COLUMNS.len());
        buckets[at].sides.add(decision);
    }
    buckets
}

fn hour(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// Where an age lies on the timeline, as a share of its width.
#[expect(clippy::cast_precision_loss, reason = "a dozen columns")]
pub(super) fn place_of_age(age: Duration) -> f64 {
    let at = COLUMNS.iter().position(|(hours, _)| age <= hour(*hours)).unwrap_or(COLUMNS.len());
    let from = if at == 0 { Duration::ZERO } else { hour(COLUMNS[at - 1].0) };
    let within = match COLUMNS.get(at) {
        Some((to, _)) => {
            age.saturating_sub(from).as_secs_f64() / hour(*to).saturating_sub(from).as_secs_f64()
        }
        None => 0.5,
    };
    (at as f64 + within) / (COLUMNS.len() + 1) as f64
}

/// Sums by a name, the largest first.
pub(super) fn by<N: Ord>(plan: &Plan, name: impl Fn(&Decision) -> N) -> Vec<(N, Sides)> {
    let mut sums: BTreeMap<N, Sides> = BTreeMap::new();
    for decision in &plan.decisions {
        sums.entry(name(decision)).or_default().add(decision);
    }
    let mut rows: Vec<(N, Sides)> = sums.into_iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.1.all().bytes));
    rows
}

/// Everything.
pub(super) fn total(plan: &Plan) -> Sides {
    let mut all = Sides::default();
    plan.decisions.iter().for_each(|decision| all.add(decision));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_their_place_between_the_columns() {
        let place = |hours: u64| (place_of_age(hour(hours)) * 12.0 * 100.0).round() / 100.0;
        assert_eq!((place(0), place(1), place(24), place(36), place(168)), (0.0, 1.0, 4.0, 4.5, 8.0));
        assert_eq!((place(2_160), place(9_999)), (11.0, 11.5));
    }
}
