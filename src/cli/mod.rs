//! Words of the command line and what they mean.
//!
//! [`args`] is what was typed, [`settings`] what it means, [`exit`] what the process returns, and [`signals`] what
//! happens when someone wants it to stop. [`run`] puts them together.

pub mod args;
pub mod exit;

mod action;
mod backend;
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
use clap::error::ErrorKind;

use args::Args;
use exit::Exit;

use crate::platform::Env;
use crate::store::Clock;

/// Runs a command line; `clock` tells the time, and is the only thing here that does.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: &Env, clock: Clock) -> Exit {
    match Args::try_parse_from(arguments) {
        Ok(args) => dispatch::dispatch(args, env, clock),
        Err(error) => {
            // clap prints help and versions, which were asked for, to standard output.
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            match error.print() {
                _ if !asked => exit::USAGE,
                // As for every result: a reader that closed the pipe early has read enough.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => exit::FAILED,
                _ => exit::OK,
            }
        }
    }
}
