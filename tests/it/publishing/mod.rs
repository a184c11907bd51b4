//! How restored trees take their place: in one step where no process uses the directory, and file by file elsewhere.

#[cfg(target_os = "linux")]
mod file_matrix;
#[cfg(target_os = "linux")]
mod matrix;
mod work;

use std::fs;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran};
#[cfg(target_os = "linux")]
use cachekeep_test_support::skip::skip;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
"#;

/// The line of the verbose log that says how a directory was published.
fn way(ran: &Ran, directory: &Path) -> String {
    let resolved = directory.canonicalize().expect("it exists").display().to_string();
    let start = format!("`{}` was ", resolved.trim_start_matches(r"\\?\"));
    let line = ran.stderr.lines().find_map(|line| line.split_once(&start));
    line.unwrap_or_else(|| panic!("no way to {}: {}", directory.display(), ran.stderr)).1.to_owned()
}

fn inode(path: &Path) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("there"));
    #[cfg(not(unix))]
    path.exists().into()
}

#[test]
fn a_directory_that_is_not_in_use_is_exchanged_and_one_that_is_missing_is_renamed_in() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/sub/file", "saved");
    project.run(&["save", "out"]).success();
    project.write("workspace/out/sub/file", "changed");
    project.write("workspace/out/mine", "kept");
    let out = project.path("workspace/out");
    let ran = project.run(&["-v", "restore", "out"]).success();
    if cfg!(any(target_os = "linux", target_os = "macos")) {
        assert_eq!(way(&ran, &out), "exchanged in one step: no process is known to use it");
    }
    assert_eq!(project.read("workspace/out/sub/file"), "saved");
    assert_eq!(project.read("workspace/out/mine"), "kept");
    fs::remove_dir_all(&out).expect("removed");
    let ran = project.run(&["-v", "restore", "out"]).success();
    assert_eq!(way(&ran, &out), "renamed in: nothing was there");
    fs::remove_dir_all(&out).expect("removed");
    fs::write(&out, "").expect("written");
    let ran = project.run(&["-v", "restore", "out"]).success();
    assert_eq!(way(&ran, &out), "renamed in: a file or a link was there");
    assert_eq!(project.read("workspace/out/sub/file"), "saved");
    assert!(project.temporary_things().is_empty());
}

#[test]
fn the_workspace_is_merged_into_and_stays_the_directory_that_it_was() {
    let project = Project::new("[cache.all]\npath = \"{workspace}\"\nkey = \"all-v1\"\n");
    project.write("workspace/sub/file", "saved");
    project.run(&["save", "all"]).success();
    fs::remove_dir_all(project.path("workspace/sub")).expect("removed");
    project.write("workspace/mine", "kept");
    let workspace = project.path("workspace");
    let before = inode(&workspace);
    // From elsewhere: it is the workspace, with no process in it.
    let mut command = project.command();
    let there = workspace.to_str().expect("text");
    command.current_dir(project.path("temp")).args(["-v", "--workspace", there]);
    command.args(["--config", project.path("workspace/cachekeep.toml").to_str().expect("text"), "restore"]);
    let ran = Ran::of(&mut command).success();
    assert_eq!(way(&ran, &workspace), "merged in place: it is the workspace or holds it");
    assert_eq!(inode(&workspace), before);
    assert_eq!(project.read("workspace/sub/file"), "saved");
    assert_eq!(project.read("workspace/mine"), "kept");
    assert!(project.temporary_things().is_empty());
}

#[test]
fn the_command_of_run_works_in_the_directory_that_it_was_started_in() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/deep/file", "saved");
    project.run(&["save", "out"]).success();
    project.write("workspace/out/deep/file", "changed");
    let mut command = project.command();
    command.current_dir(project.path("workspace/out/deep"));
    command.args(["-v", "run", "out", "--", "sh", "-c", "pwd && cat file && echo >made"]);
    let ran = Ran::of(&mut command).success();
    let out = project.path("workspace/out");
    assert_eq!(way(&ran, &out), "merged in place: it is or holds a working directory");
    assert!(ran.stdout.replace('\\', "/").ends_with("out/deep\nsaved"), "{}", ran.stdout);
    assert!(project.path("workspace/out/deep/made").exists());
}

