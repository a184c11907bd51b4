//! The modes of the action that do one thing for a job: `fetch`, `trim`, `disk`, `usage`, `delete`.

use std::fs;

use crate::action::definition::sha256;
use crate::action::steps::Job;
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::github_service::signing::now;
use cachekeep_test_support::project::file_url;

const CONFIG: &str = "[cache.out]\npath = \"out\"\nkey = \"k\"\ntrim = { max-size = \"1kB\" }\n";

#[test]
fn trim_makes_a_cache_smaller_and_works_without_a_token() {
    let job = Job::new();
    job.write("workspace/cachekeep.toml", CONFIG);
    job.write("workspace/out/large", &"x".repeat(5_000));
    let look = job.step("start", &[("mode", "trim"), ("cache", "out"), ("dry-run", "true")]);
    assert_eq!(look.code, 0, "{}", look.log);
    assert!(job.path("workspace/out/large").exists(), "{}", look.log);
    let done = job.step("start", &[("mode", "trim"), ("cache", "out")]);
    assert_eq!(done.code, 0, "{}", done.log);
    assert!(!job.path("workspace/out/large").exists(), "{}", done.log);
    assert!(!done.log.contains("actions/cache moves"), "no archive is moved: {}", done.log);
    assert!(!done.outputs.contains_key("key-0") && !done.outputs.contains_key("hit"), "{:?}", done.outputs);
}

#[test]
fn fetch_asks_mirrors_for_what_links_want() {
    let job = Job::new();
    let digest = sha256(b"bytes");
    job.write(&format!("mirror/SHA256/{digest}"), "bytes");
    job.write("workspace/a.sha256", &digest);
    let mirror = file_url(&job.path("mirror"));
    let config = format!(
        "[cache.out]\npath = \"out\"\nkey = \"k-{{links}}\"\n[cache.out.links]\nfiles = [\"*.sha256\"]\n\
         object = \"{{ALGO}}/{{hash}}\"\nmirrors = [\"{mirror}/{{ALGO}}/{{hash}}\"]\n"
    );
    job.write("workspace/cachekeep.toml", &config);
    let done = job.step("start", &[("mode", "fetch"), ("required", "true")]);
    assert_eq!((done.code, done.outputs["seeded"].as_str()), (0, "true"), "{}", done.log);
    let object = job.path(&format!("workspace/out/SHA256/{digest}"));
    assert_eq!(fs::read_to_string(object).expect("fetched"), "bytes");
}

#[test]
fn disk_shows_volumes_and_frees_only_when_asked() {
    let job = Job::new();
    job.write("workspace/cachekeep.toml", &format!("{CONFIG}[disk]\nfree = [\"{{workspace}}/build\"]\n"));
    job.write("workspace/build/large", "text");
    let done = job.step("start", &[("mode", "disk")]);
    assert_eq!(done.code, 0, "{}", done.log);
    assert!(done.log.contains(" free of "), "{}", done.log);
    assert!(job.path("workspace/build/large").exists());
    let half = job.step("start", &[("mode", "disk"), ("dry-run", "true")]);
    assert!(half.code == 2 && half.log.contains("`free`"), "{}", half.log);
    let look = job.step("start", &[("mode", "disk"), ("free", "true"), ("dry-run", "true")]);
    assert_eq!(look.code, 0, "{}", look.log);
}

/// A job with a token for the caches of a repository.
fn job_with(api: &GitHubApi) -> Job {
    let mut job = Job::new();
    job.set("GITHUB_API_URL", &api.url());
    job.set("GITHUB_REPOSITORY", REPOSITORY);
    job.set("GITHUB_TOKEN", TOKEN);
    job
}

#[test]
fn usage_says_where_the_bytes_are_and_writes_a_page() {
    let api = GitHubApi::start(now());
    api.world().save("refs/heads/main", "ccache-1", (5.0, 4.0), 1_000);
    let job = job_with(&api);
    job.write("workspace/cachekeep.toml", CONFIG);
    let done = job.step("start", &[("mode", "usage"), ("html", "usage.html")]);
    assert_eq!(done.code, 0, "{}", done.log);
    assert!(done.log.contains("ccache-"), "{}", done.log);
    let page = fs::read_to_string(job.path("workspace/usage.html")).expect("a page");
    assert!(page.contains("ccache-"));
}

#[test]
fn delete_takes_the_entries_that_its_inputs_name() {
    let api = GitHubApi::start(now());
    let [wrong, other, far] = ["ccache-1", "npm-1", "ccache-2"].map(|key| {
        let git_ref = if key == "ccache-2" { "refs/heads/topic" } else { "refs/heads/main" };
        api.world().save(git_ref, key, (5.0, 4.0), 1_000).to_string()
    });
    let job = job_with(&api);
    job.write("workspace/cachekeep.toml", CONFIG);
    let all = api.world().ids();
    let chosen = [("mode", "delete"), ("key-prefix", "ccache-"), ("ref", "refs/heads/main")];
    let nothing = job.step("start", &[("mode", "delete")]);
    assert!(nothing.code == 2 && nothing.log.contains("nothing says which entries"), "{}", nothing.log);
    let look = job.step("start", &[&chosen[..], &[("dry-run", "true")]].concat());
    assert_eq!((look.code, api.world().ids()), (0, all), "{}", look.log);
    let done = job.step("start", &chosen);
    assert_eq!(done.code, 0, "{}", done.log);
    let left = api.world().ids();
    assert!(!left.contains(&wrong) && left.contains(&other) && left.contains(&far), "{left:?}");
}
