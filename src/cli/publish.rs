//! What a command leaves for the job beside its log: outputs of the step, and its summary.

use std::io;

use super::exit::{self, Exit};
use crate::command::context::Context;
use crate::domain::event::Level;
use crate::domain::outcome::JobOutcome;
use crate::report::log::{print_own, print_result};
use crate::report::markdown;
use crate::report::outputs::outputs;
use crate::report::stderr::print_line;

/// Writes outputs, by the names that they have where they go, and summary where the platform has them. Neither is worth a
/// failed job.
pub(super) fn publish(ctx: &Context<'_>, outcome: &JobOutcome, output_name: fn(&str) -> String) {
    for (name, value) in outputs(outcome) {
        relay(ctx, "set an output", ctx.platform.output(&output_name(name), &value));
    }
    if let Some(markdown) = markdown::outcome::markdown(outcome, &ctx.store().location()) {
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
