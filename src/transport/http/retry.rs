//! When to try again: a pure policy. The time and the jitter are parameters, and it never sleeps.

use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDateTime, Utc};

/// Whether a failure may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Trying again gives the same answer.
    Final,
    /// Trying again may help.
    Retry,
    /// Trying again may help, but not before this long.
    RetryAfter(Duration),
}

/// How often and how soon to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles for each one after.
    pub first_wait: Duration,
    /// Waits do not grow beyond this.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is waited for; a server that wants longer has failed.
    pub longest_requested_wait: Duration,
}

impl Default for RetryPolicy {
    /// Five attempts over about 15 seconds; up to two minutes where the server asks for it.
    fn default() -> Self {
        RetryPolicy {
            attempts: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(20),
            longest_requested_wait: Duration::from_mins(2),
        }
    }
}

impl RetryPolicy {
    /// One attempt only.
    pub fn never() -> Self {
        RetryPolicy { attempts: 1, ..RetryPolicy::default() }
    }

    /// How long to wait after `failures` failed attempts (from 1), or `None` to give up.
    ///
    /// `jitter` is a random number in `[0, 1)`: the wait is between half and all of its backoff, so that
    /// jobs that failed together do not come back together. A wait that the server asked for is only ever
    /// lengthened. A wait that would reach past `remaining` is not begun.
    pub fn wait(
        &self,
        failures: u32,
        verdict: Verdict,
        jitter: f64,
        remaining: Option<Duration>,
    ) -> Option<Duration> {
        if failures >= self.attempts {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(20);
        let backoff = self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait);
        let backoff = backoff.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        let wait = match verdict {
            Verdict::Final => return None,
            Verdict::Retry => backoff,
            Verdict::RetryAfter(wait) if wait > self.longest_requested_wait => return None,
            // Some milliseconds later than asked: spreads clients that were sent away at the same second.
            Verdict::RetryAfter(wait) => wait + backoff.min(wait / 10),
        };
        remaining.is_none_or(|remaining| wait < remaining).then_some(wait)
    }
}

/// Whether a status may pass by itself.
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=524)
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, 5.6.7 and 10.2.3) counted from `now`.
pub(crate) fn parse_retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit are longer than anybody waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(value, format).ok())
        .map(|date| (date.and_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

/// The time that was read once, carried forward by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: DateTime<Utc>,
    since: Instant,
}

impl Clock {
    /// A clock that shows `now` at this moment.
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        Clock { start: now, since: Instant::now() }
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        chrono::Duration::from_std(self.since.elapsed())
            .ok()
            .and_then(|elapsed| self.start.checked_add_signed(elapsed))
            .unwrap_or(self.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_attempts_end() {
        let policy = RetryPolicy { attempts: 7, longest_wait: 6 * SECOND, ..RetryPolicy::default() };
        let waits: Vec<_> =
            (1..=7).map(|failures| policy.wait(failures, Verdict::Retry, 1.0, None)).collect();
        let seconds = |n: u32| Some(n * SECOND);
        let expect = [seconds(1), seconds(2), seconds(4), seconds(6), seconds(6), seconds(6), None];
        assert_eq!(waits, expect);
        assert_eq!(policy.wait(1, Verdict::Final, 0.0, None), None);
        assert_eq!(RetryPolicy::never().wait(1, Verdict::Retry, 0.0, None), None);
    }

    #[test]
    fn a_wait_past_the_deadline_is_not_begun() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.wait(1, Verdict::Retry, 1.0, Some(SECOND)), None);
        assert_eq!(policy.wait(1, Verdict::Retry, 1.0, Some(2 * SECOND)), Some(SECOND));
        assert_eq!(policy.wait(1, Verdict::RetryAfter(60 * SECOND), 0.0, Some(30 * SECOND)), None);
        assert_eq!(policy.wait(1, Verdict::RetryAfter(121 * SECOND), 0.0, None), None);
    }

    proptest! {
        #[test]
        fn a_requested_wait_is_never_cut_short(
            failures in 1u32..5, asked in 0u32..=120, jitter in 0.0..1.0f64,
        ) {
            let wait = RetryPolicy::default().wait(failures, Verdict::RetryAfter(asked * SECOND), jitter, None);
            let wait = wait.expect("within the limits");
            prop_assert!(wait >= asked * SECOND && wait <= (asked + asked / 5 + 1) * SECOND, "{wait:?}");
        }

        #[test]
        fn jitter_keeps_between_half_and_all(failures in 1u32..5, jitter in 0.0..1.0f64) {
            let policy = RetryPolicy::default();
            let whole = policy.wait(failures, Verdict::Retry, 1.0, None).expect("an attempt is left");
            let wait = policy.wait(failures, Verdict::Retry, jitter, None).expect("an attempt is left");
            prop_assert!(wait >= whole / 2 && wait <= whole);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(784_111_777, 0).expect("a time"); // Sun, 06 Nov 1994 08:49:37 GMT
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(parse_retry_after(text, now), expect.map(Duration::from_secs), "{text}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("99999999999999999999999", Some(u64::from(u32::MAX)));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sunday, 06-Nov-94 08:50:07 GMT", Some(30));
        check("Sun Nov  6 08:49:38 1994", Some(1));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("", None);
        check("-5", None);
        check("1.5", None);
        check("soon", None);
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504, 522] {
            assert!(is_transient(status), "{status}");
        }
        for status in [200, 301, 400, 401, 403, 404, 409, 412, 416, 501, 505] {
            assert!(!is_transient(status), "{status}");
        }
    }
}
