//! The programs that save and restore: cachekeep, cachekeep without reading back, and the peer.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use cachekeep::domain::sentinel::SENTINEL_FILE;

use crate::place::Place;
use crate::shape::Shape;
use cachekeep_test_support::actions_cache::Peer;
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::tree::Snapshot;

const SCOPE: &str = "refs/heads/main";

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Cachekeep as it is.
    Cachekeep,
    /// Cachekeep in a job that may only write, and so reads back nothing of what it saved.
    Unread,
    /// npm `@actions/cache`.
    Peer,
}

impl Side {
    /// All of them.
    pub(crate) const ALL: [Side; 3] = [Side::Cachekeep, Side::Unread, Side::Peer];
}

/// A job of both sides at one service.
pub(crate) struct Job<'a> {
    place: &'a Place,
    peer: Peer,
    url: String,
    token: String,
}

impl<'a> Job<'a> {
    /// A job in a place; an error says what is missing for the peer.
    pub(crate) fn new(place: &'a Place, service: &GitHubService, shape: Shape) -> Result<Self, String> {
        let (url, token) = (service.url(), GitHubService::token(&[(SCOPE, 3)]));
        let peer = Peer::at(&place.root, &url, &token)?;
        fs::write(place.workspace().join("cachekeep.toml"), config(shape)).map_err(|e| e.to_string())?;
        Ok(Job { place, peer, url, token })
    }

    /// The command that saves the tree or restores it.
    pub(crate) fn command(&self, side: Side, verb: &str, key: &str) -> Command {
        match side {
            Side::Peer => self.peer.command(verb, &[key], &["tree"]),
            Side::Cachekeep => self.cachekeep(verb, key),
            Side::Unread => {
                let mut command = self.cachekeep(verb, key);
                command.env("ACTIONS_CACHE_MODE", "write-only");
                command
            }
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
