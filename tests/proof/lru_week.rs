//! A week of a repository on a service that evicts what was not used for the longest time: three caches with generations, a main branch,
//! and pull requests, in a budget of less than two full entries of each.

use std::collections::BTreeMap;
use std::fs;

use cachekeep_test_support::event::started_by;
use cachekeep_test_support::github_service::{GitHubService, Uses};
use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::{Snapshot, snapshot};

use crate::forest::{clear, noise};
use crate::scale::{self, pick, tell};

const MAIN: &str = "refs/heads/main";
const CACHES: [&str; 3] = ["a", "b", "c"];

/// Bytes of an archive, and of all that the service keeps: a thousandth of three caches of 2.5 GB that compress to two thirds.
const FULL: usize = 1_700_000;
const BUDGET: u64 = 10_000_000;

/// A job of the week: its branch, and what it finds and leaves.
struct Week {
    project: Project,
    service: GitHubService,
    /// What each key of a cache holds.
    saved: BTreeMap<String, Snapshot>,
    random: u64,
    jobs: usize,
    told: Told,
}

#[derive(Debug, Default)]
struct Told {
    hits: usize,
    misses: usize,
    broken: usize,
    thin: usize,
    full: usize,
}

impl Week {
    fn new(uses: Uses) -> Self {
        let cache = |name: &&str| {
            format!(
                "[cache.{name}]\npath = \"{{workspace}}/{name}\"\nkey = \"{name}-{{var.n}}\"\nrestore-keys = [\"{name}-\"]\n\
                 generations = \"1MB\"\n"
            )
        };
        let caches: String = CACHES.iter().map(cache).collect();
        let project = Project::new_in(&scale::place(), &format!("[disk]\nreserve = \"0%\"\n{caches}"));
        let service = GitHubService::start();
        service.set_budget(BUDGET, uses);
        let (saved, told) = Default::default();
        Week { project, service, saved, random: 7, jobs: 0, told }
    }

    fn run(&self, scopes: &[(&str, u8)], arguments: &[&str]) -> Ran {
        let mut command = self.project.command();
        command
            .args(["--json", "--store", "github", "--var", &format!("n={}", self.jobs)])
            .args(arguments)
            .envs(started_by("push", &self.project.path("temp")))
            .env("GITHUB_REF", scopes[0].0)
            .env("RUNNER_TEMP", self.project.path("temp"))
            .env("ACTIONS_RESULTS_URL", self.service.url())
            .env("ACTIONS_RUNTIME_TOKEN", GitHubService::token(scopes));
        Ran::of(&mut command).success()
    }

    /// A job on a fresh machine: restores, builds, saves.
    fn job(&mut self, scopes: &[(&str, u8)]) {
        self.jobs += 1;
        for name in CACHES {
            clear(&self.project.path(&format!("workspace/{name}")));
        }
        let restored = self.run(scopes, &["restore"]);
        self.told.broken += restored.stderr.matches("takes content from").count();
        for (index, name) in CACHES.iter().enumerate() {
            let root = self.project.path(&format!("workspace/{name}"));
            let outcome = &restored.json()["caches"][index]["restore"];
            let found = outcome["matched-key"].as_str().filter(|key| !key.is_empty());
            match found {
                Some(key) => {
                    self.told.hits += 1;
                    assert!(snapshot(&root) == self.saved[key], "{key}: {}", restored.stderr);
                }
                None => self.told.misses += 1,
            }
            self.build(name, found.is_none());
            self.saved.insert(format!("{name}-{}", self.jobs), snapshot(&root));
        }
        let saved = self.run(scopes, &["save"]);
        for index in 0..CACHES.len() {
            let outcome = &saved.json()["caches"][index]["save"];
            if outcome["save-result"] == "saved" {
                let is_full = outcome["whole-bytes"].is_null();
                *if is_full { &mut self.told.full } else { &mut self.told.thin } += 1;
            }
        }
    }

    /// Changes two percent of a cache, or makes all of it.
    fn build(&mut self, name: &str, all: bool) {
        const FILES: usize = 250;
        for index in 0..FILES {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if all || self.random >> 33 < (1 << 31) / 50 {
                let content = noise(FULL / FILES, self.random);
                self.project.write(&format!("workspace/{name}/d{}/f{index}", index % 7), content);
            }
        }
    }
}

/// `days` days: six commits on main each, and two runs of each open pull request.
fn week(uses: Uses, days: usize) -> Told {
    let mut week = Week::new(uses);
    for day in 0..days {
        for commit in 0..6 {
            week.job(&[(MAIN, 3)]);
            // Ten pull requests in a week, each open for two days.
            let number = day * 10 / 7 + commit % 3;
            if commit % 2 == 0 {
                week.job(&[(&format!("refs/pull/{number}/merge"), 3), (MAIN, 1)]);
            }
        }
    }
    let Told { hits, misses, broken, thin, full } = &week.told;
    tell(&format!(
        "week, {uses:?} count: {} jobs, {hits} hits, {misses} misses, {thin} thin saves, {full} full ones, {} evicted, {broken} thin \
         entries found broken",
        week.jobs,
        week.service.evicted(),
    ));
    assert!(week.service.evicted() > 10, "the budget was never reached");
    let _ = fs::remove_dir_all(week.project.path("workspace"));
    week.told
}

/// A restore asks for each entry that it needs, and reads some of it.
#[test]
fn a_week_of_evictions_breaks_no_thin_entry_whichever_uses_count() {
    for uses in [Uses::Lookups, Uses::Downloads] {
        // Two days leave it to chance whether the budget is reached.
        let told = week(uses, pick(3, 7));
        assert_eq!(told.broken, 0, "{told:?}");
        assert!(told.misses <= 2 * CACHES.len(), "{told:?}");
        assert!(told.thin > 5 * told.full, "{told:?}");
    }
}

/// What happens where neither counts: bases go first, restores fall back or miss, and each is exact all the same.
#[test]
fn where_no_use_counts_every_restore_is_exact_all_the_same() {
    let told = week(Uses::Nothing, pick(4, 7));
    // Two days more, and a base goes before what needs it.
    assert!(told.broken >= pick(0, 1), "{told:?}");
    assert!(told.hits > told.misses, "{told:?}");
}
