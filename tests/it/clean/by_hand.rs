//! `delete`, and what narrows `ls`, `clean` and `usage`: on GitHub and in a directory store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{ids, now, planned, reason};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::project::{Project, Ran, file_url};
use cachekeep_test_support::skip;

const CONFIG: &str = r#"
[cache.c]
path = "cache"
key = "{var.k}"

[clean]
superseded = { keep = 1 }
protect = ["keep-*"]
"#;

fn on_github(api: &GitHubApi, project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).args(["--json", "--repository", REPOSITORY]);
    Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN))
}

fn in_directory(project: &Project, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    project.run(&[arguments, &["--store", &store, "--default-ref", "main"]].concat())
}

fn saved(project: &Project, scope: &str, key: &str, bytes: usize) {
    let noise: Vec<u8> = (0..bytes).map(|_| rand::random::<u8>()).collect();
    project.write("workspace/cache/file", noise);
    let variable = format!("k={key}");
    in_directory(project, &["save", "--required", "--ref", scope, "--var", &variable]).success();
}

fn listed(project: &Project, arguments: &[&str]) -> Vec<String> {
    let document = in_directory(project, &[&["ls", "--json"], arguments].concat()).success().json();
    let entries = document["entries"].as_array().expect("entries");
    entries.iter().map(|entry| entry["key"].as_str().expect("a key").to_owned()).collect()
}

fn populated() -> Project {
    let project = Project::new(CONFIG);
    saved(&project, "main", "deps-1", 3_000);
    saved(&project, "main", "deps-2", 1_000);
    saved(&project, "topic", "deps-3", 2_000);
    saved(&project, "main", "keep-1", 9_000);
    project
}

#[test]
fn caches_on_github_are_deleted_by_each_condition_and_nothing_else_is() {
    let project = Project::new(CONFIG);
    let api = GitHubApi::start(now());
    let [a, b, c, d, e] = {
        let mut world = api.world();
        world.pull(7, None);
        [
            world.save("refs/heads/main", "ccache-1", (240.0, 1.0), 900),
            world.save("refs/heads/main", "ccache-2", (24.0, 20.0), 100),
            world.save("refs/pull/7/merge", "ccache-2", (10.0, 10.0), 50),
            world.save("refs/heads/main", "keep-1", (480.0, 480.0), 10),
            world.save("refs/heads/main", "npm-1", (480.0, 480.0), 10),
        ]
        .map(|id| id.to_string())
    };
    let all = api.world().ids();
    let check = |arguments: &[&str], expect: &[&String]| {
        let ran = on_github(&api, &project, &[&["delete", "--dry-run"], arguments].concat()).success();
        let expect: BTreeSet<String> = expect.iter().map(|id| (*id).clone()).collect();
        assert_eq!(planned(&ran.json()), expect, "{arguments:?}: {}", ran.stderr);
    };
    check(&["--id", &a], &[&a]);
    check(&["--id", &a, "--id", &e], &[&a, &e]);
    check(&["--key", "ccache-2"], &[&b, &c]);
    check(&["--key", "ccache-2", "--ref", "refs/pull/7/merge"], &[&c]);
    check(&["--prefix", "ccache-", "--ref", "main"], &[&a, &b]);
    // By the server's clock, which is not this machine's.
    check(&["--older-than", "15d"], &[&e]);
    check(&["--older-than", "15d", "--with-protected"], &[&d, &e]);
    check(&["--unused-for", "1d"], &[&e]);
    check(&["--larger-than", "100MB"], &[&a, &b]);
    check(&["--larger-than", "60MB", "--smaller-than", "100MB"], &[&b]);
    check(&["--key", "ccache"], &[]);
    assert_eq!(api.world().ids(), all, "a dry run deletes nothing");

    let done = on_github(&api, &project, &["delete", "--prefix", "ccache-", "--ref", "main"]).success();
    let document = done.json();
    assert_eq!(document["command"], "delete");
    assert_eq!(ids(&document["rounds"][0]["deleted"]), BTreeSet::from([a.clone(), b.clone()]));
    assert_eq!(reason(&document, a.parse().expect("a number")), "delete: chosen");
    assert_eq!(api.world().ids(), BTreeSet::from([c, d, e]));

    api.world().may_delete = false;
    on_github(&api, &project, &["delete", "--key", "npm-1"]).code(5);
}

#[test]
fn cleaning_one_ref_keeps_every_other() {
    let project = Project::new(CONFIG);
    let api = GitHubApi::start(now());
    let [old, new, other] = {
        let mut world = api.world();
        world.refs.extend(["refs/heads/a", "refs/heads/b"].map(str::to_owned));
        let mut save = |git_ref: &str, key: &str, hours| world.save(git_ref, key, (hours, hours), 5);
        save("refs/heads/b", "deps-1234567", 90.0);
        let other = save("refs/heads/b", "deps-1234568", 80.0);
        [save("refs/heads/a", "deps-1234567", 90.0), save("refs/heads/a", "deps-1234568", 80.0), other]
    };
    let ran = on_github(&api, &project, &["clean", "--ref", "a"]).success();
    assert_eq!(planned(&ran.json()), BTreeSet::from([old.to_string()]));
    assert_eq!(reason(&ran.json(), other), "keep: other-ref");
    assert!(api.world().ids().contains(&new.to_string()));
    on_github(&api, &project, &["clean", "--ref", "a", "--pull-request", "7"]).code(2);
}

