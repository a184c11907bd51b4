//! Repositories that share a directory store: each reads its own entries, on a laptop and on a CI alike.

use std::fs;
use std::path::Path;
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, file_url};

const CONFIG: &str = r#"
[cache.deps]
path = "deps"
key = "deps-v1-{var.n}"
restore-keys = ["deps-v1-"]
"#;

/// A checkout of the repository at this remote, or a directory without git.
fn checkout(config: &str, remote: Option<&str>) -> Project {
    let project = Project::new(config);
    if let Some(url) = remote {
        for arguments in [&["init", "--quiet"][..], &["remote", "add", "origin", url]] {
            let git = Command::new("git").arg("-C").arg(project.path("workspace")).args(arguments).status();
            assert!(git.expect("git starts").success());
        }
    }
    project
}

fn command(project: &Project, store: &Path, arguments: &[&str]) -> Command {
    let mut command = project.command();
    let store = file_url(store);
    // As a variable: `--ref` would say which entries `ls` and `clean` look at.
    command.env("CACHEKEEP_REF", "topic");
    command.args(arguments).args(["--store", &store, "--default-ref", "main"]);
    command
}

fn run(project: &Project, store: &Path, arguments: &[&str]) -> Ran {
    Ran::of(&mut command(project, store, arguments))
}

/// Saves a cache with this text under `deps-v1-<n>`.
fn save(project: &Project, store: &Path, n: &str, text: &str) {
    project.write("workspace/deps/file", text);
    run(project, store, &["save", "--required", "--var", &format!("n={n}")]).success();
}

/// Restores into an empty directory; the kind of hit, and the text.
fn restored(project: &Project, store: &Path, n: &str, more: &[&str]) -> (String, Option<String>) {
    let _ = fs::remove_dir_all(project.path("workspace/deps"));
    let arguments = ["restore", "--json", "--var", &format!("n={n}")];
    let document = run(project, store, &[&arguments, more].concat()).success().json();
    let hit = document["caches"][0]["restore"]["hit"].as_str().expect("a hit").to_owned();
    (hit, fs::read_to_string(project.path("workspace/deps/file")).ok())
}

fn hit(kind: &str, text: &str) -> (String, Option<String>) {
    (kind.to_owned(), Some(text.to_owned()))
}

fn miss() -> (String, Option<String>) {
    ("none".to_owned(), None)
}

fn listed(project: &Project, store: &Path, more: &[&str]) -> Vec<(String, String)> {
    let document = run(project, store, &[&["ls", "--json"], more].concat()).success().json();
    let entries = document["entries"].as_array().expect("entries");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("own").to_owned();
    let mut listed: Vec<_> = entries.iter().map(|e| (text(&e["section"]), text(&e["key"]))).collect();
    listed.sort();
    listed
}

/// Makes old entries of all that the store holds of one repository.
fn age(store: &Path, repository: &str) {
    fs::rename(store.join("repositories").join(repository), store.join("entries")).expect("moved");
}

#[test]
fn doctor_names_the_repository_whose_entries_a_job_reads() {
    let place = tempfile::tempdir().expect("a place");
    let one = checkout(CONFIG, Some("https://forge.example/team/one.git"));
    let told = run(&one, place.path(), &["doctor", "--json", "--var", "n=1"]).json();
    let checks = told["checks"].as_array().expect("checks");
    let repository = checks.iter().find(|check| check["name"] == "repository").expect("told");
    assert_eq!(repository["status"], "ok");
    assert_eq!(repository["text"], "forge.example/team/one, whose section of the store this job uses");
}

#[test]
fn equal_keys_of_two_repositories_are_read_apart() {
    let place = tempfile::tempdir().expect("a place");
    let one = checkout(CONFIG, Some("https://forge.example/team/one.git"));
    let two = checkout(CONFIG, Some("git@forge.example:team/two.git"));
    save(&one, place.path(), "1", "one");
    assert_eq!(restored(&two, place.path(), "1", &[]), miss());
    assert_eq!(restored(&two, place.path(), "2", &[]), miss());
    save(&two, place.path(), "1", "two");
    for (project, text) in [(&one, "one"), (&two, "two")] {
        assert_eq!(restored(project, place.path(), "1", &[]), hit("exact", text));
        assert_eq!(restored(project, place.path(), "2", &[]), hit("partial", text));
    }
    assert!(place.path().join("repositories/forge.example/team/one/refs=2fheads=2ftopic").is_dir());
}

