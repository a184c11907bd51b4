//! The commands: what they work with, one arm for what each does, and what the process returns.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use clap::CommandFactory as _;

use super::action::nested;
use super::args::{ActionStep, Args, Command, EnvFormat, SortBy, StatusFormat, StoreTarget};
use super::exit::{self, Exit};
use super::publish::{self, print};
use super::signals;
use super::site::{self, Site};
use super::{action, catalog, choice, clean, completions, explain, inputs, task};
use crate::command::child::ChildCommand;
use crate::command::context::Context;
use crate::command::dedup::DedupRequest;
use crate::command::interrupt::Interrupt;
use crate::command::script::CommandLine;
use crate::command::usage::{ListOrder, ListedBy};
use crate::command::{
    complete, dedup, env, fetch, gate, hold, key, listing, quota, recover, restore, room, run as run_command,
    save, seed, status, trim, usage,
};
use crate::config;
use crate::domain::dedup::Sharing;
use crate::domain::event::{Event, Level, Observer};
use crate::domain::fault::Fault;
use crate::domain::outcome::JobOutcome;
use crate::domain::quota::Quota;
use crate::domain::spec::StoreLocation;
use crate::domain::unit::ByteSize;
use crate::fs::records::Records;
use crate::platform::{Env, limits};
use crate::report::stderr::print_line;
use crate::report::{Log, failure, json};
use crate::store::{JobStore, OpenOptions, StoreChoice};
use crate::threads::contain::contain;
use crate::threads::executor::{Executor, NO_DESCRIPTORS, Owner};

/// Bytes of address space below which `run` does nothing for its caches: memory that cannot be had ends the process, and the
/// command would not run. The worst archive needs half of it.
const LEAST_MEMORY: u64 = 512 << 20;

/// Bytes of address space below which no threads are started: each has a heap of its own, of at least 64 MiB.
const MEMORY_FOR_THREADS: u64 = 4 << 30;

/// Whether a command works on the caches that were named. Others work on a store: without a configuration, and knowing all
/// declared caches, whichever were named.
pub(super) fn works_on_caches(command: &Command) -> bool {
    !matches!(
        command,
        Command::Hold { .. }
            | Command::Ls { .. }
            | Command::Usage { .. }
            | Command::Explain { .. }
            | Command::Clean(_)
            | Command::Delete(_)
            | Command::Dedup { .. }
            | Command::Complete
    )
}

/// What a command prints that depends on nothing.
pub(super) fn text(command: &Command) -> Option<String> {
    match command {
        Command::Schema => Some(json::render(&config::schema())),
        Command::Completions { shell } => Some(completions::script(*shell)),
        Command::Man => Some(manual_page()),
        _ => None,
    }
}

/// Runs a command where everything that it needs was found.
pub(super) fn run(args: &Args, on_caches: bool, site: &Site<'_>, interrupt: &Arc<Interrupt>) -> Exit {
    for warning in &site.settings.warnings {
        site.report(Level::Warning, warning.body(), None);
    }
    let runtime = match start(&args.command) {
        Ok(runtime) => runtime,
        Err(reason) => {
            site.report(Level::Error, format!("cannot start: {reason}"), None);
            let command = args.command.child();
            return without_caches(command.as_ref(), site.env, site.now, interrupt, args.common.json);
        }
    };
    let executor = runtime.executor();
    let listen_later = || listen(site, executor, interrupt);
    // Without threads signals are noticed only while work waits: until then, their default is better.
    let listen_now = executor.has_threads();
    if listen_now {
        listen(site, executor, interrupt);
    } else {
        site.report(Level::Debug, "few threads can be had here: the work is done by one".to_owned(), None);
    }
    site.report_findings(on_caches, args.command.child().is_some());
    let mut ctx = context(site, executor, interrupt, args.common.json);
    ctx.listen_later = (!listen_now).then_some(&listen_later);
    let exit = execute(&args.command, site, &ctx).unwrap_or_else(|fault| refuse(&site.log, &fault));
    match interrupt.signal() {
        // What the command of `run` made of the signal counts, if it ran.
        Some(signal) if exit == exit::OK => Exit::by_signal(signal),
        _ => exit,
    }
}

