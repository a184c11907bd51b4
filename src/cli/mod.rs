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
mod completions;
mod direct;
mod dispatch;
mod doctor;
mod explain;
mod forge;
mod init;
pub mod inputs;
mod publish;
mod settings;
mod signals;
mod site;
mod start;
mod table;
pub mod task;
mod template;

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::Args;
use exit::Exit;

use crate::command::interrupt::Interrupt;
use crate::domain::hint::Hint;
use crate::domain::shown::Shown;
use crate::platform::Env;
use crate::report::failure::with_hint;
use crate::report::stderr::print_line;
use crate::store::Clock;
use crate::threads::contain::{contain, silence};

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
            contain(|| dispatch::dispatch(args, env, clock, &interrupt)).unwrap_or_else(|panicked| {
                print_line(&with_hint(&format!("error: {panicked}"), panicked.hint().as_deref()));
                dispatch::without_caches(command.as_ref(), env, clock(), &interrupt, is_json)
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
