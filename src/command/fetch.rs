//! `fetch`: objects that links want and the cache lacks, from mirrors, each verified before it enters.

use super::context::Context;
use super::seed;
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;

/// Fetches for every selected cache that declares mirrors.
pub(crate) fn run(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    seed::fill_each(ctx, "fetch", "Fetch", |cache| seed::fill(cache, None), "declares no mirrors")
}
