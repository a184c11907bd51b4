//! Killed in any command, on a runner that empties its directory for temporary files between jobs: never half, nothing left,
//! and nothing moved that is not a target.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cachekeep::domain::sentinel::SENTINEL_FILE;
use cachekeep_test_support::event::started_by;
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::tree::{Snapshot, snapshot};

use crate::forest;
use crate::job::{Job, listing};
use crate::process::Killer;
use crate::scale::{pick, tell};

/// Beside the objects of [`forest::seeded`]: a cache of two roots, which are published together, and one that is trimmed.
const MORE: &str = r#"
[cache.pair]
paths = ["{workspace}/left", "{workspace}/right"]
key = "pair-{var.n}"

[cache.cold]
path = "{workspace}/cold"
key = "cold-{var.n}"
trim = { max-size = "300kB" }

[clean]
superseded = { keep = 1 }
"#;

/// Every command with the `n` of its keys: 3 is in the store, 9 is not.
const COMMANDS: [(&str, &[&str]); 26] = [
    ("9", &["save"]),
    ("3", &["restore"]),
    ("3", &["run", "--", "true"]),
    ("9", &["run", "--", "true"]),
    ("3", &["seed"]),
    ("3", &["fetch"]),
    ("3", &["gate"]),
    ("3", &["trim"]),
    ("3", &["clean"]),
    ("3", &["delete", "--prefix", "pair-1", "--yes"]),
    ("3", &["dedup", "--hard-links", "cold"]),
    ("3", &["hold", "cold", "--", "true"]),
    ("3", &["recover"]),
    ("3", &["disk", "--free"]),
    ("3", &["status"]),
    ("3", &["status", "--html", "page.html"]),
    ("3", &["check"]),
    ("3", &["key"]),
    ("3", &["env"]),
    ("3", &["explain"]),
    ("3", &["ls"]),
    ("3", &["usage"]),
    ("3", &["usage", "--html", "page.html"]),
    ("3", &["doctor"]),
    ("3", &["schema"]),
    ("3", &["completions", "bash"]),
];

/// What starts next: each of these looks after all targets.
const NEXT: [&[&str]; 3] =
    [&["restore"], &["save", "--role", "consumer"], &["run", "--role", "consumer", "--", "true"]];

/// The directories of the caches, and what may come or go beside them.
const CHANGING: [&str; 5] = ["left", "right", "out", "cold", "page.html"];

/// Kills that hit, of each command.
fn strikes() -> usize {
    pick(1, 20)
}

/// A checkout with a store, and a copy of both as they are before each strike.
struct Runner {
    job: Job,
    objects: usize,
    before: Snapshot,
    /// The pair after a restore.
    restored: Snapshot,
    /// The pair of each generation in the store.
    generations: BTreeMap<String, Snapshot>,
    cold: Snapshot,
    others: Snapshot,
}

fn plant(root: &Path, seed: u64) {
    for index in 0..60_u64 {
        let path = root.join(format!("{}/{index}", index % 6));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, forest::noise(20_000, seed * 1_000 + index)).expect("a file");
    }
}

/// Both roots as one.
fn pair(workspace: &Path) -> Snapshot {
    let roots = ["left", "right"].map(|name| (name, snapshot(&workspace.join(name))));
    let named = |(root, tree): (&'static str, Snapshot)| {
        tree.into_iter().map(move |(path, text)| (format!("{root}/{path}"), text.replace(" 2 names", "")))
    };
    roots.into_iter().flat_map(named).collect()
}

impl Runner {
    fn new() -> Self {
        let (job, objects) = forest::seeded(30, 20_000);
        std::fs::create_dir(job.project.path("event")).expect("a directory");
        let config = job.project.read("workspace/cachekeep.toml");
        job.project.write("workspace/cachekeep.toml", format!("{config}{MORE}"));
        let workspace = job.project.path("workspace");
        for name in ["beside", "left.old", ".hidden"] {
            plant(&workspace.join(name), 77);
        }
        let mut runner = Runner {
            job,
            objects: objects.len(),
            before: Snapshot::new(),
            restored: Snapshot::new(),
            generations: BTreeMap::new(),
            cold: Snapshot::new(),
            others: Snapshot::new(),
        };
        plant(&workspace.join("cold"), 50);
        for twin in ["twin-1", "twin-2"] {
            std::fs::write(workspace.join("cold").join(twin), forest::noise(20_000, 49)).expect("a file");
        }
        for generation in 1..=3 {
            for root in ["left", "right"] {
                forest::clear(&workspace.join(root));
                plant(&workspace.join(root), generation + if root == "left" { 10 } else { 20 });
            }
            let key = generation.to_string();
            runner.run(&key, &["save", "pair", "--required"]);
            runner.generations.insert(key, pair(&workspace));
        }
        for root in ["left", "right"] {
            forest::clear(&workspace.join(root));
            plant(&workspace.join(root), 5);
            plant(&workspace.join(root).join("own"), 6);
        }
        runner.run("3", &["seed", "--required"]);
        // Half of the objects, of which a seed adds the rest.
        std::fs::remove_file(workspace.join("out").join(SENTINEL_FILE)).expect("a sentinel");
        for object in listing(&workspace.join("out/SHA256")).iter().skip(15) {
            std::fs::remove_file(object).expect("removed");
        }
        runner.before = pair(&workspace);
        runner.cold = snapshot(&workspace.join("cold"));
        runner.others = runner.what_else();
        for place in ["workspace", "store"] {
            forest::copy(
                &runner.job.project.path(place),
                &runner.job.project.path(&format!("copy-of-{place}")),
            );
        }
        runner.run("3", &["restore", "pair", "--required", "--fail-on-miss"]);
        runner.restored = pair(&workspace);
        assert_ne!(runner.before, runner.restored);
        runner
    }

