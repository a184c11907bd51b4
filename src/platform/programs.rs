//! Finding programs on `PATH`, as other tools will, and asking them short questions.

use std::ffi::{OsStr, OsString};
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

/// What `PATHEXT` is where it is not set.
const EXTENSIONS: &str = ".COM;.EXE;.BAT;.CMD";

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

/// The path of the first program with this name on `PATH`.
pub(crate) fn find(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.path("PATH")?;
    let names = spellings(name, env.var("PATHEXT"), cfg!(windows));
    std::env::split_paths(&path).find_map(|directory| first_file(&directory, &names))
}

/// What to start for a word of a command line: on Windows the program of this name with one of the extensions of `PATHEXT`, as
/// shells do; elsewhere the system searches by itself.
pub(crate) fn to_start(env: &Env, word: &OsStr) -> OsString {
    if !cfg!(windows) {
        return word.to_owned();
    }
    let found = word.to_str().and_then(|name| match Path::new(name).parent() {
        Some(parent) if parent.as_os_str().is_empty() => find(env, name),
        // Beside a script without an extension, such as `./gradlew`, may lie one for Windows.
        parent => {
            let file = Path::new(name).file_name()?.to_str()?;
            first_file(parent?, &spellings(file, env.var("PATHEXT"), true))
        }
    });
    found.map_or_else(|| word.to_owned(), PathBuf::into_os_string)
}

#[expect(clippy::disallowed_methods, reason = "searches the directories on `PATH`")]
fn first_file(directory: &Path, names: &[String]) -> Option<PathBuf> {
    names.iter().map(|name| directory.join(name)).find(|candidate| candidate.is_file())
}

/// The names of files that a program of this name may have, in the order in which they count.
fn spellings(name: &str, extensions: Option<&str>, windows: bool) -> Vec<String> {
    if !windows {
        return vec![name.to_owned()];
    }
    let extensions: Vec<&str> =
        extensions.unwrap_or(EXTENSIONS).split(';').filter(|extension| extension.starts_with('.')).collect();
    let has = |extension: &&str| {
        name.len() > extension.len()
            && name.get(name.len() - extension.len()..).is_some_and(|end| end.eq_ignore_ascii_case(extension))
    };
    let is_whole = extensions.iter().any(has);
    let whole = is_whole.then(|| name.to_owned());
    whole.into_iter().chain(extensions.iter().map(|extension| format!("{name}{extension}"))).collect()
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
        let found = find(&env, "zstd").expect("a program").display().to_string();
        assert!(
            found.eq_ignore_ascii_case(&place.path().join("b").join(name).display().to_string()),
            "{found}"
        );
        assert_eq!(find(&env, "git"), None);
    }

    #[test]
    fn windows_has_extensions_for_programs() {
        let check = |name: &str, extensions: Option<&str>, expect: &[&str]| {
            assert_eq!(spellings(name, extensions, true), expect, "{name}");
        };
        check("npm", None, &["npm.COM", "npm.EXE", "npm.BAT", "npm.CMD"]);
        check("npm", Some(".exe;;.cmd;bad"), &["npm.exe", "npm.cmd"]);
        check("npm.cmd", Some(".EXE;.CMD"), &["npm.cmd", "npm.cmd.EXE", "npm.cmd.CMD"]);
        check("python3.12", Some(".EXE"), &["python3.12.EXE"]);
        check(".cmd", Some(".CMD"), &[".cmd.CMD"]);
        assert_eq!(spellings("npm", Some(".EXE"), false), ["npm"]);
    }

    #[cfg(windows)]
    #[test]
    fn a_script_for_cmd_is_found_as_shells_find_it() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("npm"), "#!/bin/sh").expect("written");
        std::fs::write(at("npm.cmd"), "@exit 7").expect("written");
        let env = Env::of([("Path", place.path().to_str().expect("text"))]);
        let lower = |path: OsString| path.to_str().expect("text").to_lowercase();
        let expect = lower(at("npm.cmd").into_os_string());
        assert_eq!(lower(to_start(&env, OsStr::new("npm"))), expect);
        assert_eq!(lower(to_start(&env, at("npm").as_os_str())), expect);
        assert_eq!(to_start(&env, OsStr::new("nowhere")), "nowhere");
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
