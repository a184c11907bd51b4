//! Jobs that are not as expected: no branch, no working directory, no directory for temporary files.

use std::fs;
use std::process::Command;

#[cfg(unix)]
use cachekeep_test_support::project::binary;
use cachekeep_test_support::project::{Project, Ran};

const CONFIG: &str = "[cache.deps]\npath = \"deps\"\nkey = \"deps-1\"\n";

/// Runs git in the workspace.
#[track_caller]
fn git(project: &Project, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).current_dir(project.path("workspace")).output().expect("git starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A checkout of a commit without its branch, as a CI makes it.
fn detached(config: &str) -> Project {
    let project = Project::new(config);
    for arguments in
        [&["init", "--quiet"][..], &["add", "."], &["commit", "-qm", "one"], &["checkout", "-q", "--detach"]]
    {
        git(&project, arguments);
    }
    project
}

fn in_ci(project: &Project, arguments: &[&str]) -> Ran {
    Ran::of(project.command().env("CI", "true").args(arguments))
}

fn hit(ran: &Ran) -> String {
    ran.json()["caches"][0]["restore"]["hit"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn builds_of_commits_without_a_branch_do_not_share_and_are_warned() {
    let project = detached(CONFIG);
    project.write("workspace/deps/file", "one");
    let ran = in_ci(&project, &["save", "--required"]).success();
    assert!(
        ran.stderr.contains("warning: the branch of this job is not known: it saves into refs/commits/"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("`--ref`"), "{}", ran.stderr);
    assert_eq!(hit(&in_ci(&project, &["restore", "--json"]).success()), "exact", "the same commit");
    git(&project, &["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(hit(&in_ci(&project, &["restore", "--json"]).success()), "none", "another commit");

    // What the default branch saved is read as ever, and a job with a branch is not warned.
    fs::remove_dir_all(project.path("workspace/deps")).expect("removed");
    project.write("workspace/deps/file", "main");
    let ran = in_ci(&project, &["save", "--required", "--ref", "main"]).success();
    assert!(!ran.stderr.contains("is not known"), "{}", ran.stderr);
    fs::remove_dir_all(project.path("workspace/deps")).expect("removed");
    assert_eq!(hit(&in_ci(&project, &["restore", "--json"]).success()), "exact");
    assert_eq!(project.read("workspace/deps/file"), "main");
}

#[test]
fn a_detached_checkout_on_a_laptop_is_not_warned_and_doctor_tells() {
    let project = detached(CONFIG);
    project.write("workspace/deps/file", "one");
    let ran = project.run(&["save"]).success();
    assert!(!ran.stderr.contains("is not known"), "{}", ran.stderr);
    let told = project.run(&["doctor"]);
    let told = format!("{}{}", told.stdout, told.stderr);
    assert!(told.contains("only jobs of this commit find its entries"), "{told}");
}

/// A command in a directory that was removed below it.
#[cfg(unix)]
fn in_removed_directory(project: &Project, arguments: &str) -> Ran {
    let mut command = Command::new("sh");
    cachekeep_test_support::project::scrub(&mut command, &project.path(""));
    command.current_dir(project.path("workspace"));
    let script = format!("mkdir gone && cd gone && rmdir ../gone && exec \"$0\" {arguments}");
    Ran::of(command.arg("-c").arg(script).arg(binary()))
}

#[cfg(unix)]
#[test]
fn a_removed_working_directory_is_said_and_stops_nothing() {
    let project = Project::new(CONFIG);
    project.write("workspace/deps/file", "contents");
    assert!(in_removed_directory(&project, "--version").success().stdout.starts_with("cachekeep "));
    let ran = in_removed_directory(&project, "save --required").success();
    assert!(ran.stderr.contains("the working directory `"), "{}", ran.stderr);
    assert!(ran.stderr.contains("no longer exists"), "{}", ran.stderr);
    assert!(ran.stderr.contains("deps: saved"), "the configuration above it is found: {}", ran.stderr);
    in_removed_directory(&project, "run -- sh -c 'exit 9'").code(9);
}

#[cfg(unix)]
#[test]
fn an_empty_tmpdir_counts_as_none() {
    let project = Project::new(CONFIG);
    project.write("workspace/deps/file", "contents");
    let ran = Ran::of(project.command().env("TMPDIR", "").args(["save", "--required"])).success();
    assert!(ran.stderr.contains("deps: saved"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn git_is_started_without_the_secrets_of_the_job() {
    use std::os::unix::fs::PermissionsExt as _;

    let project = detached("[cache.deps]\npath = \"deps\"\nkey = \"deps-{git:*.toml}\"\n");
    let seen = project.path("seen");
    let script = format!("#!/bin/sh\nenv >>'{}'\nPATH=${{PATH#*:}} exec git \"$@\"\n", seen.display());
    let git = project.write("bin/git", script);
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).expect("a mode");
    project.write("workspace/deps/file", "one");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("a path"));
    let mut command = project.command();
    command.env("PATH", path).env("VISIBLE", "stays").args(["save", "--required"]);
    for name in [
        "ENDPOINT_AUTH_x",
        "SECRET_A",
        "SYSTEM_ACCESSTOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "ACTIONS_RUNTIME_TOKEN",
    ] {
        command.env(name, "do-not-show");
    }
    Ran::of(&mut command).success();
    let seen = fs::read_to_string(seen).expect("git was started");
    assert!(seen.contains("VISIBLE=stays") && !seen.contains("do-not-show"), "{seen}");
}
