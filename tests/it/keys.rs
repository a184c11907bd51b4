//! Keys on a real list of 3 151 content links.

use std::fs;
use std::path::Path;

use cachekeep_test_support::project::Project;

const CONFIG: &str = r#"
[cache.data]
path = "{workspace}/store"
key = "data-v1-{links}"

[cache.data.links]
files = ["tree/**/*.cid"]
"#;

/// The real list: path and hash in every line.
fn links() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/content-links.tsv");
    let text = fs::read_to_string(path).expect("the list");
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(path, hash)| (path.to_owned(), hash.to_owned()))
        .collect()
}

fn tree(links: &[(String, String)], form: impl Fn(&str) -> String) -> Project {
    let project = Project::new(CONFIG);
    for (path, hash) in links {
        project.write(&format!("workspace/tree/{path}"), form(hash));
    }
    project
}

fn key(project: &Project) -> String {
    let ran = project.run(&["key", "--json"]).success();
    ran.json()["caches"][0]["key"].as_str().expect("a key").to_owned()
}

#[test]
fn one_set_of_objects_has_one_key_whatever_the_files_look_like() {
    let links = links();
    assert_eq!(links.len(), 3151);
    let reference = key(&tree(&links, |hash| format!("{hash}\n")));
    assert_eq!(key(&tree(&links, |hash| format!("{hash}\r\n"))), reference, "CRLF");
    assert_eq!(key(&tree(&links, str::to_owned)), reference, "no final newline");
    assert_eq!(key(&tree(&links, |hash| format!("\u{feff}{hash}\n"))), reference, "byte order mark");
    let reversed: Vec<_> = links.iter().rev().cloned().collect();
    assert_eq!(key(&tree(&reversed, |hash| format!("{hash}\n"))), reference, "written in another order");
    let mut renamed = links.clone();
    renamed[7].0 = "Elsewhere/renamed.mha.cid".to_owned();
    assert_eq!(key(&tree(&renamed, |hash| format!("{hash}\n"))), reference, "renamed");
}

#[test]
fn another_set_of_objects_has_another_key() {
    let mut links = links();
    let reference = key(&tree(&links, |hash| format!("{hash}\n")));
    links.push((
        "New/empty.raw.cid".to_owned(),
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".to_owned(),
    ));
    let added = key(&tree(&links, |hash| format!("{hash}\n")));
    assert_ne!(added, reference);
    let gone = links[0].1.clone();
    links.retain(|(_, hash)| *hash != gone);
    let removed = key(&tree(&links, |hash| format!("{hash}\n")));
    assert!(removed != added && removed != reference);
}

#[test]
fn a_malformed_link_is_named() {
    let mut links = links();
    links.truncate(10);
    let project = tree(&links, |hash| format!("{hash}\n"));
    project.write("workspace/tree/broken.mha.cid", "<html>not found</html>");
    let ran = project.run(&["key"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("tree/broken.mha.cid"), "{}", ran.stderr);
}

#[test]
fn a_diff_says_which_part_and_which_objects_differ() {
    let mut links = links();
    links.truncate(20);
    let project = tree(&links, |hash| format!("{hash}\n"));
    let before = project.run(&["key", "--json"]).success();
    let saved = project.write("before.json", &before.stdout);
    let same = project.run(&["key", "--diff", saved.to_str().expect("text")]).success();
    assert!(same.stdout.contains("same key"), "{}", same.stdout);
    project.write("workspace/tree/new.cid", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
    let other = project.run(&["key", "--diff", saved.to_str().expect("text")]).success();
    assert!(
        other.stdout.contains("+ cid:bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        "{}",
        other.stdout
    );
}

/// A database's directory in the workspace must not stop the job: its user may not read it.
#[test]
#[cfg(unix)]
fn directories_that_no_glob_wants_are_not_read_and_others_are_named() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use cachekeep_test_support::project::Ran;

    let project = Project::new("");
    project.write("workspace/a.lock", "1");
    project.write("workspace/pgdata/b.lock", "2");
    let key = |globs: &str| {
        let key = format!("{{files:{globs}}}");
        project.run(&["--json", "--path", "c", "--key", &key, "key"]).success()
    };
    let made = |ran: &Ran| ran.json()["caches"][0]["key"].as_str().expect("a key").to_owned();
    let close = |mode| {
        fs::set_permissions(project.path("workspace/pgdata"), fs::Permissions::from_mode(mode))
            .expect("a mode");
    };
    let globs = ["a.lock", "*.lock", "**/*.lock,!pgdata/**", "**/*.lock,!pgdata", "**/a.lock,!pg*/"];
    let open: Vec<String> = globs.iter().map(|globs| made(&key(globs))).collect();
    close(0o000);
    let is_root = fs::read_dir(project.path("workspace/pgdata")).is_ok();
    let closed: Vec<String> = globs.iter().map(|globs| made(&key(globs))).collect();
    let met = key("**/*.lock");
    close(0o755);
    assert!(open.iter().all(|key| *key == open[0]), "{open:?}");
    assert_eq!(open, closed);
    if is_root {
        return;
    }
    assert!(met.stderr.contains("warning: cannot read `"), "{}", met.stderr);
    assert!(met.stderr.contains("exclude it with a `!` glob"), "{}", met.stderr);
    assert_eq!(made(&met), open[0]);
}

#[test]
fn a_cache_without_a_key_does_not_hide_the_keys_of_the_others() {
    let config = "[cache.a]\npath = \"a\"\nkey = \"a-{var.v}\"\n[cache.b]\npath = \"b\"\nkey = \"b-1\"\n\
                  [cache.c]\npath = \"c\"\nkey = \"c-{files:nothing}\"\n";
    let project = Project::new(config);
    let ran = project.run(&["key"]).code(1);
    assert_eq!(ran.stdout.lines().next(), Some("b: b-1"), "{}", ran.stdout);
    for told in ["error: cache `a`: ", "error: cache `c`: ", "--var v="] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    let ran = project.run(&["--json", "key", "--var", "v=1"]).code(1);
    let names: Vec<_> =
        ran.json()["caches"].as_array().expect("caches").iter().map(|it| it["cache"].clone()).collect();
    assert_eq!(names, ["a", "b"]);
    // Without any key there is nothing to print.
    assert_eq!(project.run(&["key", "c"]).code(1).stdout, "");
}
