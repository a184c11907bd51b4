//! Times of files and clocks, which may be any.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};

/// A time of the system; the nearest one that can be represented. Clocks before 1970 and files of the year 300 000 are
/// possible, and conversions of chrono panic then.
pub fn instant(time: SystemTime) -> DateTime<Utc> {
    let (distance, is_before) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (after, false),
        Err(error) => (error.duration(), true),
    };
    let limit = if is_before { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    let delta = TimeDelta::from_std(distance).ok();
    delta
        .and_then(|delta| DateTime::UNIX_EPOCH.checked_add_signed(if is_before { -delta } else { delta }))
        .unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_time_of_the_system_has_an_instant() {
        let seconds = Duration::from_secs;
        let day = 86_400;
        assert_eq!(instant(UNIX_EPOCH), DateTime::UNIX_EPOCH);
        assert_eq!(instant(UNIX_EPOCH + seconds(20_000 * day)).to_rfc3339(), "2024-10-04T00:00:00+00:00");
        assert_eq!(instant(UNIX_EPOCH - seconds(day)).to_rfc3339(), "1969-12-31T00:00:00+00:00");
        assert_eq!(instant(UNIX_EPOCH - Duration::from_millis(1)).timestamp_millis(), -1);
        for distance in [seconds(1 << 45), seconds(i64::MAX as u64 - 2)] {
            let (later, earlier) = (UNIX_EPOCH.checked_add(distance), UNIX_EPOCH.checked_sub(distance));
            assert!(later.is_none_or(|time| instant(time) == DateTime::<Utc>::MAX_UTC), "{distance:?}");
            assert!(earlier.is_none_or(|time| instant(time) == DateTime::<Utc>::MIN_UTC), "{distance:?}");
        }
    }
}
