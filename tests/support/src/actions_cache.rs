//! The cache client of GitHub's own actions (npm `@actions/cache`) in a job of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::github_service::capture::Source;
use crate::npm::installed;

/// A job with a workspace, whose caches are saved and restored by the peer.
pub struct Peer {
    script: PathBuf,
    /// The job's workspace, temp directory and home.
    directory: PathBuf,
    url: String,
    token: String,
    /// Removes them, where they are the peer's own.
    _owned: Option<tempfile::TempDir>,
}

/// The answer of the peer, and its log.
pub struct Said {
    pub answer: Value,
    pub log: String,
}

impl Peer {
    /// A job at a service, in a directory of its own; an error says what is missing.
    pub fn new(url: &str, token: &str) -> Result<Self, String> {
        let owned = tempfile::tempdir().map_err(|error| error.to_string())?;
        let peer = Peer::at(owned.path(), url, token)?;
        Ok(Peer { _owned: Some(owned), ..peer })
    }

    /// The same in a directory that is there.
    pub fn at(directory: &Path, url: &str, token: &str) -> Result<Self, String> {
        for program in ["tar", "zstd"] {
            let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            found.map_err(|error| format!("{program} cannot be started: {error}"))?;
        }
        let script = installed("actions-cache")?.join("cache.mjs");
        for name in ["workspace", "temp"] {
            std::fs::create_dir_all(directory.join(name)).map_err(|error| error.to_string())?;
        }
        let (url, token) = (url.to_owned(), token.to_owned());
        Ok(Peer { script, directory: directory.to_owned(), url, token, _owned: None })
    }

    /// `GITHUB_WORKSPACE`.
    pub fn workspace(&self) -> PathBuf {
        self.directory.join("workspace")
    }

    /// Saves paths of the workspace; the answer is a number that is not negative.
    pub fn save(&self, key: &str, paths: &[&str]) -> Said {
        self.run("save", &[key], paths, "")
    }

    /// Restores; the answer is the matched key or null.
    pub fn restore(&self, keys: &[&str], paths: &[&str]) -> Said {
        self.run("restore", keys, paths, "")
    }

    /// Looks up; the answer is the matched key or null.
    pub fn look_up(&self, keys: &[&str], paths: &[&str]) -> Said {
        self.run("lookup", keys, paths, "")
    }

    /// The versions of lists of paths on Linux, macOS and Windows.
    pub fn versions(&self, path_sets: &[Vec<String>]) -> Vec<Vec<String>> {
        let input = serde_json::to_string(path_sets).expect("text");
        let said = self.run("versions", &[], &[], &input);
        serde_json::from_value(said.answer).expect("lists of versions")
    }

    /// The peer's process: `save`, `restore` or another command of its script.
    pub fn command(&self, command: &str, keys: &[&str], paths: &[&str]) -> Command {
        let temp = self.directory.join("temp");
        let mut process = Command::new("node");
        process
            .arg(&self.script)
            .args([command, &keys.join("\n")])
            .args(paths)
            .current_dir(self.workspace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.directory)
            .env("TMPDIR", &temp)
            .env("GITHUB_WORKSPACE", self.workspace())
            .env("RUNNER_TEMP", &temp)
            .env("ACTIONS_CACHE_SERVICE_V2", "true")
            .env("ACTIONS_RESULTS_URL", &self.url)
            .env("ACTIONS_RUNTIME_TOKEN", &self.token);
        process
    }

    fn run(&self, command: &str, keys: &[&str], paths: &[&str], input: &str) -> Said {
        let mut node = self.command(command, keys, paths);
        node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let source = Source::of("peer", &node);
        let mut process = node.spawn().expect("node starts");
        let mut stdin = process.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("node reads");
        drop(stdin);
        let output = process.wait_with_output().expect("node ends");
        source.part("log", shown(&String::from_utf8_lossy(&output.stdout)).as_bytes());
        source.part("stderr", &output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "the peer failed: {log}");
        let last = stdout.trim_end().lines().last().unwrap_or_default();
        Said { answer: serde_json::from_str(last).unwrap_or_else(|_| panic!("no answer in {log}")), log }
    }
}

/// The part of a log that people see: the runner takes the secrets that it is given and hides them in all that follows, as
/// they are and percent-encoded. The peer counts on that; ours does not.
fn shown(log: &str) -> String {
    let mut masks: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for line in log.lines() {
        let data = line.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
        match data.strip_prefix("::add-mask::") {
            Some(secret) => {
                let encoded = secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                masks.extend([secret.to_owned(), encoded]);
            }
            None => lines.push(masks.iter().fold(data, |data, mask| data.replace(mask, "***"))),
        }
    }
    lines.join("\n")
}
