//! Cachekeep beside the client of GitHub's own actions (npm `@actions/cache`) and the pipe `tar | zstd -T0 -3 | put`, at the same
//! service, in one run:
//!
//! ```sh
//! cargo bench --bench peer                          # all trees, five times each: some minutes
//! cargo bench --bench peer -- --quick               # small ones, once, to try it
//! cargo bench --bench peer -- --shape objects --repeat 3
//! cargo bench --bench peer -- --azurite             # blobs in Azurite instead of memory
//! cargo bench --bench peer -- --generations DIR     # the directories in it, as generations of one cache
//! ```
//!
//! The service is the fake of the tests. Needs Linux, node, npm, tar and zstd; as
//! root, caches and temp directories lie on volumes in memory, whose use is measured exactly. `docs/benchmark.md` has the details.

#![cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux has /proc, which measures processes")
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark makes trees and starts programs")]

#[cfg(target_os = "linux")]
mod generations;
mod options;
#[cfg(target_os = "linux")]
mod pipe;
#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod rounds;
mod shape;
#[cfg(target_os = "linux")]
mod side;
mod table;
#[cfg(target_os = "linux")]
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let [verb, url] = &std::env::args().skip(1).collect::<Vec<_>>()[..]
        && let Some(done) = side::end_of_pipe(verb, url)
    {
        return done;
    }
    match Options::of(std::env::args().skip(1)).and_then(|options| options.map_or(Ok(()), |it| run(&it))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tell(&format!("error: {problem}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run(options: &Options) -> Result<(), String> {
    if let Some(directory) = &options.generations {
        let table = generations::run(directory)?;
        return writeln!(std::io::stdout(), "{table}").map_err(|error| error.to_string());
    }
    let mut rows = Vec::new();
    for shape in &options.shapes {
        rows.extend(rounds::run(*shape, options)?);
    }
    let table = table::render(&rows, options);
    writeln!(std::io::stdout(), "{table}").map_err(|error| error.to_string())
}

#[cfg(not(target_os = "linux"))]
fn run(_: &Options) -> Result<(), String> {
    Err("processes are measured through /proc, which only Linux has".to_owned())
}

/// Tells how it goes; standard output is for the table.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
