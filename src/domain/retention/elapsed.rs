//! Elapsed time: never negative, displayed as `3 d 1 h`.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// An elapsed span of time, displayed with its two largest units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Elapsed(pub Duration);

impl Elapsed {
    /// The time from `then` to `now`; zero if clock skew puts `then` in the future.
    pub fn between(then: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Elapsed((now - then).to_std().unwrap_or(Duration::ZERO))
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
        let first = units.iter().position(|(_, length)| seconds >= *length).unwrap_or(units.len() - 1);
        let (unit, length) = units[first];
        write!(f, "{} {unit}", seconds / length)?;
        match units.get(first + 1) {
            Some((next, shorter)) if seconds % length / shorter > 0 => {
                write!(f, " {} {next}", seconds % length / shorter)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_largest_units_are_shown() {
        let check = |seconds, shown: &str| {
            assert_eq!(Elapsed(Duration::from_secs(seconds)).to_string(), shown);
        };
        check(0, "0 s");
        check(59, "59 s");
        check(90, "1 min 30 s");
        check(3_600, "1 h");
        check(3 * 86_400 + 3_600, "3 d 1 h");
        check(3 * 86_400 + 59, "3 d");
        check(400 * 86_400, "400 d");
    }

    #[test]
    fn a_time_in_the_future_counts_as_now() {
        let now = DateTime::from_timestamp(1_000, 0).expect("a time");
        let later = DateTime::from_timestamp(2_000, 0).expect("a time");
        assert_eq!(Elapsed::between(later, now), Elapsed(Duration::ZERO));
    }
}
