//! Caches of cargo: what of `target` is worth saving, shown by a real cargo.

use std::fs;
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, file_url, scrub};

const CONFIG: &str = "[cache.cargo]\nkind = \"cargo\"\nkey = \"cargo-1\"\n";

/// A workspace with a package that needs one from a repository of git, which needs no network.
fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("dep/Cargo.toml", "[package]\nname = \"far-away\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[lib]\nname = \"other_name\"\n");
    project.write("dep/src/lib.rs", "pub fn answer() -> u32 { 42 }\n");
    for arguments in [
        &["init", "--quiet", "."][..],
        &["add", "."],
        &["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "-m", "first"],
    ] {
        program(&project, "git", "dep", arguments);
    }
    let url = file_url(&project.path("dep"));
    let manifest = "[package]\nname = \"my-app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n";
    project.write("workspace/Cargo.toml", format!("{manifest}far-away = {{ git = \"{url}\" }}\n"));
    project.write("workspace/src/main.rs", "fn main() { println!(\"{}\", other_name::answer()); }\n");
    project
}

fn program(project: &Project, name: &str, directory: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(name);
    scrub(&mut command, &project.path(""));
    // Rustup finds its toolchains in the home of the user of these tests.
    for variable in ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(variable) {
            command.env(variable, value);
        }
    }
    if std::env::var_os("RUSTUP_HOME").is_none()
        && let Some(home) = std::env::var_os("HOME")
    {
        command.env("RUSTUP_HOME", std::path::Path::new(&home).join(".rustup"));
    }
    Ran::of(command.current_dir(project.path(directory)).args(arguments)).success()
}

