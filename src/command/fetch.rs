//! `fetch`: objects that links want and the cache lacks, from mirrors, each verified before it enters.

use super::cache::Cache;
use super::context::Context;
use super::seed;
use super::session;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;

/// Fetches for every selected cache that declares mirrors.
pub(crate) fn run(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("fetch");
    session::recover(ctx);
    for spec in ctx.caches {
        let _group = ctx.group(&format!("Fetch {}", spec.name));
        let cache = match Cache::open(ctx, spec) {
            Ok(cache) => cache,
            Err(source) => return Err(session::of_cache(spec, source)),
        };
        match seed::fill(&cache, None) {
            Some(outcome) => {
                job.cache(cache.name()).seed = Some(outcome);
            }
            None => ctx.report(Level::Info, cache.name(), "declares no mirrors"),
        }
    }
    Ok(job)
}
