//! The workflows that clean, run by act against a fake of GitHub's API: which ids are deleted, and that text from
//! a fork has no effect.

use std::collections::BTreeSet;
use std::path::Path;

use crate::action::act::{Given, Ran, Sample};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::github_service::signing::now;
use cachekeep_test_support::skip::skip;

/// A title, a branch and a key of an attacker who knows the mistakes that workflows make.
const EVIL: &str =
    "$(touch PWNED)`touch PWNED`\"; touch PWNED; '\n::set-env name=PATH::/evil\n${{ github.token }}";

/// A sample project and the API with entries of all kinds; the ids by whether they are kept.
struct Scene {
    sample: Sample,
    api: GitHubApi,
    /// What goes when pull request 7 closes.
    of_pull_request: BTreeSet<String>,
    /// What the nightly sweep deletes.
    of_sweep: BTreeSet<String>,
}

fn scene(test: &str) -> Option<Scene> {
    let sample = Sample::named(REPOSITORY).map_err(|missing| skip(test, &missing)).ok()?;
    let api = GitHubApi::start(now());
    let mut world = api.world();
    world.refs.insert("refs/heads/$(touch${IFS}PWNED)".to_owned());
    world.pull(7, Some(0.01));
    world.pull(8, None);
    world.pull(9, Some(100.0));
    let hex = |digit: &str| digit.repeat(64);
    let mut save =
        |git_ref: &str, key: &str, hours: (f64, f64)| world.save(git_ref, key, hours, 100).to_string();
    let of_pull_request = BTreeSet::from([
        save("refs/pull/7/merge", "thumbnails-v1-linux-a", (5.0, 4.0)),
        save("refs/pull/7/merge", "::error::forged;$(touch PWNED)%0A::error::forged", (5.0, 4.0)),
        save("refs/pull/7/head", "`touch PWNED`", (5.0, 4.0)),
    ]);
    let of_sweep = BTreeSet::from([
        save("refs/pull/9/merge", "thumbnails-v1-linux-b", (150.0, 120.0)),
        save("refs/heads/gone", "thumbnails-v1-linux-c", (150.0, 120.0)),
        save("refs/heads/main", &format!("frames-v1-{}", hex("1")), (60.0, 50.0)),
        save("refs/heads/$(touch${IFS}PWNED)", "unused-for-long", (400.0, 300.0)),
    ]);
    // The default branch's newest, an open pull request's, one that closed a moment ago, and a fork's branch.
    save("refs/heads/main", &format!("frames-v1-{}", hex("2")), (40.0, 3.0));
    save("refs/pull/8/merge", "thumbnails-v1-linux-d", (30.0, 20.0));
    save("refs/heads/$(touch${IFS}PWNED)", "thumbnails-v1-linux-e", (30.0, 20.0));
    drop(world);
    Some(Scene { sample, api, of_pull_request, of_sweep })
}

impl Scene {
    fn run(&self, workflow: &str, event: &str, details: serde_json::Value) -> Ran {
        let mut payload = details;
        payload["repository"] = serde_json::json!({ "default_branch": "main", "full_name": REPOSITORY });
        let graphql = format!("{}/graphql", self.api.url());
        let env = vec![("GITHUB_API_URL", self.api.url()), ("GITHUB_GRAPHQL_URL", graphql)];
        let given = Given { payload: payload.to_string(), env, token: Some(TOKEN), ..Given::default() };
        let ran = self.sample.act(workflow, event, &given);
        assert!(!ran.log.contains(TOKEN), "the token is in the log:\n{}", ran.log);
        assert_eq!(find(&self.sample.path(""), "PWNED"), None, "a stranger's words were executed");
        for line in ran.log.lines() {
            assert!(!line.contains("  ⚙  ::set-env::") && !line.contains("❗  ::error::forged"), "{line}");
        }
        ran
    }

