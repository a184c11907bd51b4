//! The budget: entries are deleted, least recently used first, until the store fits and the next save has room.

use std::collections::BTreeMap;
use std::fmt;

use super::plan::{Amount, Rule};
use crate::domain::unit::ByteSize;

/// How a plan meets its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetOutcome {
    /// Target size of the store: the budget, or less if the next save needs the room.
    pub target: ByteSize,
    /// Room left for the next save below the store's limit.
    pub headroom: ByteSize,
    /// Size of the entries that the other rules keep.
    pub before: ByteSize,
    /// Size of the entries that are kept.
    pub after: ByteSize,
    /// If `after` exceeds `target`: the entries that may not be deleted, by reason.
    pub blocked: BTreeMap<Rule, Amount>,
}

impl BudgetOutcome {
    /// Whether the store fits.
    pub fn is_met(&self) -> bool {
        self.after <= self.target
    }
}

impl fmt::Display for BudgetOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_met() {
            return write!(f, "{} kept, within {}", self.after, self.target);
        }
        write!(f, "{} kept, over {}; may not be deleted: ", self.after, self.target)?;
        for (index, (rule, amount)) in self.blocked.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{amount} ({rule})")?;
        }
        Ok(())
    }
}

/// The target size of a store. Headroom is left below the store's limit, or below the budget if the limit is not
/// known.
pub(super) fn target(budget: ByteSize, limit: Option<ByteSize>, headroom: ByteSize) -> ByteSize {
    let roof = limit.unwrap_or(budget).0.saturating_sub(headroom.0);
    ByteSize(budget.0.min(roof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_left_below_the_limit_or_else_below_the_budget() {
        let check = |budget, limit: Option<u64>, headroom, expect| {
            let found = target(ByteSize(budget), limit.map(ByteSize), ByteSize(headroom));
            assert_eq!(found, ByteSize(expect));
        };
        check(9, Some(10), 1, 9);
        check(9, Some(10), 3, 7);
        check(9, None, 3, 6);
        check(9, Some(10), 20, 0);
        check(12, Some(10), 0, 10);
    }
}