#[test]
fn directories_without_a_remote_are_apart_in_the_default_store() {
    let one = checkout(CONFIG, None);
    one.write("workspace/deps/file", "one");
    one.run(&["save", "--required", "--var", "n=1"]).success();
    one.write("other/cachekeep.toml", CONFIG);
    let restore = |directory: &str| {
        let mut command = one.command();
        command.current_dir(one.path(directory)).args(["restore", "--json", "--var", "n=1"]);
        Ran::of(&mut command).success().json()["caches"][0]["restore"]["hit"].clone()
    };
    assert_eq!([restore("other"), restore("workspace")], ["none", "exact"]);
}

#[test]
fn directories_outside_of_checkouts_share_a_store_that_is_named_for_them() {
    let place = tempfile::tempdir().expect("a place");
    let [one, other] = [checkout(CONFIG, None), checkout(CONFIG, None)];
    save(&one, place.path(), "1", "one");
    assert_eq!(restored(&other, place.path(), "1", &[]), hit("exact", "one"));
    // A checkout is its own repository, with or without a remote.
    let init = Command::new("git").arg("-C").arg(other.path("workspace")).args(["init", "--quiet"]).status();
    assert!(init.expect("git starts").success());
    assert_eq!(restored(&other, place.path(), "1", &[]), miss());
    assert_eq!(restored(&checkout(CONFIG, Some("https://a.example/b/c")), place.path(), "1", &[]), miss());
}

