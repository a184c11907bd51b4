//! Arguments, environment and the time go in; an exit code comes out.

#![expect(clippy::disallowed_methods, reason = "the clock is read here and passed down")]

use std::process::ExitCode;

fn main() -> ExitCode {
    cachekeep::cli::report_panics();
    let env = cachekeep::parts::Env::capture();
    let exit = cachekeep::cli::run(std::env::args_os(), &env, now);
    if cfg!(windows) {
        // The code of a command may have 32 bits there, of which `ExitCode` takes eight.
        std::process::exit(exit.0);
    }
    exit.into()
}

/// The time by the clock of the system, which may be wrong in any way.
fn now() -> chrono::DateTime<chrono::Utc> {
    cachekeep::parts::instant(std::time::SystemTime::now())
}