#[test]
fn a_list_is_filtered_sorted_and_cut() {
    let project = populated();
    assert_eq!(listed(&project, &["--sort", "key"]), ["deps-1", "deps-2", "deps-3", "keep-1"]);
    assert_eq!(listed(&project, &["--sort", "size", "--limit", "2"]), ["keep-1", "deps-1"]);
    assert_eq!(listed(&project, &["--sort", "size", "--reverse", "--limit", "1"]), ["deps-2"]);
    assert_eq!(listed(&project, &["--sort", "saved"]), ["deps-1", "deps-2", "deps-3", "keep-1"]);
    assert_eq!(listed(&project, &["--ref", "topic"]), ["deps-3"]);
    assert_eq!(
        listed(&project, &["--prefix", "deps-", "--ref", "main", "--sort", "key"]),
        ["deps-1", "deps-2"]
    );
    assert_eq!(listed(&project, &["--key", "deps-2"]), ["deps-2"]);
    assert_eq!(listed(&project, &["--older-than", "1d"]), [] as [&str; 0]);
    let cut = in_directory(&project, &["ls", "--limit", "1"]).success();
    assert!(cut.stderr.contains("1 of 4 entries listed"), "{}", cut.stderr);
    let usage = in_directory(&project, &["usage", "--json", "--ref", "topic"]).success().json();
    assert_eq!(usage["total"]["entries"], 1);
    in_directory(&project, &["usage", "--ref", "topic", "--html", "page.html"]).code(2);
}

#[test]
fn what_is_deleted_from_a_directory_store_is_gone_and_what_is_read_or_protected_is_not() {
    let project = populated();
    let id = {
        let document = in_directory(&project, &["ls", "--json", "--key", "deps-2"]).success().json();
        document["entries"][0]["id"].as_str().expect("an id").to_owned()
    };
    let ran = in_directory(&project, &["delete", "--id", &id]).success();
    assert!(ran.stderr.contains("`deps-2` of refs/heads/main: "), "the plan is shown: {}", ran.stderr);
    assert_eq!(listed(&project, &["--sort", "key"]), ["deps-1", "deps-3", "keep-1"]);

    let ran = in_directory(&project, &["delete", "--key", "keep-1"]).success();
    assert!(ran.stderr.contains("would go, but: protected"), "{}", ran.stderr);
    let none = in_directory(&project, &["delete", "--key", "deps-2"]).success();
    assert!(none.stderr.contains("nothing to delete"), "{}", none.stderr);

    // A reader holds a lock on the file of its entry.
    let path = find(&project.path("store"), "deps-1.tar.zst").expect("an entry");
    let reader = std::fs::File::open(path).expect("an entry");
    reader.lock_shared().expect("a lease");
    let ran = in_directory(&project, &["delete", "--prefix", "deps-"]).success();
    assert!(ran.stderr.contains("would go, but: leased"), "{}", ran.stderr);
    assert_eq!(listed(&project, &["--sort", "key"]), ["deps-1", "keep-1"]);
    drop(reader);
    in_directory(&project, &["delete", "--ref", "main", "--with-protected"]).success();
    assert_eq!(listed(&project, &[]), [] as [&str; 0]);
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let children =
        std::fs::read_dir(directory).expect("a directory").map(|child| child.expect("a child").path());
    children.into_iter().find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => path.ends_with(name).then_some(path),
    })
}

#[test]
fn on_a_terminal_it_asks_first() {
    if Command::new("script").arg("--version").output().is_err() {
        return skip::skip("on_a_terminal_it_asks_first", "`script` of util-linux is not installed");
    }
    let project = populated();
    let answered = |answer: &str, option: &str| {
        let mut words = vec![cachekeep_test_support::project::binary().display().to_string()];
        let store = file_url(&project.path("store"));
        words.extend(
            ["delete", "--key", "deps-1", "--store", &store, "--ref", "main", option].map(str::to_owned),
        );
        let line: Vec<String> =
            words.iter().filter(|word| !word.is_empty()).map(|word| format!("'{word}'")).collect();
        let mut command = project.command();
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &line.join(" "), "/dev/null"]).current_dir(project.path("workspace"));
        terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null());
        let mut child =
            terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script` starts");
        let mut input = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut input, answer.as_bytes()).expect("an answer");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = answered("n\n", "");
    assert!(code == Some(1) && text.contains("Delete 1 entry of"), "{code:?} {text}");
    assert!(text.contains("not confirmed"), "{text}");
    assert_eq!(listed(&project, &["--key", "deps-1"]), ["deps-1"]);
    let (code, text) = answered("y\n", "");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(listed(&project, &["--key", "deps-1"]), [] as [&str; 0]);
    saved(&project, "main", "deps-1", 100);
    let (code, text) = answered("", "--yes");
    assert!(code == Some(0) && !text.contains("[y/N]"), "{code:?} {text}");
}
