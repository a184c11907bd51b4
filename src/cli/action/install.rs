//! `mode: install`: the program on the PATH of later steps, and what they do not have to repeat.

use std::path::Path;

use crate::cli::args::{Common, RoleArg};
use crate::cli::exit::{self, Exit};
use crate::domain::event::{Event, Level, Observer as _};
use crate::platform::{Env, Platform};
use crate::report::Log;

/// Puts this program's directory on the PATH of the job, and the options into the variables that every command reads.
pub(in crate::cli) fn run(common: &Common, env: &Env, platform: &dyn Platform, log: &Log) -> Exit {
    let say = |level, text| log.observe(Event::Message { level, cache: None, text, hint: None });
    let program = env.path("CACHEKEEP");
    let Some(directory) = program.as_deref().and_then(Path::parent) else {
        say(Level::Error, "`CACHEKEEP` does not name the program to install".to_owned());
        return exit::USAGE;
    };
    let remembered = remembered(common, env);
    let done = std::iter::once(platform.add_to_path(directory))
        .chain(remembered.iter().map(|(name, value)| platform.export(name, value)));
    for result in done {
        match result {
            Ok(line) => line.into_iter().for_each(|line| log.observe(Event::Command(line))),
            Err(error) => {
                say(Level::Error, format!("cannot prepare later steps: {error}"));
                return exit::FAILED;
            }
        }
    }
    let names: Vec<String> = remembered.iter().map(|(name, _)| format!("`{name}`")).collect();
    let also = if names.is_empty() { String::new() } else { format!("; remembered: {}", names.join(", ")) };
    say(Level::Info, format!("`cachekeep` is on the PATH of later steps{also}"));
    exit::OK
}

/// The variables for the options that were given.
fn remembered(common: &Common, env: &Env) -> Vec<(&'static str, String)> {
    let role = common.role.map(|role| match role {
        RoleArg::Writer => "writer",
        RoleArg::Consumer => "consumer",
    });
    // Later steps may work in another directory.
    let config = common.config.as_ref().map(|path| env.current_dir.join(path).display().to_string());
    let allowed = (!common.allow_export.is_empty()).then(|| common.allow_export.join(" "));
    let vars = (!common.vars.is_empty()).then(|| common.vars.join("\n"));
    [
        ("CACHEKEEP_ALLOW_EXPORT", allowed),
        ("CACHEKEEP_CONFIG", config),
        ("CACHEKEEP_ROLE", role.map(str::to_owned)),
        ("CACHEKEEP_STORE", common.store.clone()),
        ("CACHEKEEP_TIMEOUT", common.timeout.map(|span| span.to_string())),
        ("CACHEKEEP_VARS", vars),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
