//! A project in a temporary directory and the binary that works on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use tempfile::TempDir;

use crate::capture::Source;

/// A checkout, a store, a temp directory and a home, all thrown away at the end.
pub struct Project {
    directory: TempDir,
}

/// What a command printed and returned.
pub struct Ran {
    /// The exit code; a signal's number plus 128.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Project {
    /// An empty project with this configuration.
    pub fn new(config: &str) -> Self {
        Project::new_in(&std::env::temp_dir(), config)
    }

    /// The same in a directory.
    pub fn new_in(place: &Path, config: &str) -> Self {
        let project = Project { directory: tempfile::tempdir_in(place).expect("a temp dir") };
        for name in ["workspace", "temp", "home"] {
            fs::create_dir(project.path(name)).expect("a fresh directory");
        }
        project.write("workspace/cachekeep.toml", config);
        project
    }

    /// A path in the project.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Writes a file, and the directories above it.
    pub fn write(&self, relative: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, contents).expect("a file");
        path
    }

    /// Reads a text file.
    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).expect(relative)
    }

    /// The binary, in the workspace, in an environment that holds nothing of this machine but the path.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        scrub(&mut command, self.directory.path());
        command.current_dir(self.path("workspace"));
        command
    }

    /// Runs the binary with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command().args(arguments))
    }

    /// Temporary directories and files in the project, by their names.
    pub fn temporary_things(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find_temporary(self.directory.path(), &mut found);
        found
    }
}

/// The binary that Cargo built for these tests: it names the path to the programs that it starts, and a test program
/// that something else starts lies in `deps` beside the binary.
pub fn binary() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_cachekeep").map_or_else(
        || {
            let this = std::env::current_exe().expect("a program");
            let target = this.ancestors().nth(2).expect("it lies in `deps`");
            target.join("cachekeep").with_extension(std::env::consts::EXE_EXTENSION)
        },
        PathBuf::from,
    )
}

/// The URL of a file or directory of this machine: `file:///srv/x`, `file:///C:/x`.
pub fn file_url(path: &Path) -> String {
    let path = path.display().to_string().replace(std::path::MAIN_SEPARATOR, "/");
    format!("file://{}{path}", if path.starts_with('/') { "" } else { "/" })
}

/// Gives a command an environment of its own: no platform, no secrets, no locale.
pub fn scrub(command: &mut Command, directory: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", directory.join("home"))
        .env("XDG_CACHE_HOME", directory.join("home/.cache"))
        .env("LOCALAPPDATA", directory.join("home/.cache"))
        .env("TMPDIR", directory.join("temp"))
        .env("TEMP", directory.join("temp"))
        .env("TMP", directory.join("temp"));
    // Windows programs do not start without the first, and are found and run by the others.
    for name in ["SystemRoot", "PATHEXT", "ComSpec", "WINEPREFIX"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

fn find_temporary(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".cachekeep-") && name.strip_suffix(".tmp").is_some() {
            found.push(entry.path());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_temporary(&entry.path(), found);
        }
    }
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let source = Source::of("binary", command);
        Ran::read(&source, command.output().expect("the binary starts"))
    }

    /// What a command printed that was started before.
    pub fn read(source: &Source, output: Output) -> Self {
        source.printed(&output);
        Ran::from(output)
    }

    /// Panics with its output unless it succeeded.
    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    /// Panics with its output unless it returned this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> i32 {
    let signal = || std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    status.code().unwrap_or_else(|| 128 + signal())
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(128)
}
