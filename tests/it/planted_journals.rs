//! Journals of publications that never were, planted where others can write: the next start does not obey them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha512};

use cachekeep_test_support::project::Project;

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
    let (temp, name) = (raw(&temp), raw(Path::new(name)));
    let steps = [
        format!(r#"{{"Change":{{"temp":{temp},"name":{name},"stamp":1,"mode":null}}}}"#),
        format!(r#"{{"Merge":{{"temp":{temp},"name":{name},"directories":[]}}}}"#),
    ];
    project.write(&format!("{relative}/journal"), format!(r#"{{"Steps":[{}]}}"#, steps.join(",")));
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

/// What a hostile archive brings below a directory: a leftover in an odd case, whose journal says that `file` is next.
fn hostile(project: &Project) -> [(&'static str, String); 3] {
    let temp = project.path("workspace/out/deep/.CacheKeep-e.Tmp");
    let change = format!(
        r#"{{"temp":{},"name":{},"is_entry":true,"stamp":1,"mode":511}}"#,
        raw(&temp),
        raw(Path::new("file"))
    );
    [
        ("file", "contents".to_owned()),
        ("deep/.CacheKeep-e.Tmp/lease", "cachekeep".to_owned()),
        ("deep/.CacheKeep-e.Tmp/journal", format!(r#"{{"Changes":[{change}]}}"#)),
    ]
}

fn tar_of(prefix: &str, files: &[(&str, String)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{prefix}{name}"), contents.as_bytes()).expect("in memory");
    }
    archive.into_inner().expect("in memory")
}

fn zip_of(files: &[(&str, String)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, contents) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("in memory");
        archive.write_all(contents.as_bytes()).expect("in memory");
    }
    archive.finish().expect("in memory").into_inner()
}

/// The one entry in the project's store.
fn entry(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory).expect("a directory").flatten().find_map(|found| match found.path() {
        path if path.is_dir() => entry(&path),
        path => path.to_str()?.ends_with(".tar.zst").then_some(path),
    })
}

/// With the reserved name the entry is refused and no file is restored; without that name it is restored.
#[test]
fn an_entry_with_a_journal_is_refused() {
    let project = project();
    let entry = entry(&project.path("home/.cache/cachekeep/store/repositories")).expect("saved");
    let files = hostile(&project);
    for (files, is_fine) in [(&files[..], false), (&files[..1], true)] {
        let bytes = zstd::encode_all(&tar_of(".cachekeep/out/", files)[..], 1).expect("in memory");
        fs::write(&entry, bytes).expect("replaced");
        fs::remove_dir_all(project.path("workspace/out")).ok();
        let ran = project.run(&["restore"]).success();
        let reason = "reserved for temporary directories of cachekeep";
        assert_eq!(!ran.stderr.contains(reason), is_fine, "{}", ran.stderr);
        assert_eq!(project.path("workspace/out/file").exists(), is_fine, "{}", ran.stderr);
        assert!(project.temporary_things().is_empty());
    }
}

#[test]
fn a_seed_with_a_journal_is_refused_as_tar_and_as_zip() {
    for name in ["seed.tar", "seed.zip"] {
        let project = Project::new("");
        let files = hostile(&project);
        for (files, is_fine) in [(&files[..], false), (&files[..1], true)] {
            let bytes = if name == "seed.zip" { zip_of(files) } else { tar_of("", files) };
            let sum = HEXLOWER.encode(&Sha512::digest(&bytes));
            project.write(&format!("workspace/{name}"), bytes);
            let seed =
                format!("[cache.out.seed]\nversion = \"1\"\nfrom = [\"{name}\"]\nsha512 = \"{sum}\"\n");
            project.write("workspace/cachekeep.toml", format!("{CONFIG}{seed}"));
            let ran = project.run(&["seed"]);
            let refusal =
                ".CacheKeep-e.Tmp/lease` has a name that is reserved for temporary directories of cachekeep";
            assert_eq!(!ran.stderr.contains(refusal), is_fine, "{name}: {}", ran.stderr);
            assert_eq!(project.path("workspace/out/file").exists(), is_fine, "{name}: {}", ran.stderr);
            assert!(project.temporary_things().is_empty());
        }
    }
}

#[test]
fn a_directory_without_a_journal_is_removed_as_before() {
    let project = project();
    project.write("workspace/.cachekeep-e.tmp/lease", "cachekeep");
    project.write("workspace/.cachekeep-e.tmp/payload/tree/half", "x");
    project.run(&["restore"]).success();
    assert!(project.temporary_things().is_empty());
}

/// A home that cannot be written leaves the job's own directory for records.
#[cfg(unix)]
#[test]
fn restores_work_where_the_user_has_no_home() {
    let project = project();
    let store = cachekeep_test_support::project::file_url(&project.path("store"));
    project.run(&["--store", &store, "save", "--required"]).success();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    for home in ["/proc/no-such-home", ""] {
        let mut command = project.command();
        command.args(["--store", &store, "restore", "--required", "--fail-on-miss"]);
        command.env_remove("XDG_CACHE_HOME").env("HOME", home);
        let ran = cachekeep_test_support::project::Ran::of(&mut command);
        ran.success();
        assert_eq!(project.read("workspace/out/file"), "contents");
    }
}