#[test]
fn a_laptop_and_every_ci_of_a_repository_share() {
    let place = tempfile::tempdir().expect("a place");
    let laptop = checkout(CONFIG, Some("ssh://git@GitHub.com:22/Owner/Name"));
    save(&laptop, place.path(), "1", "laptop");
    let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "Owner/Name")];
    let azure = [("TF_BUILD", "True"), ("BUILD_REPOSITORY_URI", "https://github.com/Owner/Name")];
    let gitlab = [("CI_SERVER_HOST", "github.com"), ("CI_PROJECT_PATH", "owner/name")];
    let other = [("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "Fork/Name")];
    let check = |variables: &[(&str, &str)], expect: &str| {
        let job = checkout(CONFIG, None);
        let mut command = command(&job, place.path(), &["restore", "--json", "--var", "n=1"]);
        command.envs(variables.iter().copied()).env("RUNNER_TEMP", job.path("temp"));
        let document = Ran::of(&mut command).success().json();
        assert_eq!(document["caches"][0]["restore"]["hit"], expect, "{variables:?}");
    };
    check(&github, "exact");
    check(&azure, "exact");
    check(&[gitlab.as_slice(), &[("GITLAB_CI", "true")]].concat(), "exact");
    check(&other, "none");
}

#[test]
fn lists_and_cleaning_stop_at_the_repository_unless_they_are_asked_to_look_across() {
    let place = tempfile::tempdir().expect("a place");
    let config = format!("{CONFIG}\n[clean]\nbudget = \"1B\"\n");
    let one = checkout(&config, Some("https://forge.example/team/one"));
    let two = checkout(&config, Some("https://forge.example/team/two"));
    save(&one, place.path(), "1", "one");
    save(&two, place.path(), "1", "two");
    let own = |section: &str| (section.to_owned(), "deps-v1-1".to_owned());
    assert_eq!(listed(&one, place.path(), &[]), [own("own")]);
    assert_eq!(
        listed(&one, place.path(), &["--all-repositories"]),
        [own("forge.example/team/two"), own("own")]
    );
    let usage = run(&one, place.path(), &["usage", "--all-repositories"]).success().stdout;
    assert!(usage.contains("refs/heads/topic of forge.example/team/two"), "{usage}");
    run(&one, place.path(), &["clean"]).success();
    assert_eq!(listed(&one, place.path(), &[]), []);
    assert_eq!(restored(&two, place.path(), "1", &[]), hit("exact", "two"));
    run(&one, place.path(), &["clean", "--all-repositories"]).success();
    assert_eq!(listed(&two, place.path(), &[]), []);
}

#[test]
fn explain_does_not_mistake_another_repositorys_entry_for_its_own() {
    let place = tempfile::tempdir().expect("a place");
    let one = checkout(CONFIG, Some("https://forge.example/team/one"));
    let two = checkout(CONFIG, Some("https://forge.example/team/two"));
    save(&one, place.path(), "1", "one");
    let explained = |more: &[&str]| {
        let arguments = ["explain", "--var", "n=1"];
        run(&two, place.path(), &[&arguments, more].concat()).success().stdout
    };
    let found = "misses: the scope differs: `deps-v1-1` is there, but only in refs/heads/topic of forge.example/team/one";
    for more in [&[][..], &["--all-repositories"]] {
        let told = explained(more);
        assert!(told.contains(found) && told.contains("which this cache does not read"), "{told}");
    }
    // Where no section has the key, no other repository is named.
    let told = run(&two, place.path(), &["explain", "--key", "other-1"]).success().stdout;
    assert!(told.contains("nothing like it") && !told.contains("team/one"), "{told}");
}

#[test]
fn a_cache_that_is_shared_is_read_by_every_repository_and_no_other_cache_is() {
    let place = tempfile::tempdir().expect("a place");
    let shared = format!("{CONFIG}shared = true\n");
    let one = checkout(&shared, Some("https://forge.example/team/one"));
    let two = checkout(&shared, Some("https://forge.example/team/two"));
    let apart = checkout(CONFIG, Some("https://forge.example/team/one"));
    save(&one, place.path(), "1", "shared");
    assert_eq!(restored(&two, place.path(), "1", &[]), hit("exact", "shared"));
    assert_eq!(restored(&two, place.path(), "2", &[]), hit("partial", "shared"));
    assert_eq!(restored(&apart, place.path(), "1", &[]), miss());
    let entry = ("shared".to_owned(), "deps-v1-1".to_owned());
    assert_eq!(listed(&two, place.path(), &[]), [entry]);
    assert_eq!(listed(&apart, place.path(), &[]), []);
}

#[test]
fn old_entries_are_listed_and_cleaned_and_restored_only_when_they_are_adopted() {
    let place = tempfile::tempdir().expect("a place");
    let config = format!("{CONFIG}\n[clean]\nbudget = \"1B\"\n");
    let project = checkout(&config, Some("https://forge.example/team/one"));
    save(&project, place.path(), "1", "old");
    age(place.path(), "forge.example/team/one");
    assert_eq!(restored(&project, place.path(), "1", &[]), miss());
    let explained = run(&project, place.path(), &["explain", "--var", "n=1"]).success().stdout;
    assert!(explained.contains("--adopt") && explained.contains("(old layout)"), "{explained}");
    let entry = ("old".to_owned(), "deps-v1-1".to_owned());
    assert_eq!(listed(&project, place.path(), &[]), [entry]);
    assert_eq!(restored(&project, place.path(), "1", &["--adopt"]), hit("exact", "old"));
    assert_eq!(restored(&project, place.path(), "2", &["--adopt"]), hit("partial", "old"));
    // What was adopted is saved as this repository's own, which is then found first.
    save(&project, place.path(), "1", "new");
    assert_eq!(restored(&project, place.path(), "1", &["--adopt"]), hit("exact", "new"));
    run(&project, place.path(), &["clean"]).success();
    assert_eq!(listed(&project, place.path(), &[]), []);
}

#[test]
fn hostile_names_stay_in_the_store() {
    let place = tempfile::tempdir().expect("a place");
    let long = "x/".repeat(400);
    let names =
        ["../../../escape", "o/..", "./.", "o/\u{202e}r", "o/r\u{1b}[2J", "o/r\nx", &long, "o/=2e=2e"];
    for name in names {
        let store = place.path().join("store");
        let project = checkout(CONFIG, None);
        project.write("workspace/deps/file", name);
        let event = project.write("event.json", "{\"ref\": \"refs/heads/topic\"}");
        let job = |arguments: &[&str]| {
            let mut command = command(&project, &store, arguments);
            command.envs([("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", name)]);
            // A job whose event cannot be read saves nothing.
            command.env("GITHUB_EVENT_NAME", "push").env("GITHUB_EVENT_PATH", &event);
            Ran::of(command.env("RUNNER_TEMP", project.path("temp"))).success()
        };
        job(&["save", "--required", "--var", "n=1"]);
        let found = job(&["restore", "--json", "--var", "n=1"]).json();
        assert_eq!(found["caches"][0]["restore"]["hit"], "exact", "{name:?}");
        assert_eq!(project.read("workspace/deps/file"), name);
        let beside: Vec<_> = fs::read_dir(place.path()).expect("a list").flatten().collect();
        assert_eq!(beside.len(), 1, "{name:?} left something beside the store");
    }
    assert_eq!(fs::read_dir(place.path().join("store")).expect("a list").count(), 3);
}
