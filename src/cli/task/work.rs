//! What the stages of the task do: the first restores, seeds and gates, the last gates, trims and saves.

use super::{STATE, Task};
use crate::cli::args::{Command, TaskStage};
use crate::cli::site::Site;
use crate::command::context::Context;
use crate::domain::event::Level;
use crate::domain::outcome::JobOutcome;
use crate::platform::azure_pipelines::task_variable;

const NO_STORE_CURE: &str =
    "set the input `store`, or use the templates of cachekeep, which have `Cache@2` move the archives";

/// Does the work of a stage; `None` for a stage that does what its command says.
pub(in crate::cli) fn run(
    site: &Site<'_>,
    ctx: &Context<'_>,
    command: &Command,
    task: &Task,
) -> Option<JobOutcome> {
    match task.stage {
        TaskStage::Main => {
            if !command.restore_options().lookup_only {
                // First: a restore that fails does not keep the job from saving.
                ctx.command_line(task_variable(STATE, &task.kept));
            }
            None
        }
        TaskStage::Post if site.settings.store_is_volatile(ctx.platform.facts()) => {
            let text =
                "nothing is saved: the job has no store that outlives it, and a task cannot use `Cache@2`";
            ctx.report_about_job_with_hint(Level::Warning, text, Some(NO_STORE_CURE.to_owned()));
            Some(JobOutcome::new("save"))
        }
        TaskStage::Post => None,
    }
}
