//! Journals of publications that never were, planted where others can write: the next start does not obey them.

use std::fs;
use std::path::Path;

use crate::support::project::Project;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
"#;

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    project.run(&["save"]).success();
    project
}

/// A path as the journal holds it.
fn raw(path: &Path) -> String {
    let key = if cfg!(windows) { "Windows" } else { "Unix" };
    #[cfg(unix)]
    let units = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).iter().map(u8::to_string);
    #[cfg(windows)]
    let units = std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).map(|unit| unit.to_string());
    format!(r#"{{"{key}":[{}]}}"#, units.collect::<Vec<_>>().join(","))
}

/// A directory as a killed process leaves it, whose journal says that `name` beside it becomes `payload/tree`.
fn plant(project: &Project, relative: &str, name: &str) {
    let temp = project.path(relative);
    project.write(&format!("{relative}/lease"), "cachekeep");
    project.write(&format!("{relative}/payload/tree/planted"), "#!/bin/sh\n");
    let change = format!(
        r#"{{"temp":{},"name":{},"is_entry":false,"stamp":1,"mode":null}}"#,
        raw(&temp),
        raw(Path::new(name))
    );
    project.write(&format!("{relative}/journal"), format!(r#"{{"Changes":[{change}]}}"#));
}

#[test]
fn a_journal_in_the_checkout_is_reported_and_changes_nothing() {
    let project = project();
    fs::create_dir(project.path("workspace/hooks")).expect("made");
    plant(&project, "workspace/.cachekeep-e.tmp", "hooks");
    for command in ["restore", "save", "seed", "restore"] {
        let ran = project.run(&[command]).success();
        assert!(ran.stderr.contains("has a journal that this user did not write"), "{}", ran.stderr);
        assert!(!project.path("workspace/hooks/planted").exists(), "{command}");
        assert!(project.path("workspace/.cachekeep-e.tmp/payload/tree/planted").exists(), "{command}");
    }
    assert_eq!(project.read("workspace/out/file"), "contents");
}

#[test]
fn a_journal_inside_the_cache_is_neither_obeyed_nor_saved() {
    let project = project();
    plant(&project, "workspace/out/.cachekeep-e.tmp", "file");
    project.write("workspace/out/more", "x");
    project.run(&["--path", "out", "--key", "other", "save"]).success();
    assert_eq!(project.read("workspace/out/file"), "contents");
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    project.run(&["--path", "out", "--key", "other", "restore"]).success();
    assert!(project.path("workspace/out/more").exists());
    assert!(project.temporary_things().is_empty());
}

#[test]
fn a_journal_in_a_store_that_others_write_is_not_obeyed() {
    let project = project();
    let store = project.path("home/.cache/cachekeep/store");
    fs::create_dir_all(store.join("uploads")).expect("made");
    let place = store.strip_prefix(project.path("")).expect("below").join("uploads");
    let place = place.to_str().expect("text").replace('\\', "/");
    fs::create_dir(store.join("uploads/victim")).expect("made");
    plant(&project, &format!("{place}/.cachekeep-e.tmp"), "victim");
    project.run(&["restore"]).success();
    project.run(&["clean"]);
    assert_eq!(fs::read_dir(store.join("uploads/victim")).expect("there").count(), 0);
}

#[test]
fn a_directory_without_a_journal_is_removed_as_before() {
    let project = project();
    project.write("workspace/.cachekeep-e.tmp/lease", "cachekeep");
    project.write("workspace/.cachekeep-e.tmp/payload/tree/half", "x");
    project.run(&["restore"]).success();
    assert!(project.temporary_things().is_empty());
}

/// A home that cannot be written leaves the job's own folder for records.
#[cfg(unix)]
#[test]
fn restores_work_where_the_user_has_no_home() {
    let project = project();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let store = format!("file://{}", project.path("home/.cache/cachekeep/store").display());
    for home in ["/proc/no-such-home", ""] {
        let mut command = project.command();
        command.args(["--store", &store, "restore", "--required", "--fail-on-miss"]);
        command.env_remove("XDG_CACHE_HOME").env("HOME", home);
        let ran = crate::support::project::Ran::of(&mut command);
        ran.success();
        assert_eq!(project.read("workspace/out/file"), "contents");
    }
}