/// Starts tokio's runtime, with threads of its own if they can be had: without them its tasks run only while a thread waits. The error says why
/// nothing is done for caches.
pub(super) fn start(command: &Command) -> Result<Owner, String> {
    let memory = memory();
    if command.child().is_some() && memory < LEAST_MEMORY {
        return Err(format!("{} of address space may be too little", ByteSize(memory)));
    }
    let started = if memory < MEMORY_FOR_THREADS { Owner::start_without_threads() } else { Owner::start() };
    started.map_err(|error| error.to_string())
}

/// Reports why a command came to no outcome.
pub(super) fn refuse(log: &Log, fault: &Fault) -> Exit {
    let (text, hint) = (failure::chain(fault), fault.hint());
    log.observe(Event::Message { level: Level::Error, cache: None, text, hint });
    Exit::of_fault(fault)
}

/// Has signals cancel the work.
fn listen(site: &Site<'_>, executor: &Executor, interrupt: &Arc<Interrupt>) {
    // Panics without descriptors for it.
    let listening = contain(|| signals::listen(executor, interrupt));
    if let Err(error) = listening.unwrap_or_else(|_| Err(std::io::Error::other(NO_DESCRIPTORS))) {
        site.report(Level::Warning, format!("signals end this program at once: {error}"), None);
    }
}

/// What a command works with, where everything that it needs was found.
pub(super) fn context<'a>(
    site: &'a Site<'_>,
    executor: &Executor,
    interrupt: &'a Interrupt,
    stdout_is_json: bool,
) -> Context<'a> {
    let settings = &site.settings;
    let observer = Arc::clone(&site.log) as Arc<dyn Observer>;
    let options = OpenOptions {
        time_limit: settings.timeout,
        cancel: interrupt.cancel.clone(),
        now: site.now,
        observer: Some(Arc::clone(&observer)),
    };
    let ctx = Context {
        caches: &settings.spec.caches,
        disk: &settings.spec.disk,
        quota: quota(site),
        clean: &settings.spec.clean,
        workspace: &settings.workspace,
        temp: &settings.temp,
        variables: &settings.variables,
        env: site.env,
        platform: site.platform.as_ref(),
        git_ref: settings.git_ref.as_deref(),
        access: &site.access,
        grants: &settings.grants,
        records: Records::in_directories(site.platform.facts().record_dirs.clone()),
        store: JobStore::new(&site.store, options),
        keeps_nothing: site.keeps_nothing(),
        volumes: Mutex::default(),
        freed: Mutex::default(),
        room_was_short: AtomicBool::default(),
        observer,
        interrupt,
        listen_later: None,
        runtime: executor.clone(),
        now: site.now,
        started: Instant::now(),
        workers: if memory() < MEMORY_FOR_THREADS { 0 } else { settings.workers },
        timeout: settings.timeout,
        stdout_is_json,
    };
    let staging = site.template.as_ref().and_then(|template| template.staging.as_deref());
    // The volume of a cache is measured when it is opened.
    for place in [Some(ctx.workspace), Some(ctx.temp), staging, site.store.directory()].into_iter().flatten()
    {
        ctx.note_volume(place);
    }
    ctx
}

/// The quota of the store: what is set, or the default of the directory that is used where no store is named.
fn quota(site: &Site<'_>) -> Option<Quota> {
    let spec = &site.settings.spec;
    let set = spec.quota.map(|limit| Quota { limit, is_default: false });
    match site.store.innermost() {
        StoreChoice::Directory { .. } if spec.store == StoreLocation::Auto => {
            Some(set.unwrap_or_else(Quota::of_unnamed_store))
        }
        StoreChoice::Directory { .. } | StoreChoice::Objects { .. } => set,
        _ => None,
    }
}

/// Bytes of address space that this process may have.
fn memory() -> u64 {
    limits::address_space().unwrap_or(u64::MAX)
}

