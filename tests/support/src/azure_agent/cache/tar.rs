//! The format `SingleTar`: an uncompressed archive, made and unpacked by the program `tar` (`TarUtils`).

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Plugin, guid};
use crate::azure_agent::runner::Runner;
use crate::azure_agent::stage::{Failure, StageRun};

/// The program, from the environment of the task's own program (`VSTS_TAR_EXECUTABLE`).
fn program(plugin: &Plugin) -> Command {
    let named = plugin.env.get("VSTS_TAR_EXECUTABLE").filter(|name| !name.trim().is_empty());
    let mut program = Command::new(named.map_or("tar", String::as_str));
    program.env_clear().envs(&plugin.env);
    program
}

/// Archives a directory into the directory for temporary files. An archive that could not be finished is deleted.
pub(super) fn create(
    runner: &mut Runner<'_>,
    running: &mut StageRun<'_>,
    plugin: &Plugin,
    path: &Path,
) -> Result<PathBuf, Failure> {
    if path.is_file() {
        return Failure::failed(format!(
            "Please specify path to a directory, File path is not allowed. {0} is a file.",
            path.display()
        ));
    }
    let name = format!("{}_archive.tar", guid());
    let archive = plugin.temp.join(&name);
    let mut program = program(plugin);
    // `tar` is started in the directory for temporary files and gets the archive's name alone.
    program.args(["-cf", &name, "-C"]).arg(path).arg(".").current_dir(&plugin.temp);
    match runner.run_program(running, &mut program) {
        Ok(0) => {
            runner.log.write("Process exit code: 0");
            Ok(archive)
        }
        failed => {
            let _ = std::fs::remove_file(&archive);
            let code = failed?;
            Failure::failed(format!("Process returned non-zero exit code: {code}"))
        }
    }
}

/// Streams an archive into `tar`, in the target, which is made. If the stream breaks, `tar` is killed and what it has unpacked
/// stays. A small file with the archive's description lies in the directory for temporary files meanwhile
/// (`PipelineCacheServer.DownloadPipelineCacheAsync`).
pub(super) fn extract(
    runner: &mut Runner<'_>,
    running: &mut StageRun<'_>,
    plugin: &Plugin,
    archive: &Path,
    target: &Path,
    limit: Option<u64>,
) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::Failed(format!("{}: {error}", target.display()));
    let manifest = plugin.temp.join(format!("DedupManifestArtifactClient.{}.manifest", guid()));
    std::fs::write(&manifest, "{}")
        .map_err(|error| Failure::Failed(format!("{}: {error}", manifest.display())))?;
    std::fs::create_dir_all(target).map_err(fail)?;
    let mut program = program(plugin);
    program.args(["-xf", "-", "-C", "."]).current_dir(target);
    let input = std::fs::File::open(archive).map_err(fail)?;
    let length = input.metadata().map_err(fail)?.len();
    let code = runner.run_with_input(running, &mut program, input.take(limit.unwrap_or(u64::MAX)))?;
    // The rest of what is in the pipe is still unpacked here, so that the half is the same each time.
    if limit.is_some_and(|limit| limit < length) {
        return Failure::failed("The download failed after 3 tries: the connection was closed.");
    }
    let _ = std::fs::remove_file(&manifest);
    match code {
        0 => Ok(()),
        code => Failure::failed(format!("Process returned non-zero exit code: {code}")),
    }
}