/// Windows does not rename the working directory of any process.
#[cfg(windows)]
#[test]
fn a_directory_that_another_program_stands_in_is_merged_into() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/deep/file", "saved");
    project.run(&["save", "out"]).success();
    project.write("workspace/out/deep/file", "changed");
    let out = project.path("workspace/out");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "echo up >../up; read line; echo down >down"]).current_dir(&out);
    let mut shell = shell.stdin(std::process::Stdio::piped()).spawn().expect("a shell");
    while !project.path("workspace/up").exists() {
        assert!(shell.try_wait().expect("a shell").is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let ran = project.run(&["-v", "restore", "out", "--fail-on-miss"]).success();
    assert_eq!(way(&ran, &out), "merged in place: the system refused to rename it");
    assert_eq!(project.read("workspace/out/deep/file"), "saved");
    drop(shell.stdin.take());
    shell.wait().expect("it ends");
    assert!(out.join("down").exists(), "it stands where it stood");
    assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
}

#[cfg(target_os = "linux")]
#[test]
fn the_shell_that_started_the_command_keeps_its_directory() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "saved");
    project.run(&["save", "out"]).success();
    let mut command = Command::new("sh");
    cachekeep_test_support::project::scrub(&mut command, &project.path(""));
    // A shell that stands in the cache starts another one elsewhere.
    let script = r#"(cd "$0" && "$1" -v --workspace "$0" restore out) && touch made-after"#;
    command.args(["-c", script]).arg(project.path("workspace"));
    command.arg(cachekeep_test_support::project::binary());
    let ran = Ran::of(command.current_dir(project.path("workspace/out"))).success();
    let out = project.path("workspace/out");
    assert_eq!(way(&ran, &out), "merged in place: it is or holds a working directory");
    assert!(project.path("workspace/out/made-after").exists());
}

#[test]
fn what_a_pattern_matched_is_published_and_no_directory_above_it() {
    let project = Project::new(
        "[cache.modules]\npath = \"**/node_modules\"\nkey = \"modules-v1\"\n\
         [cache.lists]\npath = \"data/*.bin\"\nkey = \"lists-v1\"\n",
    );
    for name in ["a", "b/c"] {
        project.write(&format!("workspace/{name}/node_modules/x/index.js"), "saved");
        project.write(&format!("workspace/{name}/package.json"), "first");
    }
    project.write("workspace/data/one.bin", "saved");
    project.run(&["save"]).success();
    fs::remove_dir_all(project.path("workspace/a/node_modules")).expect("removed");
    project.write("workspace/b/c/node_modules/x/index.js", "changed");
    project.write("workspace/b/c/node_modules/mine/index.js", "kept");
    project.write("workspace/a/package.json", "second");
    project.write("workspace/data/one.bin", "changed");
    let directories = ["workspace", "workspace/a", "workspace/b", "workspace/b/c", "workspace/data"];
    let before = directories.map(|name| inode(&project.path(name)));
    let ran = project.run(&["-v", "restore"]).success();
    assert_eq!(directories.map(|name| inode(&project.path(name))), before);
    for directory in ["workspace", "workspace/data"] {
        let expect = "merged in place: only parts of it belong to the cache";
        assert_eq!(way(&ran, &project.path(directory)), expect);
    }
    for (name, text) in [
        ("a/node_modules/x/index.js", "saved"),
        ("b/c/node_modules/x/index.js", "saved"),
        ("b/c/node_modules/mine/index.js", "kept"),
        ("a/package.json", "second"),
        ("data/one.bin", "saved"),
    ] {
        assert_eq!(project.read(&format!("workspace/{name}")), text, "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_of_an_images_layer_is_restored() {
    let project = Project::new("[cache.out]\npath = \"out\"\nkey = \"out-v1\"\nshared = true\n");
    project.write("workspace/out/sub/deep/file", "saved");
    project.write("workspace/out/was-a-file/x", "saved");
    project.run(&["save"]).success();
    for (name, text) in [("sub/deep/file", "image"), ("sub/other", "image"), ("was-a-file", "image")] {
        project.write(&format!("lower/out/{name}"), text);
    }
    project.write("lower/cachekeep.toml", project.read("workspace/cachekeep.toml"));
    for name in ["upper", "work", "image"] {
        fs::create_dir(project.path(name)).expect("made");
    }
    let at = |name: &str| project.path(name).display().to_string();
    let layers = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let mounted =
        Command::new("mount").args(["-t", "overlay", "overlay", "-o", &layers, &at("image")]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skip("a test of overlays", "it must be root on Linux, to mount one");
    }
    let mut command = project.command();
    let ran = Ran::of(command.current_dir(project.path("image")).args(["-v", "restore"]));
    let found = ["sub/deep/file", "sub/other", "was-a-file/x"]
        .map(|name| fs::read_to_string(project.path("image/out").join(name)).unwrap_or_default());
    let left = project.temporary_things();
    let taken =
        ran.code == 0 && ran.stderr.contains("merged in place: directories of an overlay's lower layers");
    let unmounted = Command::new("umount").arg(at("image")).status().expect("it runs");
    assert!(unmounted.success());
    assert!(taken, "{}", ran.stderr);
    assert_eq!(found, ["saved", "image", "saved"]);
    assert!(left.is_empty(), "{left:?}");
}
