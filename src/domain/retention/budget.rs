//! The budget: entries are deleted, least recently used first, until the store fits and the next save has room.

use crate::domain::unit::ByteSize;

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
