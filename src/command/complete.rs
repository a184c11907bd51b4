//! `restore` as a step of a workflow: restore, then fill from the seed what is lacking, and say whether it is
//! complete. What `run` does before its command.

use super::cache::Cache;
use super::context::Context;
use super::gate;
use super::restore::{self, RestoreOptions};
use super::seed;
use super::session;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;

/// Restores every selected cache, and seeds and gates those that have something to be seeded or gated with.
pub(crate) fn run(ctx: &Context<'_>, options: RestoreOptions, seeds: bool) -> Result<JobOutcome, Fault> {
    let mut job = restore::run(ctx, options)?;
    if !options.lookup_only {
        complete(ctx, seeds, &mut job);
    }
    Ok(job)
}

/// Seeds and gates what was restored.
pub(crate) fn complete(ctx: &Context<'_>, seeds: bool, job: &mut JobOutcome) {
    for spec in ctx.caches.iter().filter(|spec| spec.links.is_some() || spec.seed.is_some()) {
        if ctx.interrupt.signal().is_some() {
            return;
        }
        let _group = ctx.group(&format!("Complete {}", spec.name));
        session::reporting_panics(ctx, &spec.name, job, |job| {
            // The restore reported what is wrong with the declaration.
            let Ok(cache) = Cache::open(ctx, spec) else { return };
            let seeded = if seeds { seed::seed(&cache) } else { None };
            let gated = gate::gate_after(&cache, Level::Warning, seeded.as_ref());
            if seeded.is_some() {
                job.cache(cache.name()).seed = seeded;
            }
            gate::record(&cache, gated, job);
        });
    }
}
