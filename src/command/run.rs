//! `run`: restore, seed and gate; run a command; gate and save. Returns what the command returns.

use super::cache::{self, Cache, Keys, OpenedCache};
use super::child::ChildCommand;
use super::context::Context;
use super::gate;
use super::recover;
use super::restore::{self, RestoreOptions};
use super::save;
use super::script::{self, CommandLine};
use super::seed;
use super::session;
use super::tools;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{Child, JobOutcome};
use crate::domain::spec::{CacheSpec, SavePolicy};
use crate::report::failure;

/// Runs a command between the restore and the save of every selected cache. A cache that fails is a warning; the
/// command runs in any case.
pub(crate) fn run(
    ctx: &Context<'_>,
    command: &CommandLine,
    options: RestoreOptions,
) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("run");
    // Before anything is restored: what cannot be run is an error of its own.
    let command = command.prepare(&script::place(ctx.platform.facts()), ctx.now)?;
    session::check_exports(ctx)?;
    let caches = cache::open_all(ctx);
    recover::at_start(ctx, &caches);
    let opened = cache::with_computed_keys(ctx, caches)?;
    let opened: Vec<_> = opened.into_iter().map(OpenedCache::if_exportable).collect();
    let mut variables = Vec::new();
    for opened in &opened {
        let _group = ctx.group(&format!("Restore {}", opened.name()));
        session::reporting_panics(ctx, opened.name(), &mut job, |job| {
            if let Some((cache, keys)) = opened.ready(job) {
                variables.extend(prepare(cache, keys, options, job));
            }
        });
        if ctx.interrupt.signal().is_some() {
            return Ok(job);
        }
    }
    if ctx.interrupt.signal().is_some() {
        return Ok(job);
    }
    let child = ChildCommand {
        words: &command.words,
        tail: command.tail.as_deref(),
        env: ctx.env,
        variables: &variables,
        stdout_is_taken: ctx.stdout_is_json,
    };
    if let Some(listen) = ctx.listen_later {
        listen();
    }
    let report = |level, text| ctx.report_about_job(level, text);
    let child = child.run(ctx.interrupt, Some(&ctx.runtime), &report);
    job.child = Some(child);
    for opened in &opened {
        let OpenedCache::Ready { cache, keys } = opened else { continue };
        let _group = ctx.group(&format!("Save {}", cache.name()));
        if cache.spec.kind.is_some() {
            tools::report(cache, &mut job);
        }
        if let Some(reason) = not_saved(ctx, cache.spec, child) {
            ctx.report(Level::Info, cache.name(), format!("not saved: {reason}"));
            continue;
        }
        session::reporting_panics(ctx, cache.name(), &mut job, |job| {
            let saved = save::save(cache, keys);
            job.cache(cache.name()).save = Some(saved);
            // After the save, which merges what the build fetched by itself.
            gate::record(cache, gate::gate_quietly(cache), job);
        });
    }
    Ok(job)
}

/// Fills a cache before the command runs; returns what it exports.
fn prepare(
    cache: &Cache<'_>,
    keys: &Keys,
    options: RestoreOptions,
    job: &mut JobOutcome,
) -> Vec<(String, String)> {
    let ctx = cache.ctx;
    let restored =
        restore::by_earlier_step(cache, keys).unwrap_or_else(|| restore::restore(cache, keys, options));
    job.cache(cache.name()).restore = Some(restored);
    if ctx.interrupt.signal().is_some() {
        return Vec::new();
    }
    let seeded = seed::seed(cache);
    // Before the command this only tells; what counts is what the command leaves.
    let gated = gate::gate_after(cache, Level::Warning, seeded.as_ref());
    if seeded.is_some() {
        job.cache(cache.name()).seed = seeded;
    }
    if let Err(error) = gated {
        ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
    }
    session::export(cache)
}

/// Why a cache is not even tried to be saved.
fn not_saved(ctx: &Context<'_>, spec: &CacheSpec, child: Child) -> Option<&'static str> {
    if ctx.interrupt.signal().is_some() {
        return Some("interrupted");
    }
    match (spec.save, child) {
        (SavePolicy::Never, _) => Some("the configuration says `save = \"never\"`"),
        (SavePolicy::Success, Child::Returned(0)) | (SavePolicy::Always, Child::Returned(_)) => None,
        (SavePolicy::Success, _) if spec.has_key_of_each_run() => {
            Some("the command failed; `save = \"always\"` saves even so")
        }
        (SavePolicy::Success, _) => Some("the command failed"),
        (SavePolicy::Always, _) => Some("the command did not run to its end"),
    }
}