/// Does what the command does, and prints its result.
fn execute(command: &Command, site: &Site<'_>, ctx: &Context<'_>) -> Result<Exit, Fault> {
    let answer = match command {
        Command::Hold { directory, command } => {
            return hold::run(ctx, &site.absolute(directory), command).map(Exit::of_child);
        }
        Command::Clean(typed) => return clean::clean(typed, site, ctx),
        Command::Delete(typed) => return clean::delete(typed, site, ctx),
        Command::Dedup { directories, hard_links, min_size, dry_run } => {
            let by = if *hard_links { Sharing::HardLink } else { Sharing::Reflink };
            let request = DedupRequest { by, min_size: *min_size, dry_run: *dry_run };
            return share(site, ctx, directories, request);
        }
        Command::Recover { dry_run, .. } => return recover_all(ctx, *dry_run),
        Command::Status { format, textfile, html, .. } => {
            show_status(site, ctx, *format, textfile.as_deref(), html.as_deref())?
        }
        Command::Disk { free, dry_run, .. } => {
            let (text, summary) = room::disk::run(ctx, *free, *dry_run)?;
            publish::summarize(ctx, &summary);
            text
        }
        Command::Key { diff, .. } => {
            let (text, is_short) = key::run(ctx, diff.as_deref())?;
            return Ok(print(&text).or(if is_short { exit::FAILED } else { exit::OK }));
        }
        Command::Env { format, .. } => env::run(ctx, env_format(*format, ctx.stdout_is_json))?,
        Command::Ls { target, entry: Some(entry), .. } => {
            let catalog = catalog::open(target, site, ctx)?;
            listing::files(ctx, catalog.as_ref(), entry, choice::scope(&site.typed_names)?)?
        }
        Command::Ls { target, filter, sort, reverse, limit, .. } => {
            let query = choice::query(site, filter)?;
            let order = ListOrder { by: sort_by(*sort), reverse: *reverse, limit: *limit };
            usage::list(ctx, catalog::open(target, site, ctx)?.as_ref(), &query, &order)?
        }
        Command::Usage { target, html } => show_usage(site, ctx, target, html.as_deref())?,
        Command::Explain { selected, target, layout, files, diff } => {
            let layout = layout.as_deref();
            let asked = explain::ExplainTarget { caches: &selected.caches, layout, files: *files };
            explain::run(site, ctx, &asked, target, diff.as_deref())?
        }
        Command::Complete => completions::names(&site.settings.spec),
        _ => return work_on_caches(command, site, ctx),
    };
    Ok(print(&answer))
}

/// Works on caches. The outcome is logged, printed as JSON, and left for later steps of the job.
fn work_on_caches(command: &Command, site: &Site<'_>, ctx: &Context<'_>) -> Result<Exit, Fault> {
    let by_step = match (site.step, &site.task) {
        (_, Some(task)) => task::work::run(site, ctx, command, task),
        (Some(step), None) => do_step(site, ctx, command, step)?,
        (None, None) => None,
    };
    let is_step = site.step.is_some() || site.task.is_some();
    let mut outcome = by_step.map_or_else(|| run_verb(ctx, command, is_step), Ok)?;
    quota::keep(ctx, &mut outcome);
    outcome.disks = room::report_changes(ctx);
    outcome.freed = std::mem::take(&mut ctx.freed.lock().unwrap_or_else(PoisonError::into_inner));
    outcome.fallback = ctx.store().fallback_in_use();
    let output_name = if site.task.is_some() { task::output_name } else { str::to_owned };
    publish::publish(ctx, &outcome, output_name);
    let printed =
        if ctx.stdout_is_json { print(&json::render(&json::Document::from(&outcome))) } else { exit::OK };
    Ok(exit_of(command, &outcome).or(printed))
}

/// What the process returns for an outcome. Work on caches fails softly unless `--required` or `--fail-on-miss` asks for more, but for
/// `gate`; `run` returns what its command returned.
fn exit_of(command: &Command, outcome: &JobOutcome) -> Exit {
    let failed = || if outcome.failed() { exit::FAILED } else { exit::OK };
    match command {
        Command::Run { .. } => outcome.child.map_or(exit::OK, Exit::of_child),
        Command::Restore { fail_on_miss, required, .. } => {
            let missed = if *fail_on_miss && outcome.missed() { exit::MISS } else { exit::OK };
            missed.or(if *required { failed() } else { exit::OK })
        }
        Command::Seed { required: true, .. } | Command::Fetch { required: true, .. }
            if outcome.is_short() =>
        {
            exit::FAILED
        }
        Command::Seed { required: true, .. }
        | Command::Fetch { required: true, .. }
        | Command::Save { required: true, .. } => failed(),
        Command::Gate { .. } if outcome.incomplete() => exit::INCOMPLETE,
        _ => exit::OK,
    }
}

