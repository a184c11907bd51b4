//! From settings to a command, and from its outcome to an exit code.

use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;
use tokio::runtime::Runtime;

use super::args::{Args, Command, EnvFormat, Stage};
use super::examination;
use super::exit::{self, Exit};
use super::explanation;
use super::housekeeping;
use super::inputs;
use super::publish::{self, print};
use super::settings::{Place, Settings, SettingsError, log_options};
use super::signals;
use super::stages;
use super::store_choice;
use crate::command::context::Context;
use crate::command::interrupt::Interrupt;
use crate::command::{clean, env, fetch, gate, key, restore, run, save, seed, trim, usage};
use crate::config;
use crate::domain::clean::End;
use crate::domain::event::{Event, Level, Observer};
use crate::domain::fault::Fault;
use crate::domain::hint::{Class, Hint};
use crate::domain::outcome::{Child, JobOutcome};
use crate::domain::scope::Scope;
use crate::domain::spec::StoreLocation;
use crate::github::Credentials;
use crate::github::credentials::{self, NoCredentials};
use crate::platform::{self, Env, Platform};
use crate::report::json::clean::CleanDocument;
use crate::report::markdown;
use crate::report::{Log, failure, json};
use crate::store::{self, Clock};

const VOLATILE_CURE: &str =
    "set `store` in cachekeep.toml or CACHEKEEP_STORE to a folder that outlives the job";

/// Does what the arguments say.
pub(super) fn dispatch(args: Args, env: &Env, clock: Clock) -> Exit {
    match &args.command {
        Command::Schema => return print(&json::render(&config::schema())),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "cachekeep", &mut text);
            return print(&String::from_utf8_lossy(&text));
        }
        _ => {}
    }
    let (mut args, stage) = match args.command {
        Command::Action { stage } => match inputs::arguments(env) {
            Ok(args) => (args, Some(stage)),
            Err(error) => {
                let platform = platform::detect(env, &env.current_dir);
                let options = log_options(&args.common, env, platform.facts());
                let log = Log::new(platform, options);
                say(&log, Level::Error, error.to_string(), None);
                return exit::USAGE;
            }
        },
        _ => (args, None),
    };
    let asked = explanation::take_key(&mut args);
    let place = if args.command.is_housekeeping() {
        Place::find_or_bare(&args.common, env)
    } else {
        Place::find(&args.common, env)
    };
    let workspace = place.as_ref().map_or(&env.current_dir, |place| &place.workspace);
    let platform = platform::detect(env, workspace);
    let options = log_options(&args.common, env, platform.facts());
    let log = Arc::new(Log::new(Arc::clone(&platform), options));
    let settings = place.and_then(|place| {
        let mut settings = Settings::new(&args.common, env, place, platform.facts())?;
        match &args.command {
            // Entries of other caches may be taken for those of this one.
            Command::Explain { selected, .. } => settings.check(&selected.caches)?,
            command => settings.select(command.selected())?,
        }
        Ok(settings)
    });
    if stage.is_some() {
        mask_tokens(platform.as_ref(), &log, env);
    }
    if let Command::Doctor { online } = args.command {
        return examination::run(&args, env, clock, platform.as_ref(), &settings, online);
    }
    match settings {
        Ok(settings) => {
            let platform = platform.as_ref();
            Job { args, asked, stage, env, clock, platform, log: Arc::clone(&log), settings }.run()
        }
        Err(error) => refuse_settings(&log, &error),
    }
}

/// Has the runner hide the job's tokens, whatever prints them later. Only in the action's own steps: their log
/// goes to the runner and nowhere else, while a command's may be piped into a file.
fn mask_tokens(platform: &dyn Platform, log: &Log, env: &Env) {
    for secret in credentials::tokens(env) {
        platform.mask(&secret).into_iter().for_each(|line| log.observe(Event::Command(line)));
    }
}

/// Bad usage: nothing was touched.
fn refuse_settings(log: &Log, error: &SettingsError) -> Exit {
    match error {
        // A finding is drawn over several lines; each is an error of its own.
        SettingsError::Config(error) => {
            for finding in &error.findings {
                let level = match finding.severity {
                    config::Severity::Error => Level::Error,
                    config::Severity::Warning => Level::Warning,
                };
                say(log, level, finding.body(), None);
            }
        }
        other => say(log, Level::Error, failure::chain(other), other.hint()),
    }
    exit::USAGE
}

fn say(log: &Log, level: Level, text: String, hint: Option<String>) {
    log.observe(Event::Message { level, cache: None, text, hint });
}

/// A command, ready to run.
struct Job<'a> {
    args: Args,
    /// The key that `explain` is asked about.
    asked: Option<explanation::Asked>,
    /// The step of the GitHub action that this is, if it is one.
    stage: Option<Stage>,
    env: &'a Env,
    clock: Clock,
    platform: &'a dyn Platform,
    log: Arc<Log>,
    settings: Settings,
}

