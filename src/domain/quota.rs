//! The quota of a store of our own: how many bytes of entries it may hold, and what was done to keep that.

use super::unit::{ByteSize, SizeOrShare};

/// Percent of the high mark down to which entries are deleted once the store is above it.
const LOW_PERCENT: f64 = 90.0;

/// Upper bound for the bytes of a store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// In bytes, or as a share of the store's volume.
    pub limit: SizeOrShare,
    /// Whether it is the default, so that the first run on a store that is larger only warns.
    pub is_default: bool,
}

/// How full a store may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Above this, entries are deleted.
    pub high: ByteSize,
    /// Until no more than this is left.
    pub low: ByteSize,
}

/// Room on the volume of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// All bytes of the volume.
    pub total: ByteSize,
    /// Those that are free.
    pub free: ByteSize,
    /// Those that are to stay free.
    pub reserve: ByteSize,
}

impl Quota {
    /// The default, of the store that is used where none is named: the lesser of 10 GB and 10 % of its volume.
    pub fn of_unnamed_store() -> Self {
        let limit = SizeOrShare::Lesser(10.0, ByteSize(10_000_000_000));
        Quota { limit, is_default: true }
    }

    /// The marks of a store that holds `stored` bytes. Where less is free on its volume than the reserve, the store makes
    /// room for it, as far as its own bytes go.
    ///
    /// `None` if the quota is a share and the volume is not known.
    pub fn marks(self, stored: ByteSize, room: Option<Room>) -> Option<Marks> {
        let limit = match (self.limit, room) {
            (SizeOrShare::Bytes(size), _) => size,
            (limit, Some(room)) => limit.of(room.total),
            (_, None) => return None,
        };
        let short = room.map_or(0, |room| room.reserve.0.saturating_sub(room.free.0));
        let high = match short {
            0 => limit,
            short => limit.min(ByteSize(stored.0.saturating_sub(short))),
        };
        Some(Marks { high, low: SizeOrShare::Percent(LOW_PERCENT).of(high) })
    }
}

/// What was done to keep a quota.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaOutcome {
    /// The mark above which entries are deleted.
    pub limit: ByteSize,
    /// Bytes of entries before.
    pub before: ByteSize,
    /// Bytes of entries after.
    pub after: ByteSize,
    /// Entries that were deleted.
    pub deleted: usize,
    /// Entries that could not be deleted, and why.
    pub failed: Vec<(String, String)>,
    /// Whether the store is over its default quota, which it never had before: nothing was deleted.
    pub only_warned: bool,
    /// What keeps the store above its quota, if it still is.
    pub blocked: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn room(free: u64, reserve: u64) -> Room {
        Room { total: ByteSize(50 * GB), free: ByteSize(free), reserve: ByteSize(reserve) }
    }

    #[test]
    fn the_default_is_the_lesser_of_ten_gigabytes_and_a_tenth_of_the_volume() {
        let marks = Quota::of_unnamed_store().marks(ByteSize(0), Some(room(10 * GB, GB))).expect("a volume");
        assert_eq!(marks, Marks { high: ByteSize(5 * GB), low: ByteSize(GB / 10 * 45) });
        assert_eq!(Quota::of_unnamed_store().marks(ByteSize(0), None), None);
    }

    #[test]
    fn a_store_makes_room_for_the_reserve() {
        let quota = Quota { limit: SizeOrShare::Bytes(ByteSize(8 * GB)), is_default: false };
        let high =
            |stored, free| quota.marks(ByteSize(stored), Some(room(free, 2 * GB))).map(|marks| marks.high.0);
        assert_eq!(high(6 * GB, 3 * GB), Some(8 * GB));
        assert_eq!(high(6 * GB, GB), Some(5 * GB), "one gigabyte is short");
        assert_eq!(high(GB / 2, GB), Some(0), "more is short than there is");
        assert_eq!(quota.marks(ByteSize(0), None).map(|marks| marks.high.0), Some(8 * GB));
    }
}
