//! What a restore leaves alone: work that git keeps, what was not there when the entry was saved, and this program's own places.

use std::fs;
use std::path::Path;
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, file_url};

fn git(project: &Project, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]);
    command.args(arguments).current_dir(project.path("workspace")).env("HOME", project.path("home"));
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn commit(project: &Project, message: &str) -> String {
    git(project, &["add", "-A"]);
    git(project, &["commit", "-q", "-m", message]);
    git(project, &["rev-parse", "HEAD"])
}

// Without git, a checkout is another repository: the entry is shared.
const WHOLE: &str = "[cache.all]\npath = \".\"\nkey = \"all-v1\"\nshared = true\n";

/// A checkout with a commit that was saved as a whole, then edited and committed on.
fn edited() -> (Project, String) {
    let project = Project::new(WHOLE);
    git(&project, &["init", "-q"]);
    project.write("workspace/.gitignore", "/build\n");
    project.write("workspace/src/tracked", "first");
    project.write("workspace/src/same", "same");
    project.write("workspace/src/becomes-a-file/x", "first");
    project.write("workspace/src/deleted", "first");
    project.write("workspace/build/output", "saved");
    commit(&project, "first");
    // Without git, a checkout has no branch.
    project.run(&["--ref", "main", "save"]).success();
    project.write("workspace/src/tracked", "second");
    fs::remove_file(project.path("workspace/src/deleted")).expect("removed");
    fs::remove_dir_all(project.path("workspace/src/becomes-a-file")).expect("removed");
    project.write("workspace/src/becomes-a-file", "a file now");
    project.write("workspace/src/new", "second");
    project.write("workspace/cachekeep.toml", format!("{WHOLE}# edited\n"));
    let head = commit(&project, "second");
    project.write("workspace/src/same", "edited, not committed");
    project.write("workspace/src/new", "edited, not committed");
    project.write("workspace/build/output", "changed");
    (project, head)
}

fn check_work(project: &Project, head: &str) {
    assert_eq!(git(project, &["rev-parse", "HEAD"]), head);
    assert_eq!(git(project, &["log", "--format=%s"]), "second\nfirst");
    git(project, &["fsck", "--strict"]);
    for (name, text) in [
        ("src/tracked", "second"),
        ("src/same", "edited, not committed"),
        ("src/becomes-a-file", "a file now"),
        ("src/new", "edited, not committed"),
    ] {
        assert_eq!(project.read(&format!("workspace/{name}")), text, "{name}");
    }
    assert!(project.read("workspace/cachekeep.toml").ends_with("# edited\n"));
}

#[test]
fn a_restored_checkout_keeps_every_commit_and_every_edit() {
    let (project, head) = edited();
    let ran = project.run(&["--ref", "main", "restore"]).success();
    check_work(&project, &head);
    assert_eq!(project.read("workspace/build/output"), "saved", "what git ignores is the cache's");
    let expect = "3 files that differ from the entry are kept as they are, since git tracks them: \
                  `src/becomes-a-file`, `src/same`, `src/tracked`";
    assert!(ran.stderr.contains(expect), "{}", ran.stderr);
    assert_eq!(git(&project, &["status", "--porcelain"]), "M src/new\n M src/same\n?? src/deleted");
}

#[test]
fn where_git_cannot_be_asked_nothing_that_differs_is_replaced() {
    let (project, head) = edited();
    let mut command = project.command();
    // A PATH without git.
    let ran = Ran::of(command.env("PATH", project.path("home")).args(["--ref", "main", "restore"])).success();
    assert!(ran.stderr.contains("since git may track them (git could not be run"), "{}", ran.stderr);
    check_work(&project, &head);
    assert_eq!(project.read("workspace/build/output"), "changed");
    assert_eq!(project.read("workspace/src/deleted"), "first", "what is not there is added");
}

#[test]
fn a_directory_with_tracked_files_keeps_them_also_where_it_is_exchanged() {
    let project = Project::new("[cache.out]\npath = \"out\"\nkey = \"out-v1\"\n");
    git(&project, &["init", "-q"]);
    project.write("workspace/out/tracked", "first");
    project.write("workspace/out/sub/untracked", "saved");
    project.run(&["save"]).success();
    project.write("workspace/out/tracked", "second");
    git(&project, &["add", "out/tracked"]);
    project.write("workspace/out/sub/untracked", "changed");
    let ran = project.run(&["-v", "restore"]).success();
    assert!(ran.stderr.contains("1 file that differs from the entry is kept"), "{}", ran.stderr);
    assert_eq!(project.read("workspace/out/tracked"), "second");
    assert_eq!(project.read("workspace/out/sub/untracked"), "saved");
}

#[test]
fn repositories_and_the_configuration_are_saved_only_where_they_are_named() {
    for (paths, config, nested) in [
        ("\".\"", false, false),
        ("\"*\"", false, true),
        ("[\".\", \"cachekeep.toml\"]", true, false),
        ("[\".\", \"**/.git\"]", false, true),
        ("\"deps\"", false, true),
    ] {
        let text = format!("[cache.all]\npaths = {paths}\nkey = \"all-v1\"\n");
        let text = if paths.starts_with('[') { text } else { text.replace("paths", "path") };
        let project = Project::new(&text);
        for name in ["deps/lib/.git/HEAD", "deps/lib/x", "src/y"] {
            project.write(&format!("workspace/{name}"), "saved");
        }
        project.run(&["save"]).success();
        let elsewhere = project.path("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        let entry = find(&project.path("home"), "all-v1.tar.zst");
        let stream = zstd::decode_all(&fs::read(&entry).expect("an entry")[..]).expect("zstd");
        tar::Archive::new(&stream[..]).unpack(&elsewhere).expect("unpacked");
        let root = elsewhere.join(".cachekeep/all");
        let has =
            |name: &str| root.join(name).exists() || root.join(name.trim_start_matches("deps/")).exists();
        assert_eq!((has("cachekeep.toml"), has("deps/lib/.git/HEAD")), (config, nested), "{paths}");
        assert!(has("deps/lib/x"), "{paths}");
    }
}

fn find(directory: &Path, name: &str) -> std::path::PathBuf {
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a listing").flatten() {
            if entry.file_name() == name {
                return entry.path();
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            }
        }
    }
    panic!("no {name}")
}

