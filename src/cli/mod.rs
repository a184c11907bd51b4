//! Words of the command line and what they mean.
//!
//! [`args`] is what was typed, [`settings`] what it means, [`exit`] what the process returns, and [`signals`] what
//! happens when someone wants it to stop. [`run`] puts them together.

pub mod args;
pub mod exit;

mod action;
mod catalog;
mod check;
mod choice;
mod clean;
mod commands;
mod completions;
mod doctor;
mod explain;
mod forge;
mod init;
pub mod inputs;
mod publish;
mod settings;
mod signals;
mod site;
pub mod task;
mod template;

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::{ActionStep, Args, Command};
use exit::Exit;
use publish::print_text;
use settings::{FoundSettings, SettingsError};
use site::{Asked, Site};
use task::TaskPlan;
use template::Template;

use crate::command::interrupt::Interrupt;
use crate::domain::event::{Event, Level, Observer as _};
use crate::domain::fault::Fault;
use crate::domain::finding::Severity;
use crate::domain::hint::Hint;
use crate::domain::shown::Shown;
use crate::github::credentials;
use crate::platform::{Env, Platform};
use crate::report::failure::with_hint;
use crate::report::stderr::print_line;
use crate::report::{Log, failure};
use crate::store::Clock;
use crate::threads::contain::{contain, silence};

/// Has panics reported by [`run`] alone, in its words. For programs that do nothing else.
pub fn report_panics() {
    silence();
}

/// Runs a command line; `clock` tells the time, and is the only thing here that does. A panic is an error, and does not
/// keep the command of `run` from running.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: &Env, clock: Clock) -> Exit {
    signals::keep_from_file_size_limit();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match Args::try_parse_from(&arguments) {
        Ok(args) => {
            let interrupt = Arc::new(Interrupt::default());
            let (command, is_json) = (args.command.child(), args.common.json);
            contain(|| dispatch(args, env, clock, &interrupt)).unwrap_or_else(|panicked| {
                print_line(&with_hint(&format!("error: {panicked}"), panicked.hint().as_deref()));
                commands::without_caches(command.as_ref(), env, clock(), &interrupt, is_json)
            })
        }
        Err(error) => {
            // clap prints help and versions, which were asked for, to standard output.
            if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                let hint = (error.kind() == ErrorKind::MissingRequiredArgument)
                    .then(|| hint_of_run(&arguments))
                    .flatten();
                let mut text = shown(error).render().to_string();
                if let Some(hint) = hint {
                    text = format!("{}\n\n  hint: {hint}", text.trim_end());
                }
                print_line(&text);
                return exit::USAGE;
            }
            match error.print() {
                // As for every result: a reader that closed the pipe early has read enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
                printed => publish::exit_of_print(printed),
            }
        }
    }
}

/// Does what the arguments say.
fn dispatch(args: Args, env: &Env, clock: Clock, interrupt: &Arc<Interrupt>) -> Exit {
    if let Some(text) = commands::text(&args.command) {
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
    if moves && env.flag("TF_BUILD") { Template::read(env).map(Some) } else { Ok(None) }
}

/// Does what arguments say that stand for themselves.
fn work(mut args: Args, env: &Env, clock: Clock, interrupt: &Arc<Interrupt>, asked: Asked) -> Exit {
    let (typed_key, typed_names) = (args.take_key(), args.take_names());
    let on_caches = commands::works_on_caches(&args.command);
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
                .unwrap_or_else(|fault| commands::refuse(&log, &fault))
        }
        Command::Init { .. } => init::run(&args.command, args.common.json, env, clock, &log, found.as_ref())
            .unwrap_or_else(|fault| commands::refuse(&log, &fault)),
        _ => match found {
            Ok(site) => commands::run(&args, on_caches, &site, interrupt),
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

/// The error with the arguments that it quotes on one line each.
fn shown(mut error: clap::Error) -> clap::Error {
    let quoted: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| {
            let value = match value {
                ContextValue::String(text) => ContextValue::String(Shown::value(text).into_string()),
                ContextValue::Strings(texts) => {
                    ContextValue::Strings(texts.iter().map(|text| Shown::value(text).into_string()).collect())
                }
                _ => return None,
            };
            Some((kind, value))
        })
        .collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    error
}

/// What to write instead where the words of a command were taken for names of caches.
fn hint_of_run(arguments: &[OsString]) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == "run")?;
    let words: Vec<String> =
        arguments[at + 1..].iter().map(|word| Shown::value(&word.to_string_lossy()).into_string()).collect();
    let is_command = !words.is_empty() && !words.iter().any(|word| word.starts_with('-'));
    let command = if is_command { words.join(" ") } else { "COMMAND".to_owned() };
    Some(format!("put `--` before the command: `cachekeep run -- {command}`"))
}
