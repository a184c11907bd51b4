//! Cleaning a repository's caches: the binary against a fake of GitHub's API.

mod by_hand;
mod catalog;
mod defects;
mod forges;
mod leases;
mod long_sweep;
pub(crate) mod own_store;
mod page;
mod plans;
mod stored;
mod summary;
mod summary_page;
mod sweep;
mod thin_entries;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::project::{Project, Ran};

/// A sweep as a repository declares it.
const NIGHTLY: &str = r#"
[clean]
closed-pull-requests = { grace = "3d" }
deleted-refs = { grace = "3d" }
superseded = { keep = 1 }
budget = "9GB"
protect = ["externaldata-*"]
"#;

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().expect("a time")
}

/// A server and a project that is cleaned by this configuration.
fn setup(config: &str) -> (GitHubApi, Project) {
    (GitHubApi::start(now()), Project::new(config))
}

/// Cleans, as fast as the server answers.
fn clean(api: &GitHubApi, project: &Project, arguments: &[&str]) -> Ran {
    let fast = ["clean", "--json", "--repository", REPOSITORY, "--deletions-per-minute", "1000000"];
    let mut command = project.command();
    command.args(fast).args(arguments).env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN);
    Ran::of(&mut command)
}

fn ids(list: &Value) -> BTreeSet<String> {
    list.as_array().expect("a list").iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
}

/// What the plan deletes.
fn planned(document: &Value) -> BTreeSet<String> {
    let entries = document["plan"]["entries"].as_array().expect("entries");
    let going = entries.iter().filter(|entry| entry["verdict"] == "delete");
    going.map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}

/// The first reason for keeping or deleting an entry.
fn reason(document: &Value, id: u64) -> String {
    let entries = document["plan"]["entries"].as_array().expect("entries");
    let entry =
        entries.iter().find(|entry| entry["id"] == id.to_string().as_str()).expect("it is planned for");
    format!(
        "{}: {}",
        entry["verdict"].as_str().expect("a verdict"),
        entry["reasons"][0]["rule"].as_str().expect("a rule")
    )
}
