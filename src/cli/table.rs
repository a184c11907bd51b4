//! The commands, one arm each: what must be found before it runs, what it does, and what the process returns.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use clap::CommandFactory as _;

use super::args::{Args, Command, EnvFormat, SortBy, StatusFormat, StoreTarget};
use super::direct::options;
use super::exit::{self, Exit};
use super::publish::{self, print};
use super::site::Site;
use super::{action, catalog, choice, clean, completions, explain, task};
use crate::command::context::Context;
use crate::command::dedup::DedupRequest;
use crate::command::usage::{ListOrder, ListedBy};
use crate::command::{
    dedup, env, fetch, gate, hold, key, listing, quota, recover, restore, room, run, save, seed, status,
    trim, usage,
};
use crate::config;
use crate::domain::dedup::Sharing;
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;
use crate::report::json;

/// A command, as it was typed.
pub(super) struct CommandRow<'a> {
    /// What must be found before it runs.
    pub(super) needs: Needs,
    /// What it does.
    pub(super) run: Run<'a>,
}

/// What must be found before a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// A declaration of caches, of which it works on those that were named.
    Caches,
    /// A store. It works without a configuration, and knows all declared caches, whichever were named.
    Store,
}

type Do<'a, T> = Box<dyn Fn(&Site<'_>, &Context<'_>) -> Result<T, Fault> + 'a>;

/// What a command does.
pub(super) enum Run<'a> {
    /// Prints a text that depends on nothing.
    Text(Box<dyn Fn() -> String + 'a>),
    /// Looks at everything, whether or not there is a usable configuration.
    Doctor {
        /// Whether the network is asked, too.
        online: bool,
    },
    /// Looks at what people wrote, whether or not there is a usable configuration.
    Check,
    /// Proposes what people would write, whether or not there is a configuration.
    Init,
    /// Is a step of the action or a stage of the task: another command, whose arguments are in the environment.
    Inputs,
    /// Finds something out and prints it.
    Answer(Do<'a, String>),
    /// Works on caches. The outcome is logged, printed as JSON, and left for later steps of the job.
    Job {
        /// The work.
        run: Do<'a, JobOutcome>,
        /// What the process returns for an outcome.
        exit: Box<dyn Fn(&JobOutcome) -> Exit + 'a>,
    },
    /// Works on a store, and sees to its results by itself.
    Other(Do<'a, Exit>),
}

impl CommandRow<'_> {
    /// Does what the command does, and prints its result.
    pub(super) fn execute(
        &self,
        command: &Command,
        site: &Site<'_>,
        ctx: &Context<'_>,
    ) -> Result<Exit, Fault> {
        match &self.run {
            Run::Answer(answer) => Ok(print(&answer(site, ctx)?)),
            Run::Other(run) => run(site, ctx),
            Run::Job { run, exit } => {
                let staging = site.template.as_ref().and_then(|template| template.staging.as_deref());
                let before = room::measure(ctx, staging);
                let mut outcome: JobOutcome = match (site.step, &site.task) {
                    (_, Some(task)) => task::work::run(site, ctx, command, task)?,
                    (Some(step), None) => action::run(site, ctx, command, step)?,
                    (None, None) => run(site, ctx)?,
                };
                quota::keep(ctx, &mut outcome);
                outcome.disks = room::report_changes(ctx, &before);
                outcome.freed = std::mem::take(&mut ctx.freed.lock().unwrap_or_else(PoisonError::into_inner));
                outcome.fallback = ctx.store().fallback_in_use();
                let output_name = if site.task.is_some() { task::output_name } else { str::to_owned };
                publish::publish(ctx, &outcome, output_name);
                let printed = if ctx.stdout_is_json {
                    print(&json::render(&json::Document::from(&outcome)))
                } else {
                    exit::OK
                };
                Ok(exit(&outcome).or(printed))
            }
            Run::Text(_) | Run::Doctor { .. } | Run::Check | Run::Init | Run::Inputs => {
                unreachable!("done before there was a site")
            }
        }
    }
}

fn text<'a>(text: impl Fn() -> String + 'a) -> CommandRow<'a> {
    CommandRow { needs: Needs::Nothing, run: Run::Text(Box::new(text)) }
}

/// A command that is done whether or not a configuration was found.
fn early(run: Run<'_>) -> CommandRow<'_> {
    CommandRow { needs: Needs::Caches, run }
}

fn answer<'a>(
    needs: Needs,
    run: impl Fn(&Site<'_>, &Context<'_>) -> Result<String, Fault> + 'a,
) -> CommandRow<'a> {
    CommandRow { needs, run: Run::Answer(Box::new(run)) }
}

