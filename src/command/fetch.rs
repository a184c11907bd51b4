//! `fetch`: objects that links want and the cache lacks, from mirrors, each verified before it enters.

use super::cache::Cache;
use super::context::Context;
use super::seed;
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;
use crate::domain::spec::Prefetch;

/// Fetches for every selected cache that declares mirrors.
pub(crate) fn run(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    let fetch = |cache: &Cache<'_>| seed::fill(cache, None, Prefetch::Always);
    seed::fill_each(ctx, "fetch", "Fetch", fetch, "declares no mirrors")
}
