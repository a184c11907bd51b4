//! Caches of single files: saved, restored, trimmed and wrapped like directories.

use std::fs;
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran};
use filetime::FileTime;

const CONFIG: &str = r#"
[cache.tool]
path = "{workspace}/bin/tool"
key = "tool-v1"
"#;

fn restore_of(ran: &Ran) -> serde_json::Value {
    ran.json()["caches"][0]["restore"].clone()
}

fn saved(config: &str, files: &[(&str, &str)]) -> Project {
    let project = Project::new(config);
    for (name, text) in files {
        project.write(&format!("workspace/{name}"), text);
    }
    let ran = project.run(&["--json", "save"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
    project
}

/// The line of the verbose log that says how a root was published.
fn way(ran: &Ran) -> &str {
    ran.stderr.lines().find_map(|line| line.split_once("` was ")).expect("a way").1
}

#[test]
fn a_file_comes_back_with_its_mode_and_time() {
    let project = Project::new(CONFIG);
    let tool = project.write("workspace/bin/tool", "program".repeat(100_000));
    let time = FileTime::from_unix_time(1_600_000_000, 0);
    filetime::set_file_mtime(&tool, time).expect("a time");
    #[cfg(unix)]
    fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o750)).expect("a mode");
    project.run(&["save"]).success();
    fs::remove_dir_all(project.path("workspace/bin")).expect("removed");
    let ran = project.run(&["--json", "-v", "restore"]).success();
    let restore = restore_of(&ran);
    assert_eq!((&restore["hit"], &restore["files"]), (&"exact".into(), &1.into()), "{}", ran.stderr);
    assert_eq!(way(&ran), "renamed in: nothing was there");
    assert_eq!(project.read("workspace/bin/tool"), "program".repeat(100_000));
    let found = fs::metadata(&tool).expect("there");
    assert_eq!(FileTime::from_last_modification_time(&found), time);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&found) & 0o7777, 0o750);
    assert!(project.temporary_things().is_empty());
    // Nothing changed, so nothing is saved; what is written anew is.
    let later = |project: &Project| {
        project.write(
            "workspace/cachekeep.toml",
            CONFIG.replace("\"tool-v1\"", "\"tool-v2\"\nrestore-keys = [\"tool-\"]"),
        );
        project.run(&["--json", "save"]).success().json()["caches"][0]["save"]["save-result"].clone()
    };
    assert_eq!(later(&project), "unchanged");
    project.write("workspace/bin/tool", "newer");
    assert_eq!(later(&project), "saved");
    let listed = project.run(&["ls"]).success().stdout;
    assert!(listed.contains("tool-v1") && listed.contains("tool-v2"), "{listed}");
    assert!(project.run(&["explain"]).success().stdout.starts_with("tool hits exactly: `tool-v2`"));
}

#[test]
fn an_existing_file_is_replaced_and_its_neighbors_stay() {
    let project = saved(CONFIG, &[("bin/tool", "saved"), ("bin/other", "mine")]);
    project.write("workspace/bin/tool", "changed");
    let ran = project.run(&["-v", "restore"]).success();
    assert_eq!(way(&ran), "renamed in: a file or a link was there");
    assert_eq!(project.read("workspace/bin/tool"), "saved");
    assert_eq!(project.read("workspace/bin/other"), "mine");
    assert_eq!(fs::read_dir(project.path("workspace/bin")).expect("read").count(), 2);
}

