//! Arguments, environment and the time go in; an exit code comes out.

#![expect(clippy::disallowed_methods, reason = "the clock is read here and passed down")]

use std::process::ExitCode;

fn main() -> ExitCode {
    cachekeep::cli::report_panics();
    match cachekeep::parts::Env::capture() {
        Ok(env) => cachekeep::cli::run(std::env::args_os(), &env, chrono::Utc::now).into(),
        // The working directory was removed below us: there is nothing to say about any cache.
        Err(_) => cachekeep::cli::exit::FAILED.into(),
    }
}
