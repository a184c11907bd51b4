//! Commands in a step of the action, the template or the task, done by this program alone.

use crate::cli::args::Command;
use crate::cli::inputs;
use crate::command::complete;
use crate::command::context::Context;
use crate::command::restore::{LookedFor, RestoreOptions};
use crate::command::{fetch, gate, save, seed, trim};
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;

/// How a restore is done.
pub(super) fn options(command: &Command) -> RestoreOptions {
    match command {
        Command::Restore { lookup_only, exact, adopt, .. } => RestoreOptions {
            lookup_only: *lookup_only,
            looked_for: LookedFor::of_flag(*exact),
            adopt: *adopt,
        },
        Command::Run { exact, .. } => {
            RestoreOptions { looked_for: LookedFor::of_flag(*exact), ..RestoreOptions::default() }
        }
        _ => RestoreOptions::default(),
    }
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
