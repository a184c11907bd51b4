//! Verdicts over GitHub: its API, which lists, and its cache service, which only looks up.

use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

use super::check;
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::project::{Project, Ran};

const CONFIG: &str = r#"
[cache.data]
path = "cache"
key = "data-{var.v}-{os}"
"#;

const MAIN: &str = "refs/heads/main";

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().expect("a time")
}

/// The version that actions/cache gives to these paths.
fn version(components: &str) -> String {
    let digest = Sha256::digest(format!("{components}|1.0").as_bytes());
    data_encoding::HEXLOWER.encode(&digest)
}

fn setup() -> (GitHubApi, Project) {
    (GitHubApi::start(now()), Project::new(CONFIG))
}

fn explain(api: &GitHubApi, project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(["explain", "--json", "--var", "v=1"]).args(arguments);
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_REPOSITORY", REPOSITORY)
        .env("GITHUB_REF", "refs/pull/7/merge");
    command.env("GITHUB_BASE_REF", "main").env("GITHUB_WORKSPACE", project.path("workspace"));
    command.env("RUNNER_TEMP", project.path("temp")).env("RUNNER_OS", "Linux");
    Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN))
}

/// Saves this job's key.
fn save(api: &GitHubApi, git_ref: &str, key: &str, version: &str) {
    let mut world = api.world();
    let id = world.save(git_ref, key, (30.0, 20.0), 100);
    let cache = world.caches.iter_mut().find(|cache| cache.id == id).expect("just saved");
    version.clone_into(&mut cache.version);
}

/// Where an entry is, its key and version; the result, what differs, and the text.
type Row<'a> = (&'a str, &'a str, String, &'a str, Option<&'a str>, &'a str);

#[test]
fn a_hit_and_each_field_that_differs() {
    let ours = version(".cachekeep/data|zstd-without-long");
    let key = "data-1-linux".to_owned();
    let table: &[Row<'_>] = &[
        (MAIN, &key, ours.clone(), "hit", None, "of refs/heads/main, 100.0 MB, saved 1 d 6 h ago"),
        ("refs/pull/7/merge", &key, ours.clone(), "hit", None, "of refs/pull/7/merge"),
        ("refs/pull/12/merge", &key, ours.clone(), "miss", Some("scope"), "pull request 12, open"),
        ("refs/pull/13/merge", &key, ours.clone(), "miss", Some("scope"), "which no job reads any more"),
        ("refs/heads/release", &key, ours.clone(), "miss", Some("scope"), "pull requests into it"),
        (MAIN, &key, version(".cachekeep/data|gzip"), "miss", Some("version"), "install zstd"),
        (
            MAIN,
            &key,
            version(".cachekeep/data|zstd-without-long|windows-only"),
            "miss",
            Some("version"),
            "enableCrossOsArchive",
        ),
        (
            MAIN,
            &key,
            version("cache|zstd-without-long"),
            "miss",
            Some("version"),
            "by actions/cache under `cache` itself",
        ),
        (MAIN, &key, version("else|gzip"), "miss", Some("version"), "by another tool"),
        (MAIN, &key.to_uppercase(), ours.clone(), "miss", Some("spelling"), "letter case"),
        (
            MAIN,
            &key.replace("-1-", "-0-"),
            ours.clone(),
            "miss",
            Some("key-part"),
            "`{var.v}` is `1` here and `0` there",
        ),
        (MAIN, "other", ours, "miss", Some("nothing-saved"), "nothing like it is in GitHub's caches"),
    ];
    for (git_ref, key, version, result, differs, words) in table {
        let (api, project) = setup();
        api.world().pull(12, None);
        api.world().pull(13, Some(9.0));
        api.world().refs.insert("refs/heads/release".to_owned());
        save(&api, git_ref, key, version);
        check(&explain(&api, &project, &["data"]).success(), result, *differs, &[words]);
    }
}

#[test]
fn the_default_branch_is_read_by_every_job_whatever_the_event_tells() {
    let (api, project) = setup();
    api.world().default_branch = "trunk".to_owned();
    save(&api, "refs/heads/trunk", "k", &"5".repeat(64));
    check(&explain(&api, &project, &["--key", "k"]).success(), "hit", None, &[]);
}