#[test]
fn files_and_directories_lie_in_one_cache() {
    let config = "[cache.mixed]\npaths = [\"a.lock\", \"dir\", \"b/c.bin\", \"none\"]\nkey = \"mixed-v1\"\n";
    let project =
        saved(config, &[("a.lock", "a"), ("dir/x", "x"), ("dir/y", "y"), ("b/c.bin", "c"), ("b/d", "d")]);
    for name in ["a.lock", "dir/x", "b/c.bin"] {
        fs::remove_file(project.path("workspace").join(name)).expect("removed");
    }
    project.write("workspace/dir/y", "changed");
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(restore_of(&ran)["files"], 4, "{}", ran.stderr);
    for (name, text) in [("a.lock", "a"), ("dir/x", "x"), ("dir/y", "y"), ("b/c.bin", "c"), ("b/d", "d")] {
        assert_eq!(project.read(&format!("workspace/{name}")), text, "{name}");
    }
    assert!(!project.path("workspace/none").exists());
    assert!(project.temporary_things().is_empty());
}

#[test]
fn what_has_content_and_is_of_another_kind_stays_and_is_named() {
    let project = saved(CONFIG, &[("bin/tool", "saved")]);
    fs::remove_file(project.path("workspace/bin/tool")).expect("removed");
    project.write("workspace/bin/tool/mine", "mine");
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(restore_of(&ran)["hit"], "none");
    let told = "tool` is a directory with content and would become a file";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(project.read("workspace/bin/tool/mine"), "mine");
    fs::remove_file(project.path("workspace/bin/tool/mine")).expect("removed");
    let ran = project.run(&["-v", "restore"]).success();
    assert_eq!(way(&ran), "renamed in: an empty directory was there");
    assert_eq!(project.read("workspace/bin/tool"), "saved");

    let project = saved(CONFIG, &[("bin/tool/x", "saved")]);
    fs::remove_dir_all(project.path("workspace/bin/tool")).expect("removed");
    project.write("workspace/bin/tool", "mine");
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(restore_of(&ran)["hit"], "none");
    let told = "tool` is a file with content and would become a directory";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(ran.stderr.contains("if it is not needed"), "{}", ran.stderr);
    assert_eq!(project.read("workspace/bin/tool"), "mine");
    assert!(project.temporary_things().is_empty());
}

#[test]
fn an_older_file_is_trimmed_and_a_younger_one_is_not() {
    let config = format!("{CONFIG}trim = {{ unused-for = \"1d\" }}\n");
    let project = Project::new(&config);
    let tool = project.write("workspace/bin/tool", "program");
    project.run(&["trim"]).success();
    assert!(tool.exists());
    let old = FileTime::from_unix_time(1_600_000_000, 0);
    filetime::set_file_times(&tool, old, old).expect("a time");
    project.run(&["trim", "--dry-run"]).success();
    assert!(tool.exists());
    project.run(&["trim"]).success();
    assert!(!tool.exists() && project.path("workspace/bin").exists());
}

#[test]
fn a_wildcard_below_a_file_takes_nothing_and_says_so() {
    let project = Project::new("[cache.tool]\npath = \"{workspace}/bin/*\"\nkey = \"tool-v1\"\n");
    project.write("workspace/bin", "a file");
    let ran = project.run(&["save"]).success();
    assert!(ran.stderr.contains("bin` is a file, and a wildcard stands below it"), "{}", ran.stderr);
}

#[test]
fn a_file_that_git_tracks_is_kept() {
    let project = saved("[cache.lock]\npath = \"a.lock\"\nkey = \"lock-v1\"\n", &[("a.lock", "saved")]);
    project.write("workspace/a.lock", "edited");
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        cachekeep_test_support::project::scrub(&mut git, &project.path(""));
        let ended = git.arg("-C").arg(project.path("workspace")).args(arguments).output().expect("git runs");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    git(&["init", "--quiet", "--initial-branch=workspace"]);
    git(&["add", "a.lock"]);
    let key = ["--json", "--ref", "refs/local/workspace", "restore"];
    let ran = project.run(&key).success();
    if restore_of(&ran)["hit"] != "none" {
        assert!(ran.stderr.contains("kept as they are, since git tracks them: `"), "{}", ran.stderr);
        assert!(ran.stderr.contains("a.lock`"), "{}", ran.stderr);
    }
    assert_eq!(project.read("workspace/a.lock"), "edited");
}