/// Does a step of the GitHub action or of the template for Azure Pipelines; `None` where this program does what the command says.
fn do_step(
    site: &Site<'_>,
    ctx: &Context<'_>,
    command: &Command,
    step: ActionStep,
) -> Result<Option<JobOutcome>, Fault> {
    let moves = matches!(command, Command::Restore { .. } | Command::Save { .. });
    if let Some(template) = &site.template {
        return action::task::run(site, ctx, template, command, step);
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

/// Does what a command says, and no more; in a step of a platform a restore also seeds and gates.
fn run_verb(ctx: &Context<'_>, command: &Command, is_step: bool) -> Result<JobOutcome, Fault> {
    match command {
        Command::Run { .. } => {
            run_command::run(ctx, &command.child().expect("`run` has a command"), command.restore_options())
        }
        Command::Restore { .. } if is_step => {
            complete::run(ctx, command.restore_options(), inputs::is_true(ctx.env, "seed")?)
        }
        Command::Restore { .. } => restore::run(ctx, command.restore_options()),
        Command::Seed { .. } => seed::run(ctx),
        Command::Fetch { .. } => fetch::run(ctx),
        Command::Gate { .. } => gate::run(ctx),
        Command::Save { recompute_key, .. } => save::run(ctx, *recompute_key),
        Command::Trim { dry_run, .. } => trim::run(ctx, *dry_run),
        _ => unreachable!("`{}` does not work on caches", command.name()),
    }
}

fn share(
    site: &Site<'_>,
    ctx: &Context<'_>,
    directories: &[PathBuf],
    request: DedupRequest,
) -> Result<Exit, Fault> {
    let directories: Vec<PathBuf> = directories.iter().map(|path| site.absolute(path)).collect();
    let outcome = dedup::run(ctx, &directories, request)?;
    let document = || json::render(&json::dedup::DedupDocument::from(&outcome));
    Ok(if ctx.stdout_is_json { print(&document()) } else { exit::OK })
}

fn recover_all(ctx: &Context<'_>, dry_run: bool) -> Result<Exit, Fault> {
    let outcome = recover::run(ctx, dry_run)?;
    let document = || json::render(&json::recovery::RecoveryDocument::from(&outcome));
    let printed = if ctx.stdout_is_json { print(&document()) } else { exit::OK };
    let exit = if outcome.has_failed() { exit::FAILED } else { exit::OK };
    Ok(exit.or(printed))
}

fn show_usage(
    site: &Site<'_>,
    ctx: &Context<'_>,
    target: &StoreTarget,
    html: Option<&Path>,
) -> Result<String, Fault> {
    let catalog = catalog::open_with_states(target, site, ctx)?;
    let html = html.map(|path| site.absolute(path));
    let only = choice::scope(&site.typed_names)?;
    usage::usage(ctx, catalog.as_ref(), &site.settings.spec.clean, html.as_deref(), only.as_ref())
}

fn show_status(
    site: &Site<'_>,
    ctx: &Context<'_>,
    format: StatusFormat,
    metrics_file: Option<&Path>,
    html: Option<&Path>,
) -> Result<String, Fault> {
    let syntax = match format {
        _ if ctx.stdout_is_json => status::StatusSyntax::Json,
        StatusFormat::Text => status::StatusSyntax::Text,
        StatusFormat::Json => status::StatusSyntax::Json,
        StatusFormat::OpenMetrics => status::StatusSyntax::OpenMetrics,
    };
    let [metrics_file, html] = [metrics_file, html].map(|path| path.map(|path| site.absolute(path)));
    status::run(ctx, syntax, metrics_file.as_deref(), html.as_deref())
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

/// The exit of a command that cannot do its work. The command of `run` is run even so, unless it was already.
pub(super) fn without_caches(
    command: Option<&CommandLine>,
    env: &Env,
    now: DateTime<Utc>,
    interrupt: &Interrupt,
    stdout_is_json: bool,
) -> Exit {
    let Some(command) = command else { return exit::FAILED };
    if let Some(child) = interrupt.end() {
        return Exit::of_child(child);
    }
    // Stopped, or lost while it ran.
    if interrupt.signal().is_some() || interrupt.child().is_some() {
        return exit::FAILED;
    }
    let report = |level, text: String| {
        let level = if level == Level::Error { "error" } else { "warning" };
        print_line(&format!("{level}: {text}"));
    };
    let command = match command.prepare(&env.temp_dir, now) {
        Ok(command) => command,
        Err(fault) => {
            report(Level::Error, failure::chain(&fault));
            return Exit::of_fault(&fault);
        }
    };
    report(Level::Warning, "the command is run without its caches".to_owned());
    let child = ChildCommand {
        words: &command.words,
        tail: command.tail.as_deref(),
        env,
        variables: &[],
        stdout_is_taken: stdout_is_json,
    };
    Exit::of_child(child.run(interrupt, None, &report))
}