fn job<'a>(
    run: impl Fn(&Context<'_>) -> Result<JobOutcome, Fault> + 'a,
    exit: impl Fn(&JobOutcome) -> Exit + 'a,
) -> CommandRow<'a> {
    let run = Box::new(move |_: &Site<'_>, ctx: &Context<'_>| run(ctx));
    CommandRow { needs: Needs::Caches, run: Run::Job { run, exit: Box::new(exit) } }
}

fn save_row<'a>(required: bool, recompute_key: bool) -> CommandRow<'a> {
    job(move |ctx| save::run(ctx, recompute_key), move |outcome| of_save(outcome, required))
}

fn dedup_row(directories: &[PathBuf], request: DedupRequest) -> CommandRow<'_> {
    other(move |site, ctx| {
        let directories: Vec<PathBuf> = directories.iter().map(|path| site.absolute(path)).collect();
        let outcome = dedup::run(ctx, &directories, request)?;
        let document = || json::render(&json::dedup::DedupDocument::from(&outcome));
        Ok(if ctx.stdout_is_json { print(&document()) } else { exit::OK })
    })
}

fn recover_row<'a>(dry_run: bool) -> CommandRow<'a> {
    let run: Do<'a, Exit> = Box::new(move |_, ctx| {
        let outcome = recover::run(ctx, dry_run)?;
        let document = || json::render(&json::recovery::RecoveryDocument::from(&outcome));
        let printed = if ctx.stdout_is_json { print(&document()) } else { exit::OK };
        let exit = if outcome.has_failed() { exit::FAILED } else { exit::OK };
        Ok(exit.or(printed))
    });
    CommandRow { needs: Needs::Caches, run: Run::Other(run) }
}

fn hold_row<'a>(directory: &'a Path, command: &'a [OsString]) -> CommandRow<'a> {
    other(move |site, ctx| hold::run(ctx, &site.absolute(directory), command).map(Exit::of_child))
}

fn other<'a>(run: impl Fn(&Site<'_>, &Context<'_>) -> Result<Exit, Fault> + 'a) -> CommandRow<'a> {
    CommandRow { needs: Needs::Store, run: Run::Other(Box::new(run)) }
}

fn usage_row<'a>(target: &'a StoreTarget, html: Option<&'a Path>) -> CommandRow<'a> {
    answer(Needs::Store, move |site, ctx| {
        let catalog = catalog::open_with_states(target, site, ctx)?;
        let html = html.map(|path| site.absolute(path));
        let only = choice::scope(&site.typed_names)?;
        usage::usage(ctx, catalog.as_ref(), &site.settings.spec.clean, html.as_deref(), only.as_ref())
    })
}

fn status_row<'a>(
    format: StatusFormat,
    metrics_file: Option<&'a Path>,
    html: Option<&'a Path>,
) -> CommandRow<'a> {
    answer(Needs::Caches, move |site, ctx| {
        let syntax = match format {
            _ if ctx.stdout_is_json => status::Syntax::Json,
            StatusFormat::Text => status::Syntax::Text,
            StatusFormat::Json => status::Syntax::Json,
            StatusFormat::OpenMetrics => status::Syntax::OpenMetrics,
        };
        let [metrics_file, html] = [metrics_file, html].map(|path| path.map(|path| site.absolute(path)));
        status::run(ctx, syntax, metrics_file.as_deref(), html.as_deref())
    })
}

fn disk_row<'a>(free: bool, dry_run: bool) -> CommandRow<'a> {
    answer(Needs::Caches, move |_, ctx| {
        let (text, summary) = room::disk::run(ctx, free, dry_run)?;
        publish::summarize(ctx, &summary);
        Ok(text)
    })
}

fn files_row<'a>(target: &'a StoreTarget, entry: &'a str) -> CommandRow<'a> {
    answer(Needs::Store, move |site, ctx| {
        let catalog = catalog::open(target, site, ctx)?;
        listing::files(ctx, catalog.as_ref(), entry, choice::scope(&site.typed_names)?)
    })
}

