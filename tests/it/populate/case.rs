//! A volume that ignores the case of names, as those of Windows and macOS, and has none that Windows forbids: NTFS by
//! lowntfs-3g, which also lists every name in lower case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::populate::objects::{Object, content, served};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::Project;
use cachekeep_test_support::{skip, tree};

/// Such a volume over a directory; it goes with this.
struct Volume(PathBuf);

impl Volume {
    fn over(test: &str, image: &Path, directory: &Path) -> Option<Self> {
        let run = |program: &str, arguments: &[&str], paths: &[&Path]| {
            let mut command = Command::new(program);
            command.args(arguments).args(paths).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        fs::create_dir_all(directory).expect("made");
        fs::File::create(image).and_then(|file| file.set_len(64 << 20)).expect("made");
        if !run("mkntfs", &["-q", "-F", "-f"], &[image]) {
            skip(test, "mkntfs is not here (Debian: ntfs-3g)");
            return None;
        }
        if !run("lowntfs-3g", &["-o", "ignore_case,permissions,windows_names"], &[image, directory]) {
            skip(test, "lowntfs-3g cannot mount here");
            return None;
        }
        let volume = Volume(directory.to_owned());
        fs::write(directory.join("Probe"), "").expect("written");
        assert!(directory.join("pROBE").exists(), "the volume tells cases apart");
        fs::remove_file(directory.join("probe")).expect("removed");
        Some(volume)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

const CONFIG: &str = "[cache.c]\npath = \"{env.ROOT}/c\"\nkey = \"c-{env.GENERATION}\"\n";

/// A project with a volume, and what runs a command for a generation with the cache on that volume or off it.
struct Sample {
    project: Project,
    _volume: Volume,
}

impl Sample {
    fn new(test: &str) -> Option<Self> {
        let project = Project::new(CONFIG);
        let volume = Volume::over(test, &project.path("image"), &project.path("folding"))?;
        Some(Sample { project, _volume: volume })
    }

    fn run(&self, root: &str, generation: &str, arguments: &[&str]) -> cachekeep_test_support::project::Ran {
        let mut command = self.project.command();
        command.args(arguments).env("ROOT", self.project.path(root)).env("GENERATION", generation);
        cachekeep_test_support::project::Ran::of(&mut command)
    }
}

#[test]
fn names_that_the_volume_cannot_hold_are_a_miss_and_the_entry_stays_good() {
    let test = "names_that_the_volume_cannot_hold_are_a_miss_and_the_entry_stays_good";
    let Some(sample) = Sample::new(test) else { return };
    let project = &sample.project;
    project.write("folding/c/mine", "kept");
    let before = tree::snapshot(&project.path("folding/c"));
    let clash = ("rename one of the two", "this volume does not distinguish its name");
    let impossible = ("put `{os}` into the key", "it has a name that this volume cannot hold");
    let trees: [(&str, &[&str], &str, _); 9] = [
        ("files", &["A.txt", "a.txt"], "a.txt", clash),
        ("directories", &["Sub/x", "sub/y"], "sub", clash),
        ("file-and-directory", &["NAME", "name/x"], "name", clash),
        ("deep", &["d/e/Large.bin", "d/e/large.BIN"], "d/e/large.BIN", clash),
        ("colon", &["d/a:b", "d/fine"], "d/a:b", impossible),
        ("colon-in-directory", &["a:b/x"], "a:b", impossible),
        ("device", &["con.txt"], "con.txt", impossible),
        ("dot", &["d/x."], "d/x.", impossible),
        ("backslash", &["a\\b"], "a\\\\b", impossible),
    ];
    for (generation, names, told, (cure, reason)) in trees {
        let root = format!("telling/{generation}");
        for (seed, name) in (1..).zip(names) {
            project.write(&format!("{root}/c/{name}"), content(seed, 400_000));
        }
        sample.run(&root, generation, &["save", "--required"]).success();
        let ran = sample.run("folding", generation, &["restore", "--fail-on-miss"]).code(4);
        let told = format!("`.cachekeep/c/{told}` cannot be restored here: {reason}");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        assert!(ran.stderr.contains(cure), "{}", ran.stderr);
        for word in ["damaged", "corrupt", "replaces the entry"] {
            assert!(!ran.stderr.contains(word), "{}", ran.stderr);
        }
        assert_eq!(
            tree::snapshot(&project.path("folding/c")),
            before,
            "{generation}: the target is as it was"
        );
        // The entry is good: a job whose volume cannot hold it does not replace it.
        let ran = sample.run("folding", generation, &["save", "--json"]).success();
        assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "exists", "{}", ran.stderr);
        let saved = tree::snapshot(&project.path(&root));
        fs::remove_dir_all(project.path(&root).join("c")).expect("removed");
        sample.run(&root, generation, &["restore", "--fail-on-miss"]).success();
        let restored = tree::snapshot(&project.path(&root));
        assert!(restored.keys().eq(saved.keys()), "{generation}: {restored:?}");
    }
    assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
}

/// Windows counts the letters of a name, and Linux its bytes: 255 of either.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_only_windows_can_hold_is_a_miss_and_the_entry_stays_good() {
    let project = Project::new("[cache.c]\npath = \"c\"\nkey = \"k\"\n");
    project.write("workspace/c/mine", "kept");
    let store = cachekeep_test_support::project::file_url(&project.path("store"));
    let run = |arguments: &[&str]| project.run(&[&["--store", &store], arguments].concat());
    run(&["save", "--required"]).success();
    // The entry as a job on Windows saves it: here no file can be made that it could be packed from.
    let is_entry = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "zst");
    let files = walkdir::WalkDir::new(project.path("store")).into_iter().flatten();
    let entry = files.map(walkdir::DirEntry::into_path).find(is_entry).expect("an entry");
    let long = "ü".repeat(200);
    let mut stream = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    stream.append_data(&mut header, format!(".cachekeep/c/{long}"), &b"saved"[..]).expect("appended");
    let archive = zstd::encode_all(&stream.into_inner().expect("a stream")[..], 1).expect("zstd");
    fs::write(&entry, &archive).expect("written");

