//! From arguments to a command, and from its outcome to an exit code.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::action;
use super::args::{ActionStep, Args, Command};
use super::check;
use super::doctor;
use super::exit::{self, Exit};
use super::init;
use super::inputs;
use super::publish::print_text;
use super::settings::{self, FoundSettings, SettingsError};
use super::signals;
use super::site::{Asked, Site};
use super::start::{context, start};
use super::table;
use super::task::{self, TaskPlan};
use super::template::Template;
use crate::command::child::ChildCommand;
use crate::command::interrupt::Interrupt;
use crate::command::script::CommandLine;
use crate::domain::event::{Event, Level, Observer as _};
use crate::domain::fault::Fault;
use crate::domain::finding::Severity;
use crate::domain::hint::Hint;
use crate::github::credentials;
use crate::platform::{Env, Platform};
use crate::report::stderr::print_line;
use crate::report::{Log, failure};
use crate::store::Clock;
use crate::threads::contain::contain;
use crate::threads::executor::{Executor, NO_DESCRIPTORS};

/// Does what the arguments say.
pub(super) fn dispatch(args: Args, env: &Env, clock: Clock, interrupt: &Arc<Interrupt>) -> Exit {
    if let Some(text) = table::text(&args.command) {
        return print_text(&text);
    }
    match args.command {
        Command::Action { step } => match inputs::arguments(env, str::to_owned) {
            Ok(args) if inputs::is_install(env) => install(args, step, env, clock, interrupt),
            Ok(args) => match template(env, &args.command) {
                Ok(template) => {
                    let asked = Asked { step: Some(step), template, ..Asked::default() };
                    work(args, env, clock, interrupt, asked)
                }
                Err(fault) => refuse_inputs(&args, env, &fault),
            },
            Err(fault) => refuse_inputs(&args, env, &fault),
        },
        Command::Task { stage } => match task::plan(env, stage) {
            Ok(TaskPlan::Run { args, env, task }) => {
                work(*args, &env, clock, interrupt, Asked { task: Some(task), ..Asked::default() })
            }
            Ok(TaskPlan::Nothing(why)) => {
                let (_, log) = settings::platform_and_log(&args.common, env, &env.current_dir);
                report(&log, Level::Info, why, None);
                exit::OK
            }
            Err(fault) => refuse_inputs(&args, env, &fault),
        },
        _ => work(args, env, clock, interrupt, Asked::default()),
    }
}

/// Prepares later steps of the job, and restores the caches that are named, where later steps cannot.
fn install(args: Args, step: ActionStep, env: &Env, clock: Clock, interrupt: &Arc<Interrupt>) -> Exit {
    let done = if step == ActionStep::Start {
        let (platform, log) = settings::platform_and_log(&args.common, env, &env.current_dir);
        action::install::run(&args.common, env, platform.as_ref(), &log)
    } else {
        exit::OK
    };
    if done == exit::OK && inputs::installs_caches(env) {
        return work(args, env, clock, interrupt, Asked { step: Some(step), ..Asked::default() });
    }
    done
}

/// The parameters of the template for Azure Pipelines, in a step of it that moves caches.
fn template(env: &Env, command: &Command) -> Result<Option<Template>, Fault> {
    let moves = matches!(command, Command::Restore { .. } | Command::Save { .. });
    if moves { Template::find(env) } else { Ok(None) }
}

/// Does what arguments say that stand for themselves.
fn work(mut args: Args, env: &Env, clock: Clock, interrupt: &Arc<Interrupt>, asked: Asked) -> Exit {
    let (typed_key, typed_names) = (args.take_key(), args.take_names());
    let on_caches = table::works_on_caches(&args.command);
    let FoundSettings { platform, log, settings } = settings::find(&args, env, on_caches);
    if asked.step.is_some() {
        mask_tokens(platform.as_ref(), &log, env);
    }
    if env.current_dir_is_gone {
        let text = format!("the working directory `{}` no longer exists", env.current_dir.display());
        let hint = "an earlier step removed it: set the working directory of this step".to_owned();
        report(&log, Level::Warning, text, Some(hint));
    }
    let asked = Asked { typed_key, typed_names, all_repositories: args.command.all_repositories(), ..asked };
    let facts = Arc::clone(&platform);
    let found = settings.map(|settings| Site::new(env, clock, platform, Arc::clone(&log), settings, asked));
    match &args.command {
        Command::Doctor { online } => {
            doctor::run(&args, env, clock, facts.as_ref(), found.as_ref(), interrupt, *online)
        }
        Command::Check { .. } => {
            check::run(&args.command, args.common.json, &env.current_dir, found.as_ref())
                .unwrap_or_else(|fault| refuse(&log, &fault))
        }
        Command::Init { .. } => init::run(&args.command, args.common.json, env, clock, &log, found.as_ref())
            .unwrap_or_else(|fault| refuse(&log, &fault)),
        _ => match found {
            Ok(site) => run(&args, on_caches, &site, interrupt),
            Err(error) => refuse_settings(&log, &error),
        },
    }
}

/// Has the runner hide the job's tokens, whatever prints them later. Only in the action's own steps: their log
/// goes to the runner and nowhere else, while a command's may be piped into a file.
fn mask_tokens(platform: &dyn Platform, log: &Log, env: &Env) {
    for secret in credentials::tokens(env) {
        platform.mask(&secret).into_iter().for_each(|line| log.observe(Event::Command(line)));
    }
}

/// The inputs of the action or of the task make no command.
fn refuse_inputs(args: &Args, env: &Env, fault: &Fault) -> Exit {
    let (_, log) = settings::platform_and_log(&args.common, env, &env.current_dir);
    report(&log, Level::Error, fault.to_string(), fault.hint());
    exit::USAGE
}

/// Bad usage: nothing was touched.
fn refuse_settings(log: &Log, error: &SettingsError) -> Exit {
    match error {
        // A finding is drawn over several lines; each is an error of its own.
        SettingsError::Config(error) => {
            for finding in &error.findings {
                let level = match finding.severity {
                    Severity::Error => Level::Error,
                    Severity::Warning => Level::Warning,
                };
                report(log, level, finding.body(), None);
            }
        }
        other => report(log, Level::Error, failure::chain(other), other.hint()),
    }
    exit::USAGE
}

fn report(log: &Log, level: Level, text: String, hint: Option<String>) {
    log.observe(Event::Message { level, cache: None, text, hint });
}

/// The command came to no outcome.
fn refuse(log: &Log, fault: &Fault) -> Exit {
    report(log, Level::Error, failure::chain(fault), fault.hint());
    Exit::of_fault(fault)
}

/// Runs a command where everything that it needs was found.
fn run(args: &Args, on_caches: bool, site: &Site<'_>, interrupt: &Arc<Interrupt>) -> Exit {
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
    let exit = table::execute(&args.command, site, &ctx).unwrap_or_else(|fault| refuse(&site.log, &fault));
    match interrupt.signal() {
        // What the command of `run` made of the signal counts, if it ran.
        Some(signal) if exit == exit::OK => Exit::by_signal(signal),
        _ => exit,
    }
}

/// Has signals cancel the work.
fn listen(site: &Site<'_>, executor: &Executor, interrupt: &Arc<Interrupt>) {
    // Panics without descriptors for it.
    let listening = contain(|| signals::listen(executor, interrupt));
    if let Err(error) = listening.unwrap_or_else(|_| Err(std::io::Error::other(NO_DESCRIPTORS))) {
        site.report(Level::Warning, format!("signals end this program at once: {error}"), None);
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
