//! The keys of the configured caches, as far as this tree and this environment give them.

use crate::command::cache::Cache;
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::spec::CacheSpec;

/// What `doctor` found out about a cache by doing what a restore begins with.
#[derive(Debug)]
pub(crate) struct KeyCheck {
    /// The cache.
    pub cache: String,
    /// Its key, or why it has none here.
    pub key: Result<String, Fault>,
    /// Why what it exports is not known here.
    pub exports: Option<Fault>,
}

/// Computes the key and the exports of every selected cache. A job does without a cache that lacks either.
pub(crate) fn check(ctx: &Context<'_>) -> Vec<KeyCheck> {
    let check = |spec: &CacheSpec| {
        let (key, exports) = match Cache::open(ctx, spec) {
            Ok(cache) => (cache.keys().map(|keys| keys.key.to_string()), cache.exports().err()),
            Err(fault) => (Err(fault), None),
        };
        KeyCheck { cache: spec.name.clone(), key, exports }
    };
    ctx.caches.iter().map(check).collect()
}
