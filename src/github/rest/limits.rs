//! Rate limits, recognized from the status, headers and text of a response. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};

use crate::transport::http::retry::parse_retry_after;

/// The wait after a secondary limit without a given time (GitHub, "Best practices": at least a minute).
const UNNAMED: Duration = Duration::from_mins(1);

/// A rate limit that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    /// How long to wait before the next request.
    pub wait: Duration,
    /// Whether it is the primary limit of requests per hour, as opposed to a secondary one.
    pub is_primary: bool,
}

/// The exceeded limit, if the response reports one. Times are relative to the server's clock from the `Date` header,
/// so that a wrong local clock has no effect; `now` is used if the header is missing.
pub(crate) fn limited(
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    now: DateTime<Utc>,
) -> Option<Limited> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_refusal = matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    // GraphQL reports a rate limit with a successful status.
    let is_refused_query = status.is_success() && body.contains("\"RATE_LIMITED\"");
    if !is_refusal && !is_refused_query {
        return None;
    }
    let now = date(headers).unwrap_or(now);
    if let Some(wait) = text("retry-after").and_then(|value| parse_retry_after(value, now)) {
        return Some(Limited { wait, is_primary: false });
    }
    if text("x-ratelimit-remaining") == Some("0") {
        let reset = text("x-ratelimit-reset").and_then(|value| value.parse().ok());
        let reset = reset.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let wait = reset.map_or(UNNAMED, |reset| (reset - now).to_std().unwrap_or_default());
        // The reset takes effect after the given second.
        return Some(Limited { wait: wait + Duration::from_secs(1), is_primary: true });
    }
    let is_secondary = status == StatusCode::TOO_MANY_REQUESTS
        || is_refused_query
        || body.to_ascii_lowercase().contains("rate limit");
    is_secondary.then_some(Limited { wait: UNNAMED, is_primary: false })
}

/// The time of the server, from the `Date` header.
pub(crate) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get("date")?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<(u64, bool)> {
        let status = StatusCode::from_u16(status).expect("a status");
        let pairs = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).expect("a value"))
        });
        // Two hours ahead of the server.
        let now = DateTime::from_timestamp(1_000_007_200, 0).expect("a time");
        let limited = limited(status, &pairs.collect(), body, now)?;
        Some((limited.wait.as_secs(), limited.is_primary))
    }

    const DATE: (&str, &str) = ("date", "Sun, 09 Sep 2001 01:46:40 GMT"); // 1 000 000 000

    #[test]
    fn a_requested_wait_comes_first_then_the_reset_of_the_hour() {
        let (remaining, reset) = (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000000090"));
        assert_eq!(read(403, &[DATE, ("retry-after", "17"), remaining, reset], ""), Some((17, false)));
        assert_eq!(read(403, &[DATE, remaining, reset], ""), Some((91, true)));
        assert_eq!(read(429, &[DATE, remaining], ""), Some((61, true)));
    }

    #[test]
    fn a_secondary_limit_without_a_time_is_a_minute() {
        assert_eq!(read(403, &[], "You have exceeded a secondary rate limit."), Some((60, false)));
        assert_eq!(read(429, &[("x-ratelimit-remaining", "12")], ""), Some((60, false)));
        assert_eq!(read(200, &[], r#"{"errors":[{"type":"RATE_LIMITED"}]}"#), Some((60, false)));
    }

    #[test]
    fn a_missing_permission_is_not_a_limit() {
        let body = "Resource not accessible by integration";
        assert_eq!(read(403, &[("x-ratelimit-remaining", "999")], body), None);
        assert_eq!(read(200, &[("x-ratelimit-remaining", "0")], "{}"), None);
        assert_eq!(read(500, &[], ""), None);
    }
}
