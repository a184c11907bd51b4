//! `ls` and `usage` of a repository's caches.

use super::setup;
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::project::{Project, Ran};

fn run(api: &GitHubApi, project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).env("GITHUB_ACTIONS", "true").env("GITHUB_REPOSITORY", REPOSITORY);
    Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN))
}

#[test]
fn entries_are_listed_and_summed_up() {
    let (api, project) = setup("");
    api.world().limit_gb = Some(20);
    api.world().pull(1, Some(1.0));
    api.world().save("refs/heads/main", "ccache-20261101", (50.0, 2.0), 300);
    api.world().save("refs/heads/main", "ccache-20261102", (40.0, 3.0), 200);
    api.world().save("refs/pull/1/merge", "other", (30.0, 25.0), 100);
    let list = run(&api, &project, &["ls", "--json"]).success().json();
    let keys: Vec<&str> =
        list["entries"].as_array().expect("entries").iter().filter_map(|e| e["key"].as_str()).collect();
    assert_eq!(keys, ["other", "ccache-20261102", "ccache-20261101"]);
    let usage = run(&api, &project, &["usage", "--json"]).success().json();
    assert_eq!(usage["total"]["bytes"], 600_000_000);
    assert_eq!(usage["limit"], 20_000_000_000_u64);
    assert_eq!(usage["by-pattern"][0]["name"], "ccache-*");
    assert_eq!(usage["by-pattern"][0]["bytes"], 500_000_000);
    assert_eq!(usage["by-reach"][1]["name"], "no job");
    assert_eq!(usage["next"][0]["key"], "other");
    let text = run(&api, &project, &["usage"]).success().stdout;
    assert!(text.starts_with("600.0 MB in 3 entries in GitHub's caches of octo/hello"), "{text}");
    assert!(text.contains("full in"), "{text}");
    let text = run(&api, &project, &["ls"]).success().stdout;
    // A heading and the entries.
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn a_missing_permission_or_token_is_told() {
    let (api, project) = setup("");
    api.world().may_read = false;
    let ran = run(&api, &project, &["usage"]).code(5);
    assert!(ran.stderr.contains("`actions=read`"), "{}", ran.stderr);
    let mut command = project.command();
    let ran = Ran::of(command.args(["ls", "--repository", "octo/hello"])).code(2);
    assert!(ran.stderr.contains("there is no token"), "{}", ran.stderr);
    let ran = run(&api, &project, &["ls", "--repository", "no repository"]).code(2);
    assert!(ran.stderr.contains("is not a repository"), "{}", ran.stderr);
}
