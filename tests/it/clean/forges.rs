//! Cleaning a store of our own where the forge can be asked which pull requests are open.

use cachekeep_test_support::forges::{Forges, Pull};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::project::{Project, Ran, file_url};
use serde_json::Value;

const CONFIG: &str = r#"
[cache.c]
path = "cache"
key = "c-{var.n}"

[clean]
closed-pull-requests = { grace = "3d" }
"#;

/// Open, closed long ago, merged long ago, closed just now.
fn pulls() -> [(u64, Pull); 4] {
    let closed = |at: &str, is_merged| Pull { closed_at: Some(at.to_owned()), is_merged };
    [
        (1, Pull::default()),
        (2, closed("2026-01-02T03:04:05.678Z", false)),
        (3, closed("2026-01-02T03:04:05+02:00", true)),
        (4, closed(&chrono::Utc::now().to_rfc3339(), false)),
    ]
}

/// Saves an entry in the scope of each pull request, one that no forge knows, and one on the main branch.
fn saved(variables: &[(&'static str, String)], requests: &str) -> Project {
    let project = Project::new(CONFIG);
    for number in 1..=5 {
        let git_ref = if requests == "merge-requests" { "head" } else { "merge" };
        save(&project, variables, &format!("refs/{requests}/{number}/{git_ref}"), number);
    }
    save(&project, variables, "refs/heads/main", 9);
    project
}

fn save(project: &Project, variables: &[(&'static str, String)], git_ref: &str, number: u64) {
    project.write("workspace/cache/file", number.to_string());
    let number = format!("n={number}");
    run(project, variables, &["save", "--required", "--role", "writer", "--ref", git_ref, "--var", &number])
        .success();
}

fn run(project: &Project, variables: &[(&'static str, String)], arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    let mut command = project.command();
    command.args(arguments).args(["--store", &store, "--default-ref", "main"]);
    Ran::of(command.envs(variables.iter().map(|(name, value)| (name, value))))
}

fn with(variables: &[(&'static str, String)], name: &str, value: &str) -> Vec<(&'static str, String)> {
    let of = |(known, old): &(&'static str, String)| {
        (*known, if *known == name { value.to_owned() } else { old.clone() })
    };
    variables.iter().map(of).collect()
}

/// The keys that a plan deletes.
fn deleted(plan: &Value) -> Vec<&str> {
    let entries = plan["plan"]["entries"].as_array().expect("entries").iter();
    let mut keys: Vec<&str> = entries
        .filter(|entry| entry["verdict"] == "delete")
        .filter_map(|entry| entry["key"].as_str())
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn entries_of_pull_requests_go_when_azure_repos_has_closed_them() {
    let forges = Forges::start(pulls());
    let project = saved(&forges.azure(), "pull");
    let plan = run(&project, &forges.azure(), &["clean", "--dry-run", "--json"]).success().json();
    assert_eq!(deleted(&plan), ["c-2", "c-3"], "{plan}");
    // A lost answer is asked for again.
    forges.fail(&[503]);
    run(&project, &forges.azure(), &["clean"]).success();
    let left = run(&project, &forges.azure(), &["ls", "--json"]).success().json();
    assert_eq!(left["entries"].as_array().map(Vec::len), Some(4), "{left}");
}

#[test]
fn entries_of_merge_requests_go_when_gitlab_has_closed_them() {
    let forges = Forges::start(pulls());
    let project = saved(&forges.gitlab(), "merge-requests");
    let plan = run(&project, &forges.gitlab(), &["clean", "--dry-run", "--json"]).success().json();
    assert_eq!(deleted(&plan), ["c-2", "c-3"], "{plan}");
    assert_eq!(forges.asked().len(), 1, "one question for all of them: {:?}", forges.asked());
}

#[test]
fn entries_of_pull_requests_go_when_github_has_closed_them() {
    let api = GitHubApi::start(chrono::Utc::now());
    for (number, hours) in [(1, None), (2, Some(100.0)), (3, Some(200.0)), (4, Some(1.0))] {
        api.world().pull(number, hours);
    }
    let variables = [
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_EVENT_NAME", "push".to_owned()),
        ("GITHUB_REPOSITORY", REPOSITORY.to_owned()),
        ("GITHUB_API_URL", api.url()),
        ("GITHUB_TOKEN", TOKEN.to_owned()),
    ];
    let project = saved(&variables, "pull");
    let plan = run(&project, &variables, &["clean", "--dry-run", "--json"]).success().json();
    assert_eq!(deleted(&plan), ["c-2", "c-3"], "{plan}");
}

#[test]
fn where_the_forge_does_not_answer_nothing_of_pull_requests_goes() {
    let forges = Forges::start(pulls());
    let project = saved(&forges.azure(), "pull");
    let wrong = with(&forges.azure(), "SYSTEM_ACCESSTOKEN", "not-the-token-of-the-job");
    let ran = run(&project, &wrong, &["clean", "--json"]).success();
    assert_eq!(deleted(&ran.json()), [""; 0], "{}", ran.stderr);
    assert!(
        ran.stderr.contains("cannot ask Azure Repos which pull requests are open: http"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("SYSTEM_ACCESSTOKEN"), "{}", ran.stderr);

    // GitLab's API refuses in its own way.
    let wrong = with(&forges.gitlab(), "GITLAB_TOKEN", "not-the-token-of-the-job");
    let project = saved(&wrong, "merge-requests");
    let ran = run(&project, &wrong, &["clean", "--json"]).success();
    assert_eq!(deleted(&ran.json()), [""; 0], "{}", ran.stderr);
    assert!(ran.stderr.contains("`read_api`"), "{}", ran.stderr);
}

#[test]
fn without_a_token_no_forge_is_asked() {
    let forges = Forges::start(pulls());
    let mut variables = forges.azure();
    variables.retain(|(name, _)| *name != "SYSTEM_ACCESSTOKEN");
    let project = saved(&variables, "pull");
    let plan = run(&project, &variables, &["clean", "--dry-run", "--json"]).success().json();
    assert_eq!(deleted(&plan), [""; 0], "{plan}");
    // Nor for what only lists.
    run(&project, &forges.azure(), &["ls"]).success();
    assert_eq!(forges.asked(), [""; 0]);
}
