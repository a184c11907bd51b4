//! What ccache counts, and what that means.

use std::collections::BTreeMap;

use crate::domain::unit::ByteSize;

/// What a tool reports about the use of its cache since the statistics were zeroed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolUse {
    /// The name of the tool.
    pub tool: String,
    /// Results that came from the cache.
    pub hits: u64,
    /// Results that were not in it.
    pub misses: u64,
    /// Number of files in the cache.
    pub files: u64,
    /// Size of the cache.
    pub size: ByteSize,
    /// Upper bound for its size; `None` if there is none.
    pub limit: Option<ByteSize>,
    /// How many times the tool removed old files because the cache was full.
    pub cleanups: u64,
}

impl ToolUse {
    /// Percent of the results that came from the cache; `None` if nothing was asked for.
    pub fn hit_rate(&self) -> Option<f64> {
        percent(self.hits, self.hits + self.misses)
    }

    /// Percent of its upper bound that the cache fills.
    pub fn fill(&self) -> Option<f64> {
        percent(self.size.0, self.limit?.0)
    }

    /// Whether the cache is too small for what one job puts into it: files were removed, and more was missing than was there.
    pub fn is_thrashing(&self) -> bool {
        self.cleanups > 0 && self.misses > self.hits
    }
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1000.0).round() / 10.0)
}

/// The use of a cache from what `ccache --print-stats` and `ccache --get-config max_size` print; `None` if it is something else.
pub fn ccache_use(statistics: &str, max_size: &str) -> Option<ToolUse> {
    let counters: BTreeMap<&str, u64> = statistics
        .lines()
        .filter_map(|line| {
            let (name, value) = line.split_once('\t')?;
            Some((name, value.trim().parse().ok()?))
        })
        .collect();
    let counter = |name: &str| counters.get(name).copied().unwrap_or_default();
    counters.get("files_in_cache")?;
    let limit: Option<ByteSize> = max_size.trim().parse().ok();
    Some(ToolUse {
        tool: "ccache".to_owned(),
        hits: counter("direct_cache_hit") + counter("preprocessed_cache_hit"),
        misses: counter("cache_miss"),
        files: counter("files_in_cache"),
        size: ByteSize(counter("cache_size_kibibyte") * 1024),
        // Zero stands for no limit.
        limit: limit.filter(|limit| limit.0 > 0),
        cleanups: counter("cleanups_performed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "autoconf_test\t0\ncache_miss\t3\ncache_size_kibibyte\t1000\ncleanups_performed\t2\n\
                           direct_cache_hit\t5\nfiles_in_cache\t16\npreprocessed_cache_hit\t1\nstats_zeroed_timestamp\t1\n";

    #[test]
    fn counters_are_read_and_rated() {
        let used = ccache_use(PRINTED, "5.0G\n").expect("statistics");
        assert_eq!((used.hits, used.misses, used.files, used.cleanups), (6, 3, 16, 2));
        assert_eq!((used.size, used.limit), (ByteSize(1_024_000), Some(ByteSize(5_000_000_000))));
        assert_eq!((used.hit_rate(), used.fill()), (Some(66.7), Some(0.0)));
        assert!(!used.is_thrashing(), "more was there than missing");
        assert!(ToolUse { misses: 7, ..used.clone() }.is_thrashing());
        assert!(!ToolUse { misses: 7, cleanups: 0, ..used }.is_thrashing());
    }

    #[test]
    fn no_limit_no_use_and_no_statistics() {
        assert_eq!(ccache_use(PRINTED, "0").expect("statistics").fill(), None);
        assert_eq!(ccache_use(PRINTED, "1.0 GiB").expect("statistics").limit, Some(ByteSize(1 << 30)));
        let idle = ccache_use("files_in_cache\t0\n", "450000").expect("statistics");
        assert_eq!((idle.hit_rate(), idle.fill()), (None, Some(0.0)));
        assert_eq!(ccache_use("Usage:\n  ccache [options]", "5G"), None);
    }
}
