//! Rules of events, permissions and credentials.

use super::scene::{Scene, actions_cache};
use crate::command::check::problem::Problems;
use crate::command::pipelines::workflow::{Mode, Right, Step, StepKind};
use crate::domain::spec::{SavePolicy, StoreLocation};

/// Where the code of a pull request is checked out from.
const FOREIGN_CODE: [&str; 5] = [
    "github.event.pull_request.head",
    "github.head_ref",
    "github.event.workflow_run.head",
    "refs/pull/",
    "github.event.pull_request.merge",
];

/// Variables by which a store is opened with GitHub's ID token.
const BY_ID_TOKEN: [&str; 3] = ["AZURE_CLIENT_ID", "AWS_ROLE_ARN", "CACHEKEEP_GOOGLE_PROVIDER"];

/// Variables that open a store by a secret.
const BY_SECRET: [&str; 3] =
    ["AZURE_CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"];

pub(super) fn check(scene: &Scene<'_>, problems: &mut Problems) {
    untrusted_writers(scene, problems);
    for step in scene.in_mode(Mode::Save) {
        denied(scene, step, problems);
    }
    for step in scene.ours() {
        id_token(scene, step, problems);
    }
    for step in scene.ours().filter(|step| scene.is_at_github(step)) {
        if step.is(Mode::Clean) || step.is(Mode::Other("delete")) {
            permissions(scene, step, problems);
            token(scene, step, problems);
        }
    }
}

/// Whether the job has the code of a pull request.
fn has_foreign_code(scene: &Scene<'_>) -> bool {
    scene.job.steps.iter().any(|step| {
        let is_foreign = |text: &str| FOREIGN_CODE.iter().any(|part| text.contains(part));
        step.kind == StepKind::Checkout && step.input("ref").is_some_and(|value| is_foreign(value.text))
            || step.script().contains("gh pr checkout")
    })
}

/// Saves into the scope of the default branch, of what the code of a pull request wrote.
fn untrusted_writers(scene: &Scene<'_>, problems: &mut Problems) {
    let Some(event) = scene.workflow.privileged().next().filter(|_| has_foreign_code(scene)) else { return };
    for step in &scene.job.steps {
        let is_ours = step.is(Mode::Save) && step.input("role").is_some_and(|role| role.text == "writer");
        if is_ours || actions_cache(step) == Some(true) {
            problems.error(
                "github-untrusted-writer",
                &step.place_of(if is_ours { "role" } else { "uses" }),
                format!("`{event}` runs in the scope of the default branch, and the code of a pull request fills the cache"),
                "only restore here, and save in a workflow of `push`: docs/security.md",
            );
        }
    }
}

/// Saves that are refused in every run.
fn denied(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let role = step.input("role").map(|role| role.text);
    let mode = scene.workflow.cache_mode(scene.job).filter(|mode| matches!(mode.text, "read" | "none"));
    let caches = scene.caches(step);
    let has_links = |found: &Vec<_>| !found.is_empty() && found.iter().all(|cache: &&_| is_with_links(cache));
    let (message, hint) = if let Some(mode) = mode {
        (
            format!("`cache-mode: {}` lets nothing be saved", mode.text),
            "remove the step, or give the job `cache-mode: write`",
        )
    } else if role.is_none() && scene.workflow.is_only_privileged() {
        let event = scene.workflow.events[0];
        (
            format!("`{event}` is a privileged event: without `role: writer` nothing is saved"),
            "save in a workflow of `push` or `schedule`, or give `role: writer` if nothing of a pull request is run here",
        )
    } else if role != Some("consumer")
        && scene.workflow.is_only_pull_request()
        && caches.as_ref().is_some_and(has_links)
    {
        (
            "pull requests do not save caches with links".to_owned(),
            "say `role: consumer` or remove the step, and save in a workflow of `push` or `schedule`",
        )
    } else {
        return;
    };
    problems.warning("github-denied-save", &step.place, message, hint);
}

fn is_with_links(cache: &crate::domain::spec::CacheSpec) -> bool {
    cache.links.is_some() && cache.save != SavePolicy::Never
}

/// Stores that are opened by GitHub's ID token.
fn id_token(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let has = |name: &&&str| scene.workflow.env(scene.job, step, name).is_some();
    let Some(by) = BY_ID_TOKEN.iter().find(has) else { return };
    let store = step.input("store").map(|store| store.text);
    let is_remote = match store {
        Some(store) => ["az://", "s3://", "gs://"].iter().any(|start| store.starts_with(start)),
        None => scene.spec.is_some_and(|spec| matches!(spec.store, StoreLocation::Objects(_))),
    };
    let is_opened_otherwise = BY_SECRET.iter().any(|name| has(&name));
    if is_remote && !is_opened_otherwise && scene.workflow.right(scene.job, "id-token") == Right::None {
        problems.error(
            "github-no-id-token",
            &step.place,
            format!("`{by}` opens the store by an ID token, and the job has no right to one"),
            "give the job `permissions: { contents: read, id-token: write }`",
        );
    }
}

/// What cleaning needs; a deletion by hand asks nothing about refs and pull requests.
fn permissions(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let hint = "give the job `permissions: { actions: write, contents: read, pull-requests: read }`";
    let right = |name| scene.workflow.right(scene.job, name);
    match right("actions") {
        Right::Write => {}
        Right::Unknown => {
            let message = "nothing says that the job may delete: new repositories do not allow it".to_owned();
            problems.warning("github-clean-permissions", &step.place, message, hint);
            return;
        }
        Right::None | Right::Read => {
            let message = "the job may not delete entries: `actions: write` is missing".to_owned();
            problems.error("github-clean-permissions", &step.place, message, hint);
        }
    }
    let asked = if step.is(Mode::Clean) { ["contents", "pull-requests"].as_slice() } else { &[] };
    for name in asked.iter().filter(|name| right(name) == Right::None) {
        let message = format!("`{name}: read` is missing: what cannot be asked is kept");
        problems.warning("github-clean-permissions", &step.place, message, hint);
    }
}

fn token(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    if ["GITHUB_TOKEN", "GH_TOKEN"].iter().all(|name| scene.workflow.env(scene.job, step, name).is_none()) {
        problems.error(
            "github-clean-token",
            &step.place,
            "deleting needs a token, and the environment has none".to_owned(),
            "add `env: { GITHUB_TOKEN: \"${{ github.token }}\" }` to the step",
        );
    }
    if scene.workflow.is_only_pull_request() {
        problems.warning(
            "github-clean-of-forks",
            &step.place,
            "pull requests of forks and of Dependabot have no right to delete".to_owned(),
            "use `pull_request_target` with `types: [closed]`, and check out nothing of the pull request",
        );
    }
}
