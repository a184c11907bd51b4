//! The pace: requests are spread evenly, to stay below GitHub's secondary rate limit.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The rate of requests in points: reading costs 1, deleting 5 (GitHub, "Rate limits for the REST API", secondary
/// limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Points per minute.
    pub points_per_minute: u32,
}

/// Points of a deletion.
pub(crate) const DELETE_POINTS: u32 = 5;

/// Points of any other request.
pub(crate) const READ_POINTS: u32 = 1;

impl Default for Pace {
    /// 900 points per minute, which GitHub allows: 180 deletions.
    fn default() -> Self {
        Pace { points_per_minute: 900 }
    }
}

impl Pace {
    /// A pace that allows this number of deletions per minute.
    pub fn of_deletions(per_minute: u32) -> Self {
        Pace { points_per_minute: per_minute.saturating_mul(DELETE_POINTS) }
    }

    /// The time between a request that costs `points` and the next one.
    pub fn spacing(self, points: u32) -> Duration {
        Duration::from_mins(1) * points / self.points_per_minute.max(1)
    }
}

/// Schedules the start times of requests.
#[derive(Debug)]
pub(super) struct Throttle {
    pace: Pace,
    next: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(super) fn new(pace: Pace) -> Self {
        Throttle { pace, next: Mutex::new(None) }
    }

    /// Reserves the next slot for a request that costs `points`; returns how long it has to wait from `now`.
    pub(super) fn enter(&self, points: u32, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = next.map_or(now, |next| next.max(now));
        *next = Some(start + self.pace.spacing(points));
        start - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_180_deletions() {
        let gate = Throttle::new(Pace::default());
        let now = Instant::now();
        let starts: Vec<Duration> = (0..400).map(|_| gate.enter(DELETE_POINTS, now)).collect();
        assert_eq!(starts[0], Duration::ZERO);
        for (index, start) in starts.iter().enumerate() {
            let within = starts[index..].iter().take_while(|other| **other < *start + Duration::from_mins(1));
            assert!(within.count() <= 181, "from deletion {index}");
        }
    }

    #[test]
    fn idle_time_does_not_accumulate() {
        let gate = Throttle::new(Pace::of_deletions(60));
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(gate.enter(DELETE_POINTS, now), Duration::ZERO);
        let later = now + 10 * second;
        assert_eq!(gate.enter(DELETE_POINTS, later), Duration::ZERO);
        assert_eq!(gate.enter(READ_POINTS, later), second);
        assert_eq!(gate.enter(READ_POINTS, later), second + second / 5);
    }
}