impl Job<'_> {
    fn run(self) -> Exit {
        for warning in &self.settings.warnings {
            say(&self.log, Level::Warning, warning.body(), None);
        }
        let interrupt = Arc::new(Interrupt::default());
        let runtime = match start_runtime(&interrupt) {
            Ok(runtime) => runtime,
            Err(error) => {
                say(&self.log, Level::Error, format!("cannot start: {error}"), None);
                return exit::FAILED;
            }
        };
        let store = self.open_store(&interrupt);
        let now = (self.clock)();
        let access = store_choice::access_of(&self.settings, self.env, self.platform.facts(), now);
        let ctx = Context {
            caches: &self.settings.spec.caches,
            disk: &self.settings.spec.disk,
            workspace: &self.settings.workspace,
            temp: &self.settings.temp,
            variables: &self.settings.variables,
            env: self.env,
            platform: self.platform,
            git_ref: self.settings.git_ref.as_deref(),
            access: &access,
            store,
            observer: Arc::clone(&self.log) as Arc<dyn Observer>,
            interrupt: &interrupt,
            runtime: runtime.handle().clone(),
            now,
            workers: self.settings.workers,
            timeout: self.settings.timeout,
            stdout_is_json: self.args.common.json,
        };
        let read: Vec<&str> = access.readable.iter().map(Scope::as_str).collect();
        let scopes = format!("scopes: reads {}; writes {}", read.join(", then "), access.own);
        say(&self.log, Level::Debug, scopes, None);
        let exit = self.execute(&ctx).unwrap_or_else(|error| {
            say(&self.log, Level::Error, failure::chain(&error), error.hint());
            exit_of_fault(&error)
        });
        match interrupt.signal() {
            // What the command of `run` made of the signal counts, if it ran.
            Some(signal) if exit == exit::OK => Exit::by_signal(signal),
            _ => exit,
        }
    }

    /// Opens what the configuration names, or what is reachable from here; says so where entries will not last.
    fn open_store(&self, interrupt: &Interrupt) -> Arc<dyn store::Store> {
        let now = (self.clock)();
        let facts = self.platform.facts();
        let location = &self.settings.spec.store;
        let found = store_choice::credentials(location, self.env, now);
        if self.settings.store_is_volatile(facts)
            && !self.args.command.is_housekeeping()
            && !matches!(found, Some(Ok(_)))
            && !self.is_wrapped(found.as_ref())
        {
            let directory = facts.store_dir.display();
            let text = match &found {
                Some(Err(why)) => format!("entries are kept in {directory} and lost with this job: {why}"),
                _ => format!("entries are kept in {directory}, which does not outlive this job"),
            };
            let hint = match &found {
                Some(Err(why)) => why.hint(),
                _ => Some(VOLATILE_CURE.to_owned()),
            };
            say(&self.log, Level::Warning, text, hint);
        }
        let observer = || Arc::clone(&self.log) as Arc<dyn Observer>;
        let options =
            || store_choice::options(self.settings.timeout, interrupt.cancel.clone(), now, Some(observer()));
        // A store that does not last would only pretend to be one.
        let location = if self.is_wrapped(found.as_ref()) { &StoreLocation::GitHub } else { location };
        let surroundings = store::Surroundings {
            default_directory: &facts.store_dir,
            github: store_choice::access(found, options),
        };
        store::open_or_unusable(location, surroundings, self.clock)
    }

    /// Whether actions/cache moves the archives of this step.
    fn is_wrapped(&self, found: Option<&Result<Credentials, NoCredentials>>) -> bool {
        self.stage.is_some() && store_choice::is_github(self.env) && matches!(found, Some(Err(_)))
    }

    fn execute_stage(&self, ctx: &Context<'_>, stage: Stage) -> Result<JobOutcome, Fault> {
        let found = store_choice::credentials(&self.settings.spec.store, self.env, ctx.now);
        let wrapped = self.is_wrapped(found.as_ref());
        if let (Some(Err(why)), Stage::Start) = (&found, stage) {
            stages::announce(ctx, why);
        }
        stages::run(ctx, &self.args.command, stage, wrapped)
    }

    fn execute(&self, ctx: &Context<'_>) -> Result<Exit, Fault> {
        let before = publish::measure(ctx);
        let outcome = match &self.args.command {
            Command::Clean { .. } => return self.clean(ctx),
            _ if let Some(stage) = self.stage => self.execute_stage(ctx, stage)?,
            Command::Run { command, .. } => run::run(ctx, command)?,
            Command::Restore { lookup_only, .. } => {
                restore::run(ctx, restore::Options { lookup_only: *lookup_only })?
            }
            Command::Seed { .. } => seed::run(ctx)?,
            Command::Fetch { .. } => fetch::run(ctx)?,
            Command::Gate { .. } => gate::run(ctx)?,
            Command::Save { .. } => save::run(ctx)?,
            Command::Trim { dry_run, .. } => trim::run(ctx, *dry_run)?,
            Command::Key { diff, .. } => return self.key(ctx, diff.as_deref()),
            Command::Env { format, .. } => return Ok(print(&env::run(ctx, self.env_format(*format))?)),
            Command::Ls { target } => {
                let target = housekeeping::open(target, self.env, &self.settings, ctx)?;
                return Ok(print(&usage::list(ctx, target.as_ref())?));
            }
            Command::Usage { target, html } => {
                let target = housekeeping::open(target, self.env, &self.settings, ctx)?;
                let html = html.as_deref().map(|path| self.env.current_dir.join(path));
                let policy = &self.settings.spec.clean;
                return Ok(print(&usage::usage(ctx, target.as_ref(), policy, html.as_deref())?));
            }
            Command::Explain { .. } => {
                return explanation::run(ctx, &self.args, self.asked.as_ref(), self.env, &self.settings);
            }
            Command::Doctor { .. }
            | Command::Action { .. }
            | Command::Schema
            | Command::Completions { .. } => {
                unreachable!("done before there were settings")
            }
        };
        publish::publish(ctx, &outcome, &before);
        let printed = if self.args.common.json {
            print(&json::render(&json::Document::from(&outcome)))
        } else {
            exit::OK
        };
        Ok(exit_of(&self.args.command, &outcome).or(printed))
    }

    fn clean(&self, ctx: &Context<'_>) -> Result<Exit, Fault> {
        let Command::Clean { target, pull_request, dry_run, plan_out, apply } = &self.args.command else {
            unreachable!("only called for it")
        };
        let policy = self.settings.spec.clean.clone();
        let at = |path: &Path| self.env.current_dir.join(path);
        let options = clean::Options {
            policy: match pull_request {
                Some(number) => clean::options::about_pull_request(policy, *number),
                None => policy,
            },
            source: apply.as_deref().map_or(clean::Source::Policy, |path| clean::Source::Saved(at(path))),
            dry_run: *dry_run,
            plan_out: plan_out.as_deref().map(at),
        };
        let target = housekeeping::open(target, self.env, &self.settings, ctx)?;
        let outcome = clean::run(ctx, target.as_ref(), &options)?;
        publish::summarize(ctx, &markdown::clean::markdown(&outcome));
        let printed = if self.args.common.json {
            print(&json::render(&CleanDocument::from(&outcome)))
        } else {
            exit::OK
        };
        let exit = match outcome.end {
            End::DryRun | End::Done => exit::OK,
            End::Failed | End::Stopped(_) => exit::FAILED,
            End::NotPermitted(_) => exit::NOT_PERMITTED,
        };
        Ok(exit.or(printed))
    }

    fn env_format(&self, format: EnvFormat) -> env::Format {
        match format {
            _ if self.args.common.json => env::Format::Json,
            EnvFormat::Sh => env::Format::Sh,
            EnvFormat::PowerShell => env::Format::PowerShell,
            EnvFormat::Dotenv => env::Format::Dotenv,
            EnvFormat::Json => env::Format::Json,
        }
    }

    fn key(&self, ctx: &Context<'_>, diff: Option<&Path>) -> Result<Exit, Fault> {
        let explanation = key::explain(ctx)?;
        Ok(match diff {
            Some(saved) => print(&key::diff(saved, &explanation)?),
            None if self.args.common.json => print(&json::render(&explanation)),
            None => print(&key::render(&explanation)),
        })
    }
}