fn named(project: &Project, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(project.path(directory)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_built_of_the_workspace_is_left_out_and_dependencies_are_fresh_after_a_restore() {
    let project = project();
    program(&project, "cargo", "workspace", &["build", "--quiet"]);
    project.write("home/.cargo/registry/cache/index/gone-1.0.0.crate", "x");
    project.write("home/.cargo/registry/index/index/config.json", "{}");
    project.run(&["save"]).success();
    assert!(project.path("workspace/target/debug/my-app").exists(), "what is left out stays on disk");
    fs::remove_dir_all(project.path("workspace/target")).expect("removed");
    fs::remove_dir_all(project.path("home/.cargo")).expect("removed");
    project.run(&["restore", "--fail-on-miss"]).success();
    let deps = named(&project, "workspace/target/debug/deps");
    assert!(deps.iter().any(|name| name.starts_with("libother_name-")), "{deps:?}");
    assert!(!deps.iter().any(|name| name.starts_with("my_app-")), "{deps:?}");
    assert!(!project.path("workspace/target/debug/my-app").exists());
    assert!(named(&project, "home/.cargo/registry/cache/index").is_empty());
    assert_eq!(named(&project, "home/.cargo/registry/index/index"), ["config.json"]);
    let built = program(&project, "cargo", "workspace", &["build", "--verbose", "--offline"]);
    assert!(built.stderr.contains("Fresh far-away v1.0.0"), "{}", built.stderr);
    assert!(built.stderr.contains("Compiling my-app v0.1.0"), "{}", built.stderr);
    let again = project.run(&["save", "--json"]).success();
    assert_eq!(again.json()["caches"][0]["save"]["save-result"], "exists", "{}", again.stderr);
}

/// A workspace of two packages in a checkout of git, with a `target` that is saved.
fn workspace() -> Project {
    let project = Project::new(
        "[cache.cargo]\nkind = \"cargo\"\nkey = \"cargo-{sha}\"\nrestore-keys = [\"cargo-\"]\nmtime = \"content\"\n",
    );
    project
        .write("workspace/Cargo.toml", "[workspace]\nmembers = [\"app\", \"library\"]\nresolver = \"2\"\n");
    project.write("workspace/.gitignore", "target\n");
    for (name, more) in [("app", "[dependencies]\nlibrary = { path = \"../library\" }\n"), ("library", "")] {
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}");
        project.write(&format!("workspace/{name}/Cargo.toml"), manifest);
    }
    project.write("workspace/app/src/main.rs", "fn main() { println!(\"{}\", library::answer()); }\n");
    project.write("workspace/library/src/lib.rs", "pub fn answer() -> u32 { 42 }\n");
    // Nothing is downloaded here, and a root that is not there after a restore would fail the save.
    project.write("home/.cargo/registry/index/index/config.json", "{}");
    project.write("home/.cargo/git/db/none/HEAD", "");
    program(&project, "cargo", "workspace", &["generate-lockfile", "--offline", "--quiet"]);
    program(&project, "git", "workspace", &["init", "--quiet", "."]);
    commit(&project);
    project
}

fn commit(project: &Project) {
    program(project, "git", "workspace", &["add", "."]);
    let name = ["-c", "user.name=n", "-c", "user.email=e@example.org"];
    program(project, "git", "workspace", &[&name[..], &["commit", "--quiet", "-m", "x"]].concat());
}

/// Another machine checks the workspace out: all files are new, and nothing is built.
fn check_out_anew(project: &Project) {
    let place = project.path("workspace");
    fs::rename(place.join(".git"), project.path("git")).expect("moved");
    fs::remove_dir_all(&place).expect("removed");
    fs::create_dir(&place).expect("made");
    fs::rename(project.path("git"), place.join(".git")).expect("moved");
    program(project, "git", "workspace", &["checkout", "--quiet", "--", "."]);
}

/// The packages that cargo compiles, in the order of their names.
fn compiled(project: &Project) -> Vec<String> {
    let built = program(project, "cargo", "workspace", &["build", "--verbose", "--offline"]);
    let mut names: Vec<String> = built
        .stderr
        .lines()
        .filter_map(|line| Some(line.trim_start().strip_prefix("Compiling ")?.split(' ').next()?.to_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn with_times_by_content_a_fresh_checkout_builds_only_what_changed_over_three_commits() {
    let project = workspace();
    assert_eq!(compiled(&project), ["app", "library"]);
    project.run(&["save", "--required"]).success();

    check_out_anew(&project);
    let ran = project.run(&["restore", "--fail-on-miss"]).success();
    assert!(ran.stderr.contains("have the times that `target` was built with"), "{}", ran.stderr);
    assert_eq!(compiled(&project), [] as [&str; 0], "an unchanged checkout");
    let again = project.run(&["save", "--json"]).success().json();
    assert_eq!(again["caches"][0]["save"]["save-result"], "exists");

    // The program alone changes, then the library that it uses.
    for (path, text, expect) in [
        ("app/src/main.rs", "fn main() { println!(\"now {}\", library::answer()); }\n", &["app"][..]),
        ("library/src/lib.rs", "pub fn answer() -> u32 { 43 }\n", &["app", "library"]),
    ] {
        project.write(&format!("workspace/{path}"), text);
        commit(&project);
        check_out_anew(&project);
        project.run(&["restore", "--fail-on-miss"]).success();
        assert_eq!(compiled(&project), expect, "{path}");
        project.run(&["save", "--required"]).success();
    }
    let app = project.path("workspace/target/debug/app");
    let ran = program(&project, app.to_str().expect("text"), "workspace", &[]);
    assert_eq!(ran.stdout, "now 43\n");
}

#[test]
fn a_source_that_is_older_than_what_was_built_of_another_one_is_built() {
    let project = workspace();
    compiled(&project);
    project.run(&["save", "--required"]).success();
    let path = project.write("workspace/library/src/lib.rs", "pub fn answer() -> u32 { 44 }\n");
    commit(&project);
    fs::remove_dir_all(project.path("workspace/target")).expect("removed");
    let old =
        fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
    fs::File::options().write(true).open(path).and_then(|file| file.set_times(old)).expect("touched");
    project.run(&["restore", "--fail-on-miss"]).success();
    assert_eq!(compiled(&project), ["app", "library"]);
}