#[test]
fn a_root_that_was_not_there_is_not_made_and_one_that_came_since_stays() {
    let project = Project::new("[cache.two]\npaths = [\"one\", \"deep/two\"]\nkey = \"two-v1\"\n");
    project.write("workspace/one/file", "saved");
    project.run(&["save"]).success();
    fs::remove_dir_all(project.path("workspace/one")).expect("removed");
    let ran = project.run(&["-v", "restore"]).success();
    assert_eq!(project.read("workspace/one/file"), "saved");
    assert!(!project.path("workspace/deep").exists());
    assert!(
        ran.stderr.contains("left as it is: it did not exist when the entry was saved"),
        "{}",
        ran.stderr
    );
    project.write("workspace/deep/two/mine", "kept");
    project.run(&["restore"]).success();
    assert_eq!(project.read("workspace/deep/two/mine"), "kept");
    // An empty directory is something else than none.
    fs::remove_dir_all(project.path("workspace/deep/two")).expect("removed");
    fs::create_dir(project.path("workspace/deep/two")).expect("made");
    project.run(&["--key", "x", "--path", "one", "--path", "deep/two", "save"]).success();
    fs::remove_dir_all(project.path("workspace/deep")).expect("removed");
    project.run(&["--key", "x", "--path", "one", "--path", "deep/two", "restore"]).success();
    assert!(project.path("workspace/deep/two").is_dir());
}

#[test]
fn what_is_excluded_since_is_not_restored() {
    let project = Project::new("[cache.out]\npath = \"out\"\nkey = \"out-v1\"\n");
    project.write("workspace/out/wanted", "saved");
    project.write("workspace/out/unwanted/file", "saved");
    project.run(&["save"]).success();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let config = "[cache.out]\npaths = [\"out\", \"!out/unwanted\"]\nkey = \"out-v1\"\n";
    project.write("workspace/cachekeep.toml", config);
    project.run(&["restore"]).success();
    assert_eq!(project.read("workspace/out/wanted"), "saved");
    assert!(!project.path("workspace/out/unwanted").exists());
}

#[test]
fn the_home_directory_the_root_and_the_stores_places_are_no_caches() {
    let project = Project::new("");
    project.write("home/.cache/cachekeep/store/x", "");
    let home = project.path("home").display().to_string();
    for (path, expect) in [
        ("~", "is the home directory, and cannot be a cache"),
        (home.as_str(), "is the home directory, and cannot be a cache"),
        ("~/*", "is the home directory, and cannot be a cache"),
        ("/", "`/` covers a whole volume"),
        ("{env.TOP}", "` is the root of a file system, and cannot be a cache"),
        ("~/.cache/cachekeep/store", "is where cachekeep keeps its store or its state"),
        ("~/.cache/cachekeep/store/x", "is where cachekeep keeps its store or its state"),
        ("~/.cache/cachekeep/state/y/z", "is where cachekeep keeps its store or its state"),
    ] {
        for command in ["save", "restore"] {
            let mut run = project.command();
            run.env("TOP", if cfg!(windows) { r"C:\" } else { "/" })
                .args(["--path", path, "--key", "k", command]);
            let ran = Ran::of(&mut run).code(2);
            assert!(ran.stderr.contains(expect), "{path}: {}", ran.stderr);
            assert!(ran.stderr.contains("hint: "), "{path}: {}", ran.stderr);
        }
    }
    project.run(&["--path", "~/.cargo/bin", "--key", "k", "restore"]).success();
    project.run(&["--path", "~/**/node_modules", "--key", "k", "restore"]).success();
}

#[test]
fn the_stores_places_are_neither_saved_nor_hashed_nor_trimmed() {
    let project = Project::new("");
    project.write("home/.cache/x/f", [7; 100_000]);
    for key in ["k1", "k2", "k3"] {
        let ran = project.run(&["--json", "--path", "~/.cache", "--key", key, "save"]).success();
        let saved = &ran.json()["caches"][0]["save"];
        assert_eq!(saved["files"], 1, "{saved}");
    }
    // A store inside the workspace, whose files match the key's pattern.
    let store = file_url(&project.path("workspace/store"));
    project.write("workspace/lock", "1");
    project.write("workspace/out/x", "1");
    let key = || {
        let arguments = ["--store", &store, "--path", "out", "--key", "k-{files:**/*}", "key", "--json"];
        project.run(&arguments).success().stdout
    };
    let before = key();
    project.run(&["--store", &store, "--path", "out", "--key", "k-{files:**/*}", "save"]).success();
    assert!(project.path("workspace/store").is_dir());
    assert_eq!(key(), before);
    project.write(
        "workspace/cachekeep.toml",
        format!(
            "store = \"{store}\"\n[cache.all]\npath = \".\"\nkey = \"all\"\ntrim = {{ max-size = \"1B\" }}\n"
        ),
    );
    project.run(&["trim"]).success();
    assert!(!project.path("workspace/lock").exists());
    let entries = project.run(&["ls", "--json"]).success().stdout;
    assert!(entries.contains("k-"), "{entries}");
    assert!(project.path("workspace/cachekeep.toml").exists());
}