/// What the process returns when a command did not come to an outcome.
fn exit_of_fault(fault: &Fault) -> Exit {
    match fault.class() {
        Class::Usage => exit::USAGE,
        Class::Denied => exit::NOT_PERMITTED,
        Class::Environment | Class::Cancelled => exit::FAILED,
    }
}

/// What the process returns: soft where nobody asked for more.
fn exit_of(command: &Command, outcome: &JobOutcome) -> Exit {
    let failed = if outcome.failed() { exit::FAILED } else { exit::OK };
    match command {
        Command::Run { .. } => match outcome.child {
            Some(Child::Returned(code)) => Exit(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Some(Child::Signaled(signal)) => Exit::by_signal(signal),
            Some(Child::NotFound) => exit::NOT_FOUND,
            Some(Child::NotExecutable) => exit::NOT_EXECUTABLE,
            None => exit::OK,
        },
        Command::Restore { fail_on_miss, required, .. } => {
            let missed = if *fail_on_miss && outcome.missed() { exit::MISS } else { exit::OK };
            missed.or(if *required { failed } else { exit::OK })
        }
        Command::Seed { required: true, .. } | Command::Fetch { required: true, .. }
            if outcome.is_short() =>
        {
            exit::FAILED
        }
        Command::Seed { required: true, .. }
        | Command::Fetch { required: true, .. }
        | Command::Save { required: true, .. } => failed,
        Command::Gate { .. } if outcome.incomplete() => exit::INCOMPLETE,
        _ => exit::OK,
    }
}

/// The runtime that drives the network and the store, and listens for signals.
fn start_runtime(interrupt: &Arc<Interrupt>) -> std::io::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    signals::listen(runtime.handle(), interrupt)?;
    Ok(runtime)
}