#[test]
fn what_is_remembered_and_evicted_is_told_with_the_facts() {
    let service = GitHubService::start();
    let (api, project) = setup();
    api.world().limit_gb = Some(1);
    project.write("workspace/cache/file", "content");
    at_service(&service, &project, 3, &["save", "--required", "--var", "v=1"]).success();
    let explain = || {
        let mut command =
            job_at_service(&service, &project, 3, &["explain", "--json", "data", "--var", "v=1"]);
        Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN)).success()
    };
    let told = |days: i64, megabytes: u64, words: &str| {
        // What this machine remembers is dated by its own clock, which the server's follows here.
        api.world().now = now_of_machine() + TimeDelta::days(days);
        api.world().caches.clear();
        api.world().save(MAIN, "something-else", (9.0, 8.0), megabytes);
        check(&explain(), "miss", Some("evicted"), &["was saved here", words]);
    };
    told(9, 10, "GitHub evicts entries that are not used for 7 d");
    told(1, 950, "the store holds 950.0 MB of 1.00 GB");
    told(1, 10, "it was deleted");
    // What was saved into one store is not missed in another.
    let mut elsewhere = project.command();
    elsewhere.args(["explain", "--json", "data", "--var", "v=1", "--repository", REPOSITORY]);
    elsewhere.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN);
    check(&Ran::of(&mut elsewhere).success(), "miss", Some("nothing-saved"), &[]);
}

#[expect(clippy::disallowed_methods, reason = "what is remembered is dated by the real clock")]
fn now_of_machine() -> DateTime<Utc> {
    Utc::now()
}

#[test]
fn a_missing_right_to_list_is_told() {
    let (api, project) = setup();
    api.world().may_read = false;
    let ran = explain(&api, &project, &["data"]).code(5);
    assert!(ran.stderr.contains("`actions=read`"), "{}", ran.stderr);
}

/// A job that speaks to the cache service, with or without the right to list.
fn at_service(service: &GitHubService, project: &Project, rights: u8, arguments: &[&str]) -> Ran {
    Ran::of(&mut job_at_service(service, project, rights, arguments))
}

fn job_at_service(service: &GitHubService, project: &Project, rights: u8, arguments: &[&str]) -> Command {
    let mut command = project.command();
    command.args(arguments).env("GITHUB_ACTIONS", "true").env("GITHUB_REF", MAIN);
    command.env("RUNNER_TEMP", project.path("temp")).env("GITHUB_WORKSPACE", project.path("workspace"));
    command.env("ACTIONS_RESULTS_URL", service.url()).env("GITHUB_REPOSITORY", REPOSITORY);
    command.env("ACTIONS_RUNTIME_TOKEN", GitHubService::token(&[(MAIN, rights)]));
    command.envs(cachekeep_test_support::event::started_by("push", &project.path("temp")));
    command
}

#[test]
fn the_cache_service_alone_tells_what_it_can() {
    let service = GitHubService::start();
    let project = Project::new(CONFIG);
    project.write("workspace/cache/file", "content");
    at_service(&service, &project, 3, &["save", "--required", "--var", "v=1"]).success();
    let explain =
        |arguments: &[&str]| at_service(&service, &project, 3, &[&["explain", "--json"], arguments].concat());
    check(&explain(&["data", "--var", "v=1"]).success(), "hit", None, &["hits exactly"]);
    // Another value of the part, looked for by ever shorter beginnings of the key.
    let told = ["`{var.v}` is `2` here and `1` there"];
    check(&explain(&["data", "--var", "v=2"]).success(), "miss", Some("key-part"), &told);
    let told = ["cannot be told", "there is no token for GitHub's API", "GITHUB_TOKEN"];
    check(&explain(&["data", "--key", "unlike"]).success(), "miss", Some("unavailable"), &told);
    check(&explain(&["--key", "unlike"]).success(), "miss", Some("unavailable"), &["one version at a time"]);
    // A token for the API that may not list is as good as none.
    let api = GitHubApi::start(now());
    api.world().may_read = false;
    let arguments = ["explain", "--json", "--key", "x", "data", "--var", "v=1"];
    let mut command = job_at_service(&service, &project, 3, &arguments);
    command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN);
    check(&Ran::of(&mut command).success(), "miss", Some("unavailable"), &["`actions=read`"]);
}

#[test]
fn a_token_or_mode_without_the_right_to_read_is_denied() {
    let service = GitHubService::start();
    let project = Project::new(CONFIG);
    let ran = at_service(&service, &project, 2, &["explain", "--json", "data", "--var", "v=1"]).success();
    check(
        &ran,
        "miss",
        Some("denied"),
        &["the job's token does not allow caches to be restored", "cache-mode"],
    );
}