    fn command_in(&self, workspace: &Path, key: &str, arguments: &[&str]) -> Command {
        let mut command = self.job.command_in(workspace, key, arguments);
        command.current_dir(workspace).envs(started_by("push", &self.job.project.path("event")));
        command.env("GITHUB_REPOSITORY", "o/r").env("GITHUB_REF", "refs/heads/main");
        command.env("RUNNER_TEMP", self.job.project.path("temp"));
        command
    }

    fn command(&self, key: &str, arguments: &[&str]) -> Command {
        self.command_in(&self.job.project.path("workspace"), key, arguments)
    }

    #[track_caller]
    fn run(&self, key: &str, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(key, arguments)).success()
    }

    /// Everything in the workspace beside the targets.
    fn what_else(&self) -> Snapshot {
        let is_target = |path: &str| CHANGING.iter().any(|name| path.split('/').next() == Some(name));
        let all = snapshot(&self.job.project.path("workspace"));
        // The directory itself changes its time with what comes and goes in it.
        all.into_iter().filter(|(path, _)| !is_target(path) && !path.is_empty()).collect()
    }

    /// Puts everything back that a strike may have changed.
    fn reset(&self) {
        let path = |relative: &str| self.job.project.path(relative);
        for name in CHANGING.iter().take(4) {
            forest::clear(&path("workspace").join(name));
            forest::copy(&path("copy-of-workspace").join(name), &path("workspace").join(name));
        }
        let _ = std::fs::remove_file(path("workspace/page.html"));
        forest::clear(&path("store"));
        forest::copy(&path("copy-of-store"), &path("store"));
    }

    /// What the runner does between two jobs.
    fn empty_temp(&self) {
        for path in listing(&self.job.project.path("temp")) {
            if path.is_dir() { forest::clear(&path) } else { std::fs::remove_file(&path).expect("removed") }
        }
    }

    /// Nothing is half, left or moved, once another command has started. Returns whether the pair was restored.
    fn check(&self, arguments: &[&str]) -> bool {
        assert_eq!(self.job.leftovers(), Vec::<std::path::PathBuf>::new(), "{arguments:?}");
        let workspace = self.job.project.path("workspace");
        assert_eq!(self.what_else(), self.others, "{arguments:?}");
        let found = pair(&workspace);
        assert!(found == self.before || found == self.restored, "{arguments:?}: the pair is half");
        let present = forest::verified_objects(&workspace.join("out"));
        assert!(present >= 15, "{arguments:?}: {present} objects");
        let is_sealed = workspace.join("out").join(SENTINEL_FILE).exists();
        assert!(!is_sealed || present == self.objects, "{arguments:?}: a sentinel over {present} objects");
        let cold = snapshot(&workspace.join("cold"));
        // `dedup` makes one file of the twins.
        let is_intact = |(path, text): (&String, &String)| {
            let text = text.replace(" 2 names", "");
            self.cold.get(path).is_some_and(|known| *known == text || text.starts_with("directory"))
        };
        assert!(cold.iter().all(is_intact), "{arguments:?}: {cold:?}");
        if let Ok(page) = std::fs::read_to_string(workspace.join("page.html")) {
            assert!(page.trim_end().ends_with("</html>"), "half a page");
        }
        self.check_store(arguments);
        found == self.restored
    }

    /// Every entry restores to a tree that was saved; only `clean` and `delete` delete, and only what is superseded or named.
    fn check_store(&self, arguments: &[&str]) {
        let entries = self.job.entries();
        let is_there = |key: &str| {
            let name = format!("pair-{key}.tar.zst");
            entries.iter().any(|entry| entry.file_name().is_some_and(|file| file == name.as_str()))
        };
        let may_go: &[&str] = match arguments[0] {
            "clean" => &["1", "2"],
            "delete" => &["1"],
            _ => &[],
        };
        for key in self.generations.keys() {
            assert!(is_there(key) || may_go.contains(&key.as_str()), "{arguments:?}: entry {key}");
        }
        let scratch = self.job.project.path("scratch");
        for key in ["1", "2", "3", "9"].into_iter().filter(|key| is_there(key)) {
            std::fs::create_dir_all(&scratch).expect("a directory");
            let arguments = ["restore", "pair", "--required", "--fail-on-miss"];
            Ran::of(&mut self.command_in(&scratch, key, &arguments)).success();
            let found = pair(&scratch);
            let is_known = match self.generations.get(key) {
                Some(known) => found == *known,
                None => found == self.before || found == self.restored,
            };
            assert!(is_known, "entry {key} after {arguments:?}");
            forest::clear(&scratch);
        }
    }
}

#[test]
fn every_command_can_be_killed_on_a_runner_that_empties_its_temp() {
    let runner = Runner::new();
    let (mut kills, mut runs, mut restored) = (0, 0_usize, 0);
    for (key, arguments) in COMMANDS {
        runner.reset();
        let started = std::time::Instant::now();
        runner.command(key, arguments).output().expect("it starts");
        let mut killer = Killer::new(started.elapsed().max(Duration::from_millis(2)));
        let mut hits = 0;
        while hits < strikes() {
            runner.reset();
            hits += usize::from(killer.strike(&mut runner.command(key, arguments)));
            if runs.is_multiple_of(2) {
                runner.empty_temp();
            }
            runner.run("none", NEXT[runs / 2 % NEXT.len()]);
            restored += u32::from(runner.check(arguments));
            runs += 1;
            assert!(runs < strikes() * COMMANDS.len() * 20, "{arguments:?} is too fast to be killed");
        }
        kills += hits;
    }
    tell(&format!(
        "any command: {kills} kills in {runs} runs, temp emptied after half of them, {restored} pairs restored"
    ));
}
