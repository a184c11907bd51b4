//! The steps of the GitHub action and of the template for Azure Pipelines: all at once where the store is within reach, else
//! around the steps that move archives, actions/cache and `Cache@2`.
//!
//! Steps tell each other what they found by outputs and variables: `action.yml` carries the outputs of one step, and of
//! the nested steps of actions/cache, into the environment of the next; in the template variables of the job do that.

pub(super) mod install;
mod nested;
mod task;

use super::args::{ActionStep, Command};
use super::inputs;
use super::site::{self, Site};
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;
use crate::store::StoreChoice;

/// Does a step of a command; `None` where this program does what the command says.
pub(super) fn run(
    site: &Site<'_>,
    ctx: &Context<'_>,
    command: &Command,
    step: ActionStep,
) -> Result<Option<JobOutcome>, Fault> {
    let moves = matches!(command, Command::Restore { .. } | Command::Save { .. });
    if let Some(template) = &site.template {
        return task::run(site, ctx, template, command, step);
    }
    let job = match (step, &site.store) {
        (ActionStep::Start, StoreChoice::Closed(why)) if moves && site::is_github(site.env) => {
            nested::announce(ctx, why);
            nested::plan(ctx, command)
        }
        // Later steps restore them by themselves.
        (ActionStep::Start, _) if inputs::is_install(site.env) => Ok(JobOutcome::new("install")),
        (ActionStep::Start, _) => {
            nested::output(ctx, "transport", "direct");
            return Ok(None);
        }
        (ActionStep::Stage, _) => nested::stage(ctx),
        (ActionStep::Finish, _) => nested::finish(ctx, command),
    };
    job.map(Some)
}
