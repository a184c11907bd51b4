//! `hold`: run a command while a directory is leased, so that no trim removes anything in it.

use std::ffi::OsString;
use std::path::Path;

use super::child::ChildCommand;
use super::context::Context;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::Child;
use crate::fs::lease::holder;
use crate::fs::recover;
use crate::fs::{cancel, read};
use crate::report::failure;

/// Runs a command; the directory is leased until it ends, however this process ends.
///
/// # Errors
/// The directory does not exist, or nothing can be written in it: without a lease the command is not run.
pub(crate) fn run(ctx: &Context<'_>, directory: &Path, command: &[OsString]) -> Result<Child, Fault> {
    let program = command[0].to_string_lossy();
    if !read::is_directory(directory).unwrap_or(false) {
        let message = format!("`{}` is not a directory, so it cannot be held", directory.display());
        return Err(Fault::usage(message).with_hint("make the directory first".to_owned()));
    }
    // What an earlier hold left here that was killed.
    let goes_on = || !cancel::is_cancelled(&ctx.interrupt.cancel);
    recover::recover_while(&[directory.to_owned()], &[], &ctx.records, ctx.now, &goes_on);
    let lease = holder::hold(directory, &program, ctx.now).map_err(Fault::from)?;
    ctx.report_about_job(Level::Debug, format!("holding `{}` for `{program}`", directory.display()));
    if let Some(listen) = ctx.listen_later {
        listen();
    }
    let command = ChildCommand {
        words: command,
        tail: None,
        env: ctx.env,
        variables: &[],
        stdout_is_taken: ctx.stdout_is_json,
    };
    let report = |level, text| ctx.report_about_job(level, text);
    let child = command.run(ctx.interrupt, Some(&ctx.runtime), &report);
    if let Err(error) = lease.close() {
        ctx.report_about_job(Level::Warning, failure::chain(&error));
    }
    Ok(child)
}
