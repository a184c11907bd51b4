//! Words of the command line and what they mean.
//!
//! [`args`] is what was typed, [`settings`] what it means, [`exit`] what the process returns, and [`signals`] what
//! happens when someone wants it to stop. [`run`] puts them together.

pub mod args;
pub mod exit;

mod action;
mod catalog;
mod dispatch;
mod doctor;
mod explain;
pub mod inputs;
mod publish;
mod settings;
mod signals;
mod site;
mod table;

use std::ffi::OsString;
use std::io;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::Args;
use exit::Exit;

use crate::domain::shown::Shown;
use crate::platform::Env;
use crate::report::stderr::print_line;
use crate::store::Clock;

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

/// Runs a command line; `clock` tells the time, and is the only thing here that does.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: &Env, clock: Clock) -> Exit {
    match Args::try_parse_from(arguments) {
        Ok(args) => dispatch::dispatch(args, env, clock),
        Err(error) => {
            // clap prints help and versions, which were asked for, to standard output.
            if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                print_line(&shown(error).render().to_string());
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
