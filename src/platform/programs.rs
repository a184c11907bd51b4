//! Finding programs on `PATH`, as other tools will, and asking them short questions.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Env;
use crate::fs::cancel;

/// How often a program is looked after: at first, and once it takes long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// Upper bound for what is read of a program's output, in bytes. A pipe holds no more, and a program that writes more than
/// fits waits for its reader.
const MAX_OUTPUT: u64 = 64 << 10;

/// A program to ask.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// Its path.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// Variables beyond those of this process.
    pub variables: &'a [(&'a str, String)],
    /// Where it runs.
    pub directory: &'a Path,
}

/// What a program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed on standard output.
    pub output: String,
    /// What it printed on standard error.
    pub errors: String,
}

impl Question<'_> {
    #[expect(clippy::disallowed_methods, reason = "asks programs that the configuration or a kind names")]
    /// Runs the program to its end, or to the end of the time that it has.
    pub(crate) fn ask(&self, cancel: &CancellationToken) -> io::Result<Answer> {
        let mut command = Command::new(self.program);
        command.args(self.arguments).current_dir(self.directory);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // Messages are read in English.
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let status = match wait(&mut child, cancel) {
            Ok(status) => status,
            Err(error) => {
                // It may have ended by now.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Answer { status, output: text(child.stdout.take())?, errors: text(child.stderr.take())? })
    }
}

fn wait(child: &mut Child, cancel: &CancellationToken) -> io::Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        cancel::check(cancel)?;
        let is_long = started.elapsed() > PAUSES.1;
        std::thread::sleep(if is_long { PAUSES.1 } else { PAUSES.0 });
    }
}

fn text(pipe: Option<impl io::Read>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "searches the directories on `PATH`")]
/// The path of the first program with this name on `PATH`.
pub(crate) fn find(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.path("PATH").or_else(|| env.path("Path"))?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|directory| directory.join(&name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test creates a directory of programs")]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_with_the_program_counts() {
        let place = tempfile::tempdir().expect("a place");
        let name = format!("zstd{}", std::env::consts::EXE_SUFFIX);
        std::fs::create_dir(place.path().join("b")).expect("made");
        std::fs::write(place.path().join("b").join(&name), "").expect("written");
        let path = std::env::join_paths([place.path().join("a"), place.path().join("b")]).expect("a path");
        let env = Env::of([("PATH", path.to_str().expect("text"))]);
        assert_eq!(find(&env, "zstd"), Some(place.path().join("b").join(name)));
        assert_eq!(find(&env, "git"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_program_answers_or_is_ended() {
        let (shell, root) = (Path::new("/bin/sh"), Path::new("/"));
        let script = ["-c", "echo out $NAME; pwd >&2; exit 3"];
        let variables = [("NAME", "x".to_owned())];
        let question =
            Question { program: shell, arguments: &script, variables: &variables, directory: root };
        let answer = question.ask(&CancellationToken::new()).expect("it runs");
        assert_eq!(
            (answer.output.as_str(), answer.errors.as_str(), answer.status.code()),
            ("out x\n", "/\n", Some(3))
        );
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let endless = Question { arguments: &["-c", "sleep 600"], ..question };
        let error = endless.ask(&cancelled).expect_err("it is ended");
        assert!(cancel::Cancelled::is(&error));
    }
}
