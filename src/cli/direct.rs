//! Commands in a step of the action, the template or the task, done by this program alone.

use crate::cli::args::Command;
use crate::cli::inputs;
use crate::command::complete;
use crate::command::context::Context;
use crate::command::restore::RestoreOptions;
use crate::command::{fetch, gate, save, seed, trim};
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;

/// How a restore is done.
pub(super) fn options(command: &Command) -> RestoreOptions {
    let lookup_only = matches!(command, Command::Restore { lookup_only: true, .. });
    RestoreOptions { lookup_only, ..RestoreOptions::default() }
}

/// Does a command without a step of the platform.
pub(super) fn all(ctx: &Context<'_>, command: &Command) -> Result<JobOutcome, Fault> {
    Ok(match command {
        Command::Seed { .. } => seed::run(ctx)?,
        Command::Fetch { .. } => fetch::run(ctx)?,
        Command::Trim { dry_run, .. } => trim::run(ctx, *dry_run)?,
        Command::Gate { .. } => gate::run(ctx)?,
        Command::Save { recompute_key, .. } => save::run(ctx, *recompute_key)?,
        _ => complete::run(ctx, options(command), inputs::is_true(ctx.env, "seed")?)?,
    })
}
