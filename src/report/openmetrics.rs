//! A status as `OpenMetrics` 1.0 (`prometheus.io/docs/specs/om/open_metrics_spec`), which Prometheus and its exporters read.

use std::fmt::{Display, Write as _};

use chrono::{DateTime, Utc};

use crate::domain::shown::Shown;
use crate::domain::status::{Status, StoreStatus};
use crate::domain::thin;

/// The whole text, with its end mark.
pub(crate) fn render(status: &Status) -> String {
    let mut metrics = Metrics::default();
    if let Some(store) = &status.store {
        render_store(&mut metrics, store, status.now);
    }
    let caches = || status.caches.iter().map(|cache| (vec![("cache", cache.name.as_str())], cache));
    metrics.gauge(
        "cache_bytes",
        "bytes",
        "Bytes of a local cache on its volume.",
        caches().map(|(of, it)| (of, it.bytes.0)),
    );
    metrics.gauge(
        "cache_units",
        "",
        "What a trim of a local cache takes as a whole.",
        caches().map(|(of, it)| (of, it.units)),
    );
    metrics.gauge(
        "cache_held_units",
        "",
        "Units of a local cache that are in use.",
        caches().map(|(of, it)| (of, it.held)),
    );
    let limits = caches().filter_map(|(of, it)| Some((of, it.limit?.0)));
    metrics.gauge("cache_limit_bytes", "bytes", "Upper bound for a local cache, by its trim.", limits);
    let volumes = || status.volumes.iter().map(|volume| (vec![("volume", volume.path.as_str())], volume));
    metrics.gauge(
        "volume_size_bytes",
        "bytes",
        "Bytes of a volume.",
        volumes().map(|(of, it)| (of, it.total.0)),
    );
    metrics.gauge(
        "volume_free_bytes",
        "bytes",
        "Free bytes of a volume.",
        volumes().map(|(of, it)| (of, it.free.0)),
    );
    let inodes = || volumes().filter_map(|(of, it)| Some((of, it.inodes?)));
    metrics.gauge("volume_inodes", "", "Inodes of a volume.", inodes().map(|(of, (total, _))| (of, total)));
    metrics.gauge(
        "volume_free_inodes",
        "",
        "Free inodes of a volume.",
        inodes().map(|(of, (_, free))| (of, free)),
    );
    metrics.0.push_str("# EOF\n");
    metrics.0
}

fn render_store(metrics: &mut Metrics, store: &StoreStatus, now: DateTime<Utc>) {
    let of = || vec![("store", store.location.as_str())];
    let one = |value: u64| [(of(), value)];
    metrics.gauge("store_bytes", "bytes", "Bytes of entries in a store.", one(store.bytes.0));
    metrics.gauge("store_entries", "", "Entries in a store.", one(store.entries as u64));
    metrics.gauge("store_leased_entries", "", "Entries that are being read.", one(store.leased as u64));
    let quota = store.quota.map(|quota| (of(), quota.0));
    metrics.gauge("store_quota_bytes", "bytes", "Bytes above which entries are deleted.", quota);
    let evicted = store.evicted.map(|(entries, _)| (of(), entries));
    metrics.counter("store_evictions", "", "Entries deleted for the quota.", evicted);
    let evicted = store.evicted.map(|(_, bytes)| (of(), bytes));
    metrics.counter("store_evicted_bytes", "bytes", "Bytes of entries deleted for the quota.", evicted);
    let forecast = store.forecast.as_ref();
    let per_day = forecast.map(|forecast| (of(), forecast.per_day.0));
    metrics.gauge("store_saved_per_day_bytes", "bytes", "Bytes saved in a day, of late.", per_day);
    let full = forecast.and_then(|forecast| forecast.runs_out_at);
    let full = full.map(|at| (of(), (at - now).num_seconds().max(0)));
    metrics.gauge(
        "store_full_in_seconds",
        "seconds",
        "Seconds until the quota is reached at that rate.",
        full,
    );
    let next = store.next.first().map(|entry| (entry, thin::saved_for(&entry.key)));
    let next = next.as_ref().map(|(entry, key)| {
        let labels =
            vec![("store", store.location.as_str()), ("key", key.as_str()), ("ref", entry.scope.as_str())];
        (labels, *entry)
    });
    let bytes = next.clone().map(|(labels, entry)| (labels, entry.size.0));
    metrics.gauge("store_next_eviction_bytes", "bytes", "The entry that would be deleted next.", bytes);
    let used =
        next.map(|(labels, entry)| (labels, entry.last_used_at.unwrap_or(entry.created_at).timestamp()));
    metrics.gauge(
        "store_next_eviction_last_use_seconds",
        "seconds",
        "When it was used last, since 1970.",
        used,
    );
}

/// Labels of a sample.
type Labels<'a> = Vec<(&'static str, &'a str)>;

#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn gauge<'a, V: Display>(
        &mut self,
        name: &str,
        unit: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        self.family(name, "gauge", unit, help, "", samples);
    }

    fn counter<'a, V: Display>(
        &mut self,
        name: &str,
        unit: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        self.family(name, "counter", unit, help, "_total", samples);
    }

    /// A family is left out if it has no samples.
    fn family<'a, V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        unit: &str,
        help: &str,
        suffix: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, V)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let _ = writeln!(self.0, "# TYPE cachekeep_{name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT cachekeep_{name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP cachekeep_{name} {help}");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.into_iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let _ = writeln!(self.0, "cachekeep_{name}{suffix}{{{}}} {value}", labels.join(","));
        }
    }
}

/// A value of a label: foreign text on one line, in its quotes.
fn escaped(text: &str) -> String {
    Shown::value(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::CacheStatus;
    use crate::domain::unit::ByteSize;

    #[test]
    fn foreign_names_stay_in_their_quotes_and_what_is_not_known_is_left_out() {
        let cache =
            CacheStatus { name: "a\"b\\c\nd".to_owned(), bytes: ByteSize(5), units: 2, held: 0, limit: None };
        let now = DateTime::from_timestamp(0, 0).expect("a time");
        let text = render(&Status { now, store: None, caches: vec![cache], volumes: Vec::new() });
        assert!(
            text.starts_with(
                "# TYPE cachekeep_cache_bytes gauge\n# UNIT cachekeep_cache_bytes bytes\n# HELP "
            )
        );
        assert!(text.ends_with("# EOF\n") && !text.contains("limit") && !text.contains("store"), "{text}");
        let line = text.lines().find(|line| line.starts_with("cachekeep_cache_bytes{")).expect("a sample");
        assert!(
            line.starts_with("cachekeep_cache_bytes{cache=\"a\\\"b\\\\c") && line.ends_with("\"} 5"),
            "{line}"
        );
    }
}
