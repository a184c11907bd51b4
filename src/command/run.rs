//! `run`: restore, seed and gate; run a command; gate and save. Returns what the command returns.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitStatus};

use super::context::Context;
use super::exports;
use super::gate;
use super::restore::{self, RestoreOptions};
use super::save;
use super::seed;
use super::session::{self, OpenedCache};
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{Child, JobOutcome};
use crate::domain::spec::SavePolicy;
use crate::report::failure;

/// Runs a command between the restore and the save of every selected cache. A cache that fails is a warning; the
/// command runs in any case.
pub(crate) fn run(ctx: &Context<'_>, command: &[OsString]) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("run");
    exports::check(ctx)?;
    session::recover(ctx);
    let opened = session::open_all_exportable(ctx)?;
    let mut variables = Vec::new();
    for opened in &opened {
        let _group = ctx.group(&format!("Restore {}", opened.name()));
        let Some((cache, keys)) = opened.ready(&mut job) else { continue };
        let restored = restore::restore(cache, keys, RestoreOptions::default());
        job.cache(cache.name()).restore = Some(restored);
        if ctx.interrupt.signal().is_some() {
            return Ok(job);
        }
        if let Some(seeded) = seed::seed(cache) {
            job.cache(cache.name()).seed = Some(seeded);
        }
        // Before the command this only tells; what counts is what the command leaves.
        if let Err(error) = gate::gate(cache) {
            ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
        }
        variables.extend(session::export(cache));
    }
    if ctx.interrupt.signal().is_some() {
        return Ok(job);
    }
    let child = run_command(ctx, command, &variables);
    job.child = Some(child);
    for opened in &opened {
        let OpenedCache::Ready { cache, keys } = opened else { continue };
        let _group = ctx.group(&format!("Save {}", cache.name()));
        if let Some(reason) = not_saved(ctx, cache.spec.save, child) {
            ctx.report(Level::Info, cache.name(), format!("not saved: {reason}"));
            continue;
        }
        let saved = save::save(cache, keys);
        job.cache(cache.name()).save = Some(saved);
        // After the save, which merges what the build fetched by itself.
        gate::record(cache, gate::gate_quietly(cache), &mut job);
    }
    Ok(job)
}

/// Why a cache is not even tried to be saved.
fn not_saved(ctx: &Context<'_>, policy: SavePolicy, child: Child) -> Option<&'static str> {
    if ctx.interrupt.signal().is_some() {
        return Some("interrupted");
    }
    match (policy, child) {
        (SavePolicy::Never, _) => Some("the configuration says `save = \"never\"`"),
        (SavePolicy::Success, Child::Returned(0)) | (SavePolicy::Always, Child::Returned(_)) => None,
        (SavePolicy::Success, _) => Some("the command failed; `save = \"always\"` saves even so"),
        (SavePolicy::Always, _) => Some("the command did not run to its end"),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what `run` is for")]
fn run_command(ctx: &Context<'_>, command: &[OsString], variables: &[(String, String)]) -> Child {
    let (program, arguments) = command.split_first().expect("clap asks for at least one word");
    let mut prepared = Command::new(program);
    prepared.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
    if ctx.stdout_is_json {
        prepared.stdout(io::stderr());
    }
    match spawn_and_wait(ctx, &mut prepared) {
        Ok(status) => ended(status),
        Err(error) => {
            let text = format!("cannot run `{}`: {error}", program.display());
            ctx.report_about_job(Level::Error, text);
            if error.kind() == io::ErrorKind::NotFound { Child::NotFound } else { Child::NotExecutable }
        }
    }
}

fn spawn_and_wait(ctx: &Context<'_>, command: &mut Command) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    ctx.interrupt.set_child(child.id());
    let status = child.wait();
    ctx.interrupt.set_child(0);
    status
}

#[cfg(unix)]
fn ended(status: ExitStatus) -> Child {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Child::Returned(code),
        (None, Some(signal)) => Child::Signaled(signal),
        (None, None) => Child::Returned(1),
    }
}

#[cfg(not(unix))]
fn ended(status: ExitStatus) -> Child {
    Child::Returned(status.code().unwrap_or(1))
}
