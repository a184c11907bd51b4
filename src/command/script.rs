//! The command of `run`: words as they were typed, or a script and the shell that is to run it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::domain::fault::Fault;
use crate::domain::shell::{SHELLS, Shell};
use crate::domain::shown::Shown;
use crate::fs::lease::LeasedDirectory;
use crate::fs::open::Links;
use crate::fs::path_error::PathError;
use crate::fs::{read, write};
use crate::platform::JobFacts;

/// Upper bound for scripts, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// What `run` is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandLine {
    /// A program and its arguments; at least one word.
    Words(Vec<OsString>),
    /// A script, with the flags and the file name that GitHub's runner gives a shell of this name.
    Script {
        /// The name of the shell, as it was typed.
        shell: String,
        /// The script.
        path: PathBuf,
    },
}

/// A command that can be started.
#[derive(Debug)]
pub(crate) struct PreparedCommand {
    /// The program and its arguments; at least one word.
    pub words: Vec<OsString>,
    /// What follows on the command line of Windows, quoted as the program wants it.
    pub tail: Option<OsString>,
    /// Holds the copy of a script, and removes it at the end.
    _copy: Option<LeasedDirectory>,
}

impl CommandLine {
    /// Makes a command that can be started. The copy of a script lies below `place` until the value is dropped.
    ///
    /// # Errors
    /// The shell is not known, or the script cannot be copied.
    pub(crate) fn prepare(&self, place: &Path, now: DateTime<Utc>) -> Result<PreparedCommand, Fault> {
        let (shell, path) = match self {
            CommandLine::Words(words) => {
                return Ok(PreparedCommand { words: words.clone(), tail: None, _copy: None });
            }
            CommandLine::Script { shell, path } => (known(shell)?, path),
        };
        let written = read::read_bounded(path, Links::Followed, MAX_BYTES)
            .map_err(PathError::on("read the script", path))?;
        write::make_directory(place)?;
        let purpose = format!("a script for {}", shell.program());
        let copy = LeasedDirectory::create_in(place, &purpose, now)?;
        let file = copy.payload().join(shell.script_name());
        write::write_file(&file, &mut shell.script(&written).as_slice(), &CancellationToken::new())?;
        let file = file.to_str().ok_or_else(|| {
            Fault::environment(format!("`{}` is not UTF-8, as the path of a script must be", file.display()))
        })?;
        let arguments = shell.arguments(file).into_iter().map(OsString::from);
        Ok(PreparedCommand {
            words: std::iter::once(shell.program().into()).chain(arguments).collect(),
            tail: shell.tail(file).map(OsString::from),
            _copy: Some(copy),
        })
    }
}

/// Where copies of scripts lie while they run, and are looked for after a kill.
pub(super) fn place(facts: &JobFacts) -> PathBuf {
    facts.state_dir.join("scripts")
}

fn known(name: &str) -> Result<Shell, Fault> {
    Shell::named(name).ok_or_else(|| {
        let known = SHELLS.map(Shell::program).join(", ");
        let message = format!("the flags of `{}` are not known; `--shell` knows {known}", Shown::value(name));
        Fault::usage(message).with_hint("write the command and its flags after `--`".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test looks at the copy")]
    fn a_script_is_copied_to_a_file_with_the_ending_and_removed_again() {
        let place = tempfile::tempdir().expect("a place");
        let script = place.path().join("no-ending");
        std::fs::write(&script, "echo hi\n").expect("written");
        let scripts = place.path().join("scripts");
        for (name, file) in
            [("pwsh", "script.ps1"), ("cmd", "script.cmd"), ("python", "script.py"), ("sh", "script.sh")]
        {
            let line = CommandLine::Script { shell: name.to_owned(), path: script.clone() };
            let prepared = line.prepare(&scripts, now()).expect("prepared");
            let last = prepared.tail.as_ref().or(prepared.words.last()).expect("a word");
            let last = last.to_str().expect("text");
            assert!(last.contains(file), "{last}");
            let start = last.find(scripts.to_str().expect("text")).expect("below the place");
            let path = Path::new(last[start..].trim_end_matches(['"', '\'']));
            assert!(std::fs::read_to_string(path).expect("a copy").contains("echo hi\n"));
            drop(prepared);
            assert_eq!(std::fs::read_dir(&scripts).expect("a place").count(), 0);
        }
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let place = tempfile::tempdir().expect("a place");
        let line =
            |shell: &str| CommandLine::Script { shell: shell.to_owned(), path: place.path().join("x") };
        let unknown = line("zsh").prepare(place.path(), now()).expect_err("refused");
        assert!(
            unknown.is_usage() && unknown.to_string().contains("bash, sh, pwsh, powershell, cmd, python")
        );
        let missing = line("sh").prepare(place.path(), now()).expect_err("refused");
        assert!(missing.to_string().starts_with("cannot read the script `"), "{missing}");
    }
}