    /// Fails unless exactly these were deleted, and by their ids.
    #[track_caller]
    fn assert_deleted(&self, before: &BTreeSet<String>, expected: &BTreeSet<String>, ran: &Ran) {
        let after = self.api.world().ids();
        assert_eq!(before.difference(&after).cloned().collect::<BTreeSet<_>>(), *expected, "{}", ran.log);
        let world = self.api.world();
        let deletions = world.calls.iter().filter(|(method, _, _)| *method == reqwest::Method::DELETE);
        let asked: BTreeSet<String> =
            deletions.map(|(_, path, _)| path.rsplit('/').next().unwrap_or_default().to_owned()).collect();
        assert!(asked.is_superset(expected) && asked.is_disjoint(&after), "{asked:?}");
    }
}

/// A file of this name below a directory.
fn find(directory: &Path, name: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().find_map(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if entry.file_name() == name {
            Some(entry.path())
        } else {
            is_folder.then(|| find(&entry.path(), name))?
        }
    })
}

#[test]
fn the_entries_of_a_closed_pull_request_are_deleted_and_no_others() {
    let Some(scene) = scene("the_entries_of_a_closed_pull_request_are_deleted_and_no_others") else { return };
    let before = scene.api.world().ids();
    let repository = serde_json::json!({ "full_name": "stranger/sample", "fork": true });
    let closed = serde_json::json!({
        "action": "closed",
        "number": 7,
        "pull_request": {
            "number": 7,
            "title": EVIL,
            "body": EVIL,
            "head": { "ref": EVIL, "label": EVIL, "repo": repository },
            "base": { "ref": "main" },
        },
    });
    let ran = scene.run("clean-pull-request", "pull_request_target", closed);
    assert!(ran.success, "{}", ran.log);
    scene.assert_deleted(&before, &scene.of_pull_request, &ran);
}

#[test]
fn a_number_that_is_none_deletes_nothing() {
    let Some(scene) = scene("a_number_that_is_none_deletes_nothing") else { return };
    let before = scene.api.world().ids();
    let closed = serde_json::json!({ "action": "closed", "pull_request": { "number": EVIL, "base": { "ref": "main" } } });
    let ran = scene.run("clean-pull-request", "pull_request_target", closed);
    assert!(
        !ran.success && ran.log.contains("invalid value") && ran.log.contains("pull-request"),
        "{}",
        ran.log
    );
    scene.assert_deleted(&before, &BTreeSet::new(), &ran);
}

#[test]
fn the_nightly_sweep_deletes_by_the_policy_and_a_dry_run_nothing() {
    let Some(scene) = scene("the_nightly_sweep_deletes_by_the_policy_and_a_dry_run_nothing") else { return };
    let before = scene.api.world().ids();
    let dry = serde_json::json!({ "inputs": { "dry-run": "true" } });
    let ran = scene.run("clean-nightly", "workflow_dispatch", dry);
    assert!(ran.success, "{}", ran.log);
    scene.assert_deleted(&before, &BTreeSet::new(), &ran);

    let ran = scene.run("clean-nightly", "schedule", serde_json::json!({ "schedule": "41 2 * * *" }));
    assert!(ran.success, "{}", ran.log);
    scene.assert_deleted(&before, &scene.of_sweep, &ran);

    // By hand, for good: there is nothing left to do.
    let before = scene.api.world().ids();
    let wet = serde_json::json!({ "inputs": { "dry-run": "false" } });
    let ran = scene.run("clean-nightly", "workflow_dispatch", wet);
    assert!(ran.success, "{}", ran.log);
    scene.assert_deleted(&before, &BTreeSet::new(), &ran);
}

#[test]
fn a_cleaner_that_may_not_delete_fails_and_names_the_permission() {
    let Some(scene) = scene("a_cleaner_that_may_not_delete_fails_and_names_the_permission") else { return };
    scene.api.world().may_delete = false;
    let before = scene.api.world().ids();
    let ran = scene.run("clean-nightly", "schedule", serde_json::json!({}));
    assert!(!ran.success && ran.log.contains("`actions=write`"), "{}", ran.log);
    assert_eq!(scene.api.world().ids(), before);
}
