//! Steps with a script (`Bash@3`, `CmdLine@2`).

use std::path::Path;
use std::process::Command;

use super::cache::guid;
use super::runner::Runner;
use super::stage::{Failure, StageRun};
use super::step::Action;

pub(super) fn run(runner: &mut Runner<'_>, running: &mut StageRun<'_>) -> Result<(), Failure> {
    let Action::Script { keyword, script, directory } = &running.step.action else {
        unreachable!("only scripts are run here")
    };
    let script = runner.expand(script);
    let directory = directory.as_deref().map(|directory| runner.expand(directory));
    run_text(runner, running, &script, directory.as_deref(), keyword == &"script", Vec::new())
}

/// Runs a script from a file in the directory for temporary files, without the options `-e` and `-o pipefail`. Macros in it were
/// replaced before: it is an input of its task.
pub(super) fn run_text(
    runner: &mut Runner<'_>,
    running: &mut StageRun<'_>,
    script: &str,
    directory: Option<&str>,
    is_bare: bool,
    more_env: Vec<(String, String)>,
) -> Result<(), Failure> {
    let file = runner.places.temp.join(format!("{}.sh", guid()));
    if let Err(error) = std::fs::write(&file, script) {
        return Failure::failed(format!("cannot write `{}`: {error}", file.display()));
    }
    let mut program = Command::new("bash");
    if is_bare {
        program.args(["--noprofile", "--norc"]);
    }
    // Scripts do not see `SECRET_*`, `INPUT_*` and `ENDPOINT_AUTH_*`: the task's library takes them out of the environment
    // (azure-pipelines-task-lib, `_loadData`).
    program.arg(&file).env_clear().envs(runner.full_env(running)).envs(more_env);
    let directory = directory.filter(|directory| !directory.is_empty());
    let directory = runner.places.sources.join(directory.unwrap_or_default());
    if !Path::new(&directory).is_dir() {
        return Failure::failed(format!("Not found workingDirectory: {}", directory.display()));
    }
    program.current_dir(directory);
    match runner.run_program(running, &mut program)? {
        0 => Ok(()),
        code => Failure::failed(format!("Bash exited with code '{code}'.")),
    }
}
