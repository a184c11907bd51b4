//! A job: a project, its store in a directory, and the binary at work on both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scale;
use cachekeep_test_support::project::{Project, Ran, file_url};
use cachekeep_test_support::tree::{Snapshot, snapshot};

/// One cache; the key is chosen for each command.
pub(crate) const ONE_CACHE: &str = r#"
[disk]
reserve = "0%"

[cache.out]
path = "{workspace}/out"
key = "out-{var.n}"
# Several workspaces, which would be repositories of their own, use one store.
shared = true
"#;

/// A project and its store.
pub(crate) struct Job {
    /// The project.
    pub(crate) project: Project,
}

impl Job {
    /// A job with this configuration and an empty store.
    pub(crate) fn new(config: &str) -> Self {
        let job = Job { project: Project::new_in(&scale::place(), config) };
        fs::create_dir(job.store()).expect("a fresh directory");
        job
    }

    /// The store's directory.
    pub(crate) fn store(&self) -> PathBuf {
        self.project.path("store")
    }

    /// The cache of [`ONE_CACHE`].
    pub(crate) fn out(&self) -> PathBuf {
        self.project.path("workspace/out")
    }

    /// The binary with its outcome in JSON, for a key.
    pub(crate) fn command(&self, key: &str, arguments: &[&str]) -> Command {
        self.command_in(&self.project.path("workspace"), key, arguments)
    }

    /// The same in a checkout of its own.
    pub(crate) fn command_in(&self, workspace: &Path, key: &str, arguments: &[&str]) -> Command {
        let mut command = self.project.command();
        command
            .args(["--json", "--var", &format!("n={key}")])
            .arg("--store")
            .arg(file_url(&self.store()))
            .arg("--config")
            .arg(self.project.path("workspace/cachekeep.toml"))
            .arg("--workspace")
            .arg(workspace)
            .args(arguments);
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, key: &str, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(key, arguments))
    }

    /// Restores an entry into a checkout of its own, which is removed again; what it looks like there.
    #[track_caller]
    pub(crate) fn restored(&self, key: &str) -> Snapshot {
        let place = self.project.path("scratch");
        fs::create_dir_all(&place).expect("a directory");
        let ran = Ran::of(&mut self.command_in(&place, key, &["restore"])).success();
        assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "exact", "{}", ran.stderr);
        let found = snapshot(&place.join("out"));
        fs::remove_dir_all(&place).expect("removed");
        found
    }

    /// The entries of the store.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        find_entries(&self.store(), &mut found);
        found
    }

    /// The keys of the entries, as chosen for a command.
    pub(crate) fn keys(&self) -> Vec<String> {
        let key = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            Some(name.strip_prefix("out-")?.strip_suffix(".tar.zst")?.to_owned())
        };
        self.entries().iter().map(|path| key(path).expect("an entry's name")).collect()
    }

    /// Every temporary thing in the project and its store, and whatever lies among the uploads.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = self.project.temporary_things();
        found.extend(listing(&self.store().join("uploads")));
        found.sort();
        found.dedup();
        found
    }

    /// Temporary things in one directory that are leased and in use: a process is in the middle of its work there.
    pub(crate) fn is_busy_in(&self, directory: &str) -> bool {
        let is_temporary = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(".cachekeep-")
                && name.ends_with(".tmp")
                && !listing(&path.join("payload")).is_empty()
        };
        listing(&self.project.path(directory)).iter().any(is_temporary)
    }
}

/// A field of the outcome.
pub(crate) fn field(ran: &Ran, pointer: &str) -> String {
    let found = ran.json().pointer(&format!("/caches/0/{pointer}")).cloned();
    found.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What is in a directory, if it is there.
pub(crate) fn listing(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn find_entries(directory: &Path, found: &mut Vec<PathBuf>) {
    for path in listing(directory) {
        if path.is_dir() {
            find_entries(&path, found);
        } else if path.to_string_lossy().ends_with(".tar.zst") {
            found.push(path);
        }
    }
}
