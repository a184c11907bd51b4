//! A sweep over 1 200 entries of 300 pull requests, branches, tags and merge-queue refs.

use std::collections::BTreeSet;

use axum::http::Method;

use super::{NIGHTLY, clean, ids, planned, setup};
use cachekeep_test_support::github_api::World;

/// An entry with what must become of it.
struct Expected {
    id: u64,
    fate: Fate,
    bytes: u64,
    last_used: f64,
}

#[derive(PartialEq)]
enum Fate {
    Goes,
    Stays,
    /// Stays unless the budget needs its bytes: least recently used first.
    Spare,
}

struct Repository<'a> {
    world: &'a mut World,
    expected: Vec<Expected>,
    serial: u32,
}

impl Repository<'_> {
    /// Saves an entry; no two are used at the same second.
    fn save(&mut self, git_ref: &str, key: &str, created: f64, used: f64, megabytes: u64, fate: Fate) {
        self.serial += 1;
        let used = used + f64::from(self.serial) / 3_600.0;
        let created = created.max(used);
        let id = self.world.save(git_ref, key, (created, used), megabytes);
        self.expected.push(Expected { id, fate, bytes: megabytes * 1_000_000, last_used: used });
    }

    fn commit(&mut self) -> String {
        format!("{:040x}", 0x1234_5678_9abc_def0_u128.wrapping_mul(u128::from(self.serial) + 7))
    }

    fn build(&mut self) {
        // The default branch: ten generations, restored just before the next one was saved; protected data.
        for generation in 0..10 {
            let created = f64::from(generation) * 24.0 + 5.0;
            let used = if generation == 0 { 4.0 } else { created - 23.9 };
            let key = format!("ccache-v4-linux-{}", self.commit());
            let fate = if generation == 0 { Fate::Stays } else { Fate::Goes };
            self.save("refs/heads/main", &key, created, used, 100, fate);
        }
        for generation in 0..20 {
            let key = format!("externaldata-v1-{:064x}", generation + 1);
            self.save("refs/heads/main", &key, 2_000.0, 1_000.0, 100, Fate::Stays);
        }
        for number in 1..=300 {
            self.pull_request(number);
        }
        for number in 0..60 {
            let name = format!("refs/heads/topic-{number}");
            self.world.refs.insert(name.clone());
            self.save(&name, "ccache-v4-linux", 150.0, 120.0, 40, Fate::Spare);
            self.save(&name, "ccache-v4-windows", 150.0, 119.0, 40, Fate::Spare);
            let gone = format!("refs/heads/gone-{number}");
            self.save(&gone, "ccache-v4-linux", 150.0, 96.0, 10, Fate::Goes);
            self.save(&gone, "ccache-v4-windows", 150.0, 96.0, 10, Fate::Goes);
        }
        for number in 0..45 {
            let tag = format!("refs/tags/v1.{number}");
            self.world.refs.insert(tag.clone());
            self.save(&tag, "release", 400.0, 300.0, 5, Fate::Spare);
            self.save(&format!("refs/tags/old-{number}"), "release", 400.0, 300.0, 5, Fate::Goes);
            let queue = format!("refs/heads/gh-readonly-queue/main/pr-{number}-{}", self.commit());
            self.save(&queue, "ccache-v4-linux", 90.0, 80.0, 15, Fate::Goes);
            self.save(&format!("{queue}x"), "ccache-v4-linux", 90.0, 50.0, 15, Fate::Spare);
        }
    }

    fn pull_request(&mut self, number: u64) {
        let merge = format!("refs/pull/{number}/merge");
        let head = format!("refs/pull/{number}/head");
        match number % 6 {
            // Open and at work: one generation has been replaced.
            0 | 1 => {
                self.world.pull(number, None);
                let old = format!("ccache-v4-linux-{}", self.commit());
                self.save(&merge, &old, 50.0, 30.0, 20, Fate::Goes);
                let new = format!("ccache-v4-linux-{}", self.commit());
                self.save(&merge, &new, 20.0, 3.0, 20, Fate::Stays);
            }
            2..=4 => {
                self.world.pull(number, Some(240.0));
                let key = format!("ccache-v4-linux-{}", self.commit());
                self.save(&merge, &key, 300.0, 250.0, 20, Fate::Goes);
                self.save(&merge, "externals", 300.0, 250.0, 20, Fate::Goes);
                self.save(&head, "ccache-v4-linux", 300.0, 250.0, 20, Fate::Goes);
            }
            _ if number == 299 => {
                self.world.pull(number, Some(240.0));
                self.world.broken_pulls.insert(number);
                self.save(&merge, "ccache-v4-linux", 300.0, 250.0, 20, Fate::Stays);
                self.save(&head, "ccache-v4-linux", 300.0, 250.0, 20, Fate::Stays);
            }
            // Closed, with an hour of grace left.
            _ => {
                self.world.pull(number, Some(71.0));
                self.save(&merge, "ccache-v4-linux", 90.0, 72.0, 30, Fate::Spare);
                self.save(&merge, "ccache-v4-windows", 90.0, 72.0, 30, Fate::Spare);
            }
        }
    }

    /// What goes by the other rules, then least recently used until the rest fits the budget.
    fn expected_to_go(mut self) -> BTreeSet<String> {
        let mut gone: BTreeSet<String> =
            self.expected.iter().filter(|e| e.fate == Fate::Goes).map(|e| e.id.to_string()).collect();
        let mut bytes: u64 = self.expected.iter().filter(|e| e.fate != Fate::Goes).map(|e| e.bytes).sum();
        self.expected.sort_by(|a, b| b.last_used.total_cmp(&a.last_used));
        for spare in self.expected.iter().filter(|e| e.fate == Fate::Spare) {
            if bytes <= 9_000_000_000 {
                break;
            }
            bytes -= spare.bytes;
            gone.insert(spare.id.to_string());
        }
        gone
    }
}

/// Fills a repository with the 1 200 entries.
pub(super) fn populate(world: &mut World) {
    Repository { world, expected: Vec::new(), serial: 0 }.build();
}

#[test]
fn exactly_the_expected_entries_go_and_the_limits_are_kept() {
    let (api, project) = setup(NIGHTLY);
    let expected = {
        let mut world = api.world();
        let mut repository = Repository { world: &mut world, expected: Vec::new(), serial: 0 };
        repository.build();
        assert_eq!(repository.expected.len(), 1_200);
        repository.expected_to_go()
    };
    let before = api.world().ids();
    let dry = clean(&api, &project, &["--dry-run"]).success().json();
    assert_eq!(planned(&dry), expected);
    assert_eq!(dry["end"], "dry-run");
    assert_eq!(api.world().count(&Method::DELETE), 0);
    let asked = api.world().calls.len();
    assert!(asked < 60, "{asked} requests for a plan");

    api.world().calls.clear();
    api.world().remaining = 1_000;
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(done["plan"], dry["plan"], "the dry run showed another plan");
    assert_eq!(ids(&done["rounds"][0]["deleted"]), expected);
    let left: BTreeSet<String> = before.difference(&expected).cloned().collect();
    assert_eq!(api.world().ids(), left);
    let world = api.world();
    assert_eq!(done["calls"]["requests"], world.calls.len());
    assert_eq!(done["calls"]["deletions"], expected.len());
    assert_eq!(done["calls"]["repeated"], 0);
    assert!(world.calls.len() <= 1_000, "{} requests are more than an hour allows", world.calls.len());
    assert_eq!(world.refused, 0);
}
