//! `doctor --online` finds out whether a lookup alone counts as the use of an entry.

use std::process::Command;

use cachekeep_test_support::event::started_by;
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::github_service::{GitHubService, Point};
use cachekeep_test_support::project::{Project, Ran};
use chrono::{DateTime, Utc};

const MAIN: &str = "refs/heads/main";

const CONFIG: &str = "[cache.out]\npath = \"{workspace}/out\"\nkey = \"out-v1\"\n";

#[expect(clippy::disallowed_methods, reason = "the program compares with the real clock")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn command(service: &GitHubService, project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command();
    command.args(arguments).env("GITHUB_ACTIONS", "true").env("GITHUB_REF", MAIN);
    command.env("RUNNER_TEMP", project.path("temp")).env("GITHUB_WORKSPACE", project.path("workspace"));
    command.env("ACTIONS_RESULTS_URL", service.url()).env("GITHUB_REPOSITORY", REPOSITORY);
    command.env("ACTIONS_RUNTIME_TOKEN", GitHubService::token(&[(MAIN, 3)]));
    command.envs(started_by("push", &project.path("temp")));
    command
}

/// A job whose entry was used hours ago, and how its time of last use changes after each request of a listing, in seconds from now. A
/// listing is two requests.
fn doctor(hours: f64, after_requests: &[Option<i64>]) -> String {
    let (service, api) = (GitHubService::start(), GitHubApi::start(now()));
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "content");
    Ran::of(&mut command(&service, &project, &["save", "--required"])).success();
    {
        let mut world = api.world();
        world.save(MAIN, "out-v1", (9.0, hours), 1);
        world.caches[0].version = service.entries()[0].0.version.clone();
        let mut changes: Vec<Option<i64>> = after_requests.iter().rev().copied().collect();
        world.twist = Some(Box::new(move |_, path, world| {
            if path.contains("/actions/caches")
                && let Some(Some(seconds)) = changes.pop()
            {
                world.caches[0].last_accessed_at = world.now + chrono::TimeDelta::seconds(seconds);
            }
        }));
    }
    let counts = || (service.count(Point::Lookup), service.count(Point::Get));
    let before = counts();
    let mut asked = command(&service, &project, &["doctor", "--online"]);
    asked.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN);
    let ran = Ran::of(&mut asked);
    // One asks whether the service answers at all; nothing is downloaded.
    let expect = if hours < 0.03 { 1 } else { 2 };
    assert_eq!(counts(), (before.0 + expect, before.1), "{}", ran.stdout);
    let lines = ran.stdout.lines().filter(|line| line.contains(" uses: ")).map(str::trim_end);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_lookup_counts_as_a_use_at_once_or_later_or_not() {
    let at_once = doctor(8.0, &[None, Some(0)]);
    assert_eq!(at_once, "ok       uses: the service counts a lookup, that of `out-v1`, as a use at once");
    let later = doctor(8.0, &[None, None, None, Some(0)]);
    assert_eq!(
        later,
        "note     uses: the service counts a lookup, that of `out-v1`, as a use, some seconds later"
    );
    let not = doctor(8.0, &[]);
    assert_eq!(not, "warning  uses: the service did not count a lookup, that of `out-v1`, as a use");
}

#[test]
fn an_entry_that_was_just_used_tells_nothing() {
    let told = doctor(0.01, &[]);
    assert_eq!(
        told,
        "note     uses: there is no entry to find out whether the service counts a lookup as a use"
    );
}