    let before = tree::snapshot(&project.path("workspace/c"));
    let ran = run(&["restore", "--fail-on-miss"]).code(4);
    let reason = "cannot be restored here: it has a name that this volume cannot hold";
    assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    assert!(ran.stderr.contains("put `{os}` into the key"), "{}", ran.stderr);
    assert_eq!(tree::snapshot(&project.path("workspace/c")), before, "the target is as it was");
    let ran = run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "exists", "{}", ran.stderr);
    assert!(fs::read(&entry).expect("an entry") == archive, "it is not replaced");
    assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
}

#[test]
fn a_merge_into_other_cases_takes_the_entrys_side_and_loses_nothing() {
    let test = "a_merge_into_other_cases_takes_the_entrys_side_and_loses_nothing";
    let Some(sample) = Sample::new(test) else { return };
    let project = &sample.project;
    project.write("telling/c/Readme", "the entry's");
    project.write("telling/c/Sub/x", "the entry's");
    sample.run("telling", "1", &["save", "--required"]).success();
    project.write("folding/c/README", "the target's");
    project.write("folding/c/SUB/y", "only the target's");
    sample.run("folding", "1", &["restore", "--fail-on-miss"]).success();
    for (path, expect) in
        [("Readme", "the entry's"), ("Sub/x", "the entry's"), ("Sub/y", "only the target's")]
    {
        assert_eq!(project.read(&format!("folding/c/{path}")), expect, "{path}");
    }
    assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
}

#[test]
fn objects_are_fetched_verified_gated_and_saved_there() {
    let test = "objects_are_fetched_verified_gated_and_saved_there";
    let project = Project::new("");
    let objects = served(&project, 30);
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    let config = format!(
        "[cache.data]\npath = \"folding/store\"\nkey = \"data-v1-{{links}}\"\n\n[cache.data.links]\n\
         files = [\"data/**/*.cid\", \"data/**/*.md5\", \"data/**/*.sha*\"]\nobject = \"{{algo}}/{{hash}}\"\n\
         mirrors = [{:?}]\n",
        mirror.template()
    );
    project.write("workspace/cachekeep.toml", config);
    let image = project.path("image");
    let Some(_volume) = Volume::over(test, &image, &project.path("workspace/folding")) else { return };
    let place = |object: &Object| {
        let algorithm = object.algorithm.directory().to_ascii_lowercase();
        project.path("workspace/folding/store").join(algorithm).join(&object.hash)
    };
    // A directory and an object in another case: the same to this volume.
    project.write(
        &format!("workspace/folding/store/SHA512/{}", "0".repeat(128)),
        "nothing that anybody named so",
    );
    // A damaged object under the name in another case.
    let damaged = &objects[7];
    let path = place(damaged);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path.with_file_name(damaged.hash.to_uppercase()), "damaged").expect("written");
    let ran = project.run(&["fetch", "--required"]).success();
    assert!(ran.stderr.contains("2 objects are not what their names say"), "{}", ran.stderr);
    for object in &objects {
        let found = fs::read(place(object)).expect(&object.hash);
        assert!(found == object.bytes, "{}", object.hash);
    }
    let asked = mirror.requests();
    project.run(&["gate"]).success();
    project.run(&["save", "--required"]).success();
    fs::remove_dir_all(project.path("workspace/folding/store")).expect("removed");
    project.run(&["restore", "--fail-on-miss"]).success();
    project.run(&["gate"]).success();
    assert_eq!(mirror.requests(), asked, "nothing is fetched twice");
    assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
}
