//! Commands that work on caches, done by this program alone: as they were typed, or in a step of a platform.

use crate::cli::args::Command;
use crate::cli::inputs;
use crate::command::complete;
use crate::command::context::Context;
use crate::command::restore::{self, LookedFor, RestoreOptions};
use crate::command::{fetch, gate, run, save, seed, trim};
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

/// Does what a command says, and no more.
pub(super) fn alone(ctx: &Context<'_>, command: &Command) -> Result<JobOutcome, Fault> {
    match command {
        Command::Run { .. } => {
            run::run(ctx, &command.child().expect("`run` has a command"), options(command))
        }
        Command::Restore { .. } => restore::run(ctx, options(command)),
        Command::Seed { .. } => seed::run(ctx),
        Command::Fetch { .. } => fetch::run(ctx),
        Command::Gate { .. } => gate::run(ctx),
        Command::Save { recompute_key, .. } => save::run(ctx, *recompute_key),
        Command::Trim { dry_run, .. } => trim::run(ctx, *dry_run),
        _ => unreachable!("`{}` does not work on caches", command.name()),
    }
}

/// Does a command in a step of the platform, where a restore also seeds and gates.
pub(super) fn all(ctx: &Context<'_>, command: &Command) -> Result<JobOutcome, Fault> {
    match command {
        Command::Restore { .. } => complete::run(ctx, options(command), inputs::is_true(ctx.env, "seed")?),
        _ => alone(ctx, command),
    }
}
