//! What a command leaves for the job beside its log: outputs of the step, and its summary.

use std::io;

use super::exit::{self, Exit};
use crate::command::context::Context;
use crate::domain::event::Level;
use crate::domain::outcome::JobOutcome;
use crate::fs::volume::{Volume, volume_of};
use crate::report::log::{print_own, print_result};
use crate::report::markdown::{self, outcome::DiskChange};
use crate::report::outputs::outputs;
use crate::report::stderr::print_line;

/// The volumes that a job works on, each once.
pub(super) fn measure(ctx: &Context<'_>) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    // A volume that cannot be measured is left out of a table, and that is all.
    for volume in [ctx.workspace, ctx.temp].into_iter().filter_map(|path| volume_of(path).ok()) {
        if volumes.iter().all(|known| known.id != volume.id) {
            volumes.push(volume);
        }
    }
    volumes
}

/// Writes outputs, by the names that they have where they go, and summary where the platform has them. Neither is worth a
/// failed job.
pub(super) fn publish(
    ctx: &Context<'_>,
    outcome: &JobOutcome,
    before: &[Volume],
    output_name: fn(&str) -> String,
) {
    for (name, value) in outputs(outcome) {
        relay(ctx, "set an output", ctx.platform.output(&output_name(name), &value));
    }
    let changes = |before: &Volume| {
        let after = volume_of(&before.at).ok()?;
        Some(DiskChange {
            at: before.at.clone(),
            total: before.total,
            before: before.free,
            after: after.free,
        })
    };
    let disks: Vec<DiskChange> = before.iter().filter_map(changes).collect();
    if let Some(markdown) = markdown::outcome::markdown(outcome, &ctx.store().location(), &disks) {
        summarize(ctx, &markdown);
    }
}

/// Writes the summary of the step where the platform has one.
pub(super) fn summarize(ctx: &Context<'_>, markdown: &str) {
    relay(ctx, "write the summary", ctx.platform.summary(markdown));
}

/// Prints a line that the platform wants printed, or says why something was not written.
pub(super) fn relay(ctx: &Context<'_>, action: &str, result: io::Result<Option<String>>) {
    match result {
        Ok(line) => line.into_iter().for_each(|line| ctx.command_line(line)),
        Err(error) => ctx.report_about_job(Level::Warning, format!("cannot {action}: {error}")),
    }
}

/// Prints a text that depends on nothing but this program.
pub(super) fn print_text(text: &str) -> Exit {
    exit_of_print(print_own(text))
}

/// Prints the result that was asked for. One that cannot be written is an error, also in the log.
pub(super) fn print(text: &str) -> Exit {
    exit_of_print(print_result(text))
}

/// What the process returns after it printed a result.
pub(super) fn exit_of_print(printed: io::Result<()>) -> Exit {
    match printed {
        Ok(()) => exit::OK,
        Err(error) => {
            print_line(&format!("error: cannot write to standard output: {error}"));
            exit::FAILED
        }
    }
}
