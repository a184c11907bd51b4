//! The programs that save and restore: cachekeep, cachekeep that reads all back, the peer, and the pipe.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use cachekeep::domain::sentinel::SENTINEL_FILE;

use crate::place::Place;
use crate::shape::Shape;
use crate::{pipe, tell};
use cachekeep_test_support::actions_cache::Peer;
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::tree::Snapshot;

const SCOPE: &str = "refs/heads/main";

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Cachekeep as it is.
    Cachekeep,
    /// Cachekeep that reads back all that it saved.
    ReadBack,
    /// npm `@actions/cache`.
    Peer,
    /// `tar | zstd -T0 -3 | put`, and `get | zstd -d | tar`.
    Pipe,
}

impl Side {
    /// All of them.
    pub(crate) const ALL: [Side; 4] = [Side::Cachekeep, Side::ReadBack, Side::Peer, Side::Pipe];
}

/// A job of both sides at one service.
pub(crate) struct Job<'a> {
    place: &'a Place,
    service: &'a GitHubService,
    peer: Peer,
    url: String,
    token: String,
}

impl<'a> Job<'a> {
    /// A job in a place; an error says what is missing for the peer.
    pub(crate) fn new(place: &'a Place, service: &'a GitHubService, shape: Shape) -> Result<Self, String> {
        let (url, token) = (service.url(), GitHubService::token(&[(SCOPE, 3)]));
        let peer = Peer::at(&place.root, &url, &token)?;
        fs::write(place.workspace().join("cachekeep.toml"), config(shape)).map_err(|e| e.to_string())?;
        Ok(Job { place, service, peer, url, token })
    }

    /// The command that saves the tree or restores it.
    pub(crate) fn command(&self, side: Side, verb: &str, key: &str) -> Command {
        match side {
            Side::Peer => self.peer.command(verb, &[key], &["tree"]),
            Side::Cachekeep => self.cachekeep(verb, key),
            Side::ReadBack => {
                let mut command = self.cachekeep(verb, key);
                command.env("CACHEKEEP_VERIFY_SAVE", "full");
                command
            }
            Side::Pipe => self.pipe(verb, key),
        }
    }

    fn pipe(&self, verb: &str, key: &str) -> Command {
        let (write, read) = self.service.blob_urls(key);
        let (script, url) = match verb {
            "save" => ("set -o pipefail; tar -cf - tree | zstd -q -T0 -3 | \"$0\" put \"$1\"", write),
            _ => ("set -o pipefail; \"$0\" get \"$1\" | zstd -q -d | tar -xf -", read),
        };
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .arg(std::env::current_exe().expect("this program has a path"))
            .arg(url)
            .current_dir(self.place.workspace());
        command
    }

    /// Bytes of what was saved under a key; `None` if there is nothing.
    pub(crate) fn saved(&self, side: Side, key: &str) -> Option<u64> {
        if side == Side::Pipe {
            return self.service.blob_size(key);
        }
        let found = self.service.entries().into_iter().find(|(kept, _)| kept.key == key);
        found.map(|(_, facts)| facts.size)
    }

    /// Bytes of all entries that the service has.
    pub(crate) fn stored(&self) -> u64 {
        self.service.entries().iter().map(|(_, facts)| facts.size).sum()
    }

    /// Deletes what was saved under a key.
    pub(crate) fn delete(&self, side: Side, key: &str) {
        if side == Side::Pipe {
            self.service.remove_blob(key);
        } else if let Some((_, facts)) = self.service.entries().into_iter().find(|(kept, _)| kept.key == key)
        {
            self.service.delete(&facts.etag);
        }
    }

    fn cachekeep(&self, verb: &str, key: &str) -> Command {
        let path = |name: &str| self.place.root.join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cachekeep"));
        command
            .args([verb, "--required", "--store", "github", "--var"])
            .arg(format!("key={key}"))
            .current_dir(self.place.workspace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", path("home"))
            .env("TMPDIR", path("temp"))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", self.place.workspace())
            .env("GITHUB_REF", SCOPE)
            // The job has no event.
            .env("CACHEKEEP_ROLE", "writer")
            .env("RUNNER_TEMP", path("temp"))
            .env("ACTIONS_RESULTS_URL", &self.url)
            .env("ACTIONS_RUNTIME_TOKEN", &self.token);
        command
    }
}

fn config(shape: Shape) -> String {
    let links = match shape {
        Shape::Verified => "[cache.tree.links]\nfiles = [\"data/*.sha256\"]\nobject = \"{ALGO}/{hash}\"\n",
        _ => "",
    };
    format!("[cache.tree]\npath = \"{{workspace}}/tree\"\nkey = \"{{var.key}}\"\n{links}")
}

/// Does the work of an end of the pipe, where that was asked for.
pub(crate) fn end_of_pipe(verb: &str, url: &str) -> Option<ExitCode> {
    let done = match verb {
        "put" => pipe::put(url),
        "get" => pipe::get(url),
        _ => return None,
    };
    Some(done.map_or_else(
        |problem| {
            tell(&format!("error: {verb}: {problem}"));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

/// Whether Node is installed; an error says what needs it.
pub(crate) fn node_is_here() -> Result<(), String> {
    for program in ["node", "npm"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        found.map_err(|error| {
            format!("{program} cannot be started: {error}; the peer and Azurite are Node programs: install Node.js")
        })?;
    }
    Ok(())
}

/// Whether the peer's output shows a failure: its exit code does not.
pub(crate) fn peer_failed(said: &str) -> bool {
    matches!(said.trim_end().lines().last(), None | Some("null" | "-1"))
}

/// The name of an entry, other ones for each round and side.
pub(crate) fn key(shape: Shape, round: usize, side: Side) -> String {
    format!("{}-{round}-{side:?}", shape.name()).to_lowercase()
}

/// The contents of a tree without cachekeep's sentinel.
pub(crate) fn contents(tree: &Path) -> Snapshot {
    let mut contents = cachekeep_test_support::tree::contents(tree);
    contents.remove(SENTINEL_FILE);
    contents
}