/// The row of a command.
pub(super) fn row(command: &Command) -> CommandRow<'_> {
    match command {
        Command::Run { .. } => {
            let line = command.child().expect("`run` has a command");
            let options = options(command);
            job(move |ctx| run::run(ctx, &line, options), of_run)
        }
        Command::Restore { fail_on_miss, required, .. } => {
            let options = options(command);
            job(
                move |ctx| restore::run(ctx, options),
                |outcome| of_restore(outcome, *fail_on_miss, *required),
            )
        }
        Command::Seed { required, .. } => job(seed::run, |outcome| of_seed(outcome, *required)),
        Command::Fetch { required, .. } => job(fetch::run, |outcome| of_seed(outcome, *required)),
        Command::Gate { .. } => job(gate::run, of_gate),
        Command::Save { required, recompute_key, .. } => save_row(*required, *recompute_key),
        Command::Trim { dry_run, .. } => job(move |ctx| trim::run(ctx, *dry_run), |_| exit::OK),
        Command::Status { format, textfile, html, .. } => {
            status_row(*format, textfile.as_deref(), html.as_deref())
        }
        Command::Disk { free, dry_run, .. } => disk_row(*free, *dry_run),
        Command::Hold { directory, command } => hold_row(directory, command),
        Command::Key { diff, .. } => answer(Needs::Caches, |_, ctx| key::run(ctx, diff.as_deref())),
        Command::Env { format, .. } => {
            answer(Needs::Caches, |_, ctx| env::run(ctx, env_format(*format, ctx.stdout_is_json)))
        }
        Command::Ls { target, entry: Some(entry), .. } => files_row(target, entry),
        Command::Ls { target, filter, sort, reverse, limit, .. } => answer(Needs::Store, |site, ctx| {
            let query = choice::query(site, filter)?;
            let order = ListOrder { by: sort_by(*sort), reverse: *reverse, limit: *limit };
            usage::list(ctx, catalog::open(target, site, ctx)?.as_ref(), &query, &order)
        }),
        Command::Usage { target, html } => usage_row(target, html.as_deref()),
        Command::Explain { selected, target, layout, files, diff } => {
            let layout = layout.as_deref();
            let asked = explain::ExplainTarget { caches: &selected.caches, layout, files: *files };
            answer(Needs::Store, move |site, ctx| explain::run(site, ctx, &asked, target, diff.as_deref()))
        }
        Command::Clean(typed) => other(move |site, ctx| clean::clean(typed, site, ctx)),
        Command::Delete(typed) => other(move |site, ctx| clean::delete(typed, site, ctx)),
        Command::Dedup { directories, hard_links, min_size, dry_run } => {
            let by = if *hard_links { Sharing::HardLink } else { Sharing::Reflink };
            dedup_row(directories, DedupRequest { by, min_size: *min_size, dry_run: *dry_run })
        }
        Command::Recover { dry_run, .. } => recover_row(*dry_run),
        Command::Doctor { online } => early(Run::Doctor { online: *online }),
        Command::Check { .. } => early(Run::Check),
        Command::Init { .. } => early(Run::Init),
        Command::Action { .. } | Command::Task { .. } => {
            CommandRow { needs: Needs::Nothing, run: Run::Inputs }
        }
        Command::Schema => text(|| json::render(&config::schema())),
        Command::Completions { shell } => text(|| completions::script(*shell)),
        Command::Complete => answer(Needs::Store, |site, _| Ok(completions::names(&site.settings.spec))),
        Command::Man => text(manual_page),
    }
}

fn manual_page() -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page).expect("memory takes it");
    String::from_utf8_lossy(&page).into_owned()
}

fn sort_by(sort: SortBy) -> ListedBy {
    match sort {
        SortBy::Used => ListedBy::Eviction,
        SortBy::Saved => ListedBy::Saved,
        SortBy::Size => ListedBy::Size,
        SortBy::Key => ListedBy::Key,
        SortBy::Ref => ListedBy::Ref,
    }
}

fn env_format(format: EnvFormat, is_json: bool) -> env::Syntax {
    match format {
        _ if is_json => env::Syntax::Json,
        EnvFormat::Sh => env::Syntax::Sh,
        EnvFormat::PowerShell => env::Syntax::PowerShell,
        EnvFormat::Dotenv => env::Syntax::Dotenv,
        EnvFormat::Json => env::Syntax::Json,
    }
}

fn failed(outcome: &JobOutcome) -> Exit {
    if outcome.failed() { exit::FAILED } else { exit::OK }
}

/// `run` returns what its command returned.
fn of_run(outcome: &JobOutcome) -> Exit {
    outcome.child.map_or(exit::OK, Exit::of_child)
}

/// `restore` fails softly unless asked otherwise.
fn of_restore(outcome: &JobOutcome, fail_on_miss: bool, required: bool) -> Exit {
    let missed = if fail_on_miss && outcome.missed() { exit::MISS } else { exit::OK };
    missed.or(if required { failed(outcome) } else { exit::OK })
}

/// `seed` and `fetch` fail softly unless the cache is required to be filled.
fn of_seed(outcome: &JobOutcome, required: bool) -> Exit {
    match required {
        true if outcome.is_short() => exit::FAILED,
        true => failed(outcome),
        false => exit::OK,
    }
}

/// `save` fails softly unless the entry is required.
fn of_save(outcome: &JobOutcome, required: bool) -> Exit {
    if required { failed(outcome) } else { exit::OK }
}

/// `gate` never passes softly.
fn of_gate(outcome: &JobOutcome) -> Exit {
    if outcome.incomplete() { exit::INCOMPLETE } else { exit::OK }
}
