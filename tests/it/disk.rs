//! Volumes that are nearly full: what is saved even so, what is removed for it, and what never is.

#[cfg(unix)]
use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::project::{Project, Ran, file_url};

/// Bytes of one file of the cache; they cannot be compressed.
const BYTES: usize = 250_000;

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(BYTES).collect()
}

/// A project with a cache of `files` files, of which `f0` was used longest ago.
fn project_in(place: &Path, disk: &str, trim: &str, files: u64) -> Project {
    let config = format!("{disk}\n[cache.out]\npath = \"{{workspace}}/out\"\nkey = \"out-1\"\n{trim}");
    let project = Project::new_in(place, &config);
    for n in 0..files {
        let path = project.write(&format!("workspace/out/f{n}"), noise(n + 1));
        let time = filetime::FileTime::from_unix_time(1_700_000_000 + i64::try_from(n).expect("small"), 0);
        filetime::set_file_times(path, time, time).expect("touched");
    }
    project
}

fn project(disk: &str) -> Project {
    project_in(&std::env::temp_dir(), disk, "", 2)
}

fn run(project: &Project, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    project.run(&[&["--store", &store, "--ref", "main"], arguments].concat())
}

/// Every directory of the image and every path goes when more is reserved than the volume has.
const GREEDY: &str = "reserve = \"100%\"";

#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "small volumes are mounted on Linux, and links made on Unix")
)]
fn freed(ran: &Ran) -> Vec<(String, Option<String>)> {
    let freed = ran.json()["freed"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    freed.iter().map(|one| (text(&one["what"]).expect("a name"), text(&one["blocked"]))).collect()
}

#[cfg(target_os = "linux")]
mod small_volumes {
    use std::process::Command;

    use cachekeep_test_support::skip;
    use cachekeep_test_support::volume::Volume;

    use super::*;

    fn volume(place: &Path, options: &str) -> Option<Volume> {
        let volume = Volume::mount(place, options);
        if volume.is_none() {
            skip("a test of full disks", "it must be root on Linux, to mount something");
        }
        volume
    }

    /// A cache that takes most of a small volume, with a ceiling above that: an archive of it has no room.
    #[test]
    fn a_cache_that_fills_its_volume_is_trimmed_to_fit_and_saved_where_tar_fails() {
        let place = tempfile::tempdir().expect("a place");
        let Some(_volume) = volume(&place.path().join("small"), "size=10m") else { return };
        let small = place.path().join("small");
        let project = project_in(&small, "", "trim = { max-size = \"1GB\" }", 36);
        let tar = Command::new("tar")
            .args(["-cf", "archive.tar", "workspace/out"])
            .current_dir(project.path(""))
            .output()
            .expect("tar");
        assert!(!tar.status.success(), "the archive must not fit");
        fs::remove_file(project.path("archive.tar")).expect("removed");

        let ran = run(&project, &["--json", "save"]).success();
        let save = &ran.json()["caches"][0]["save"];
        assert_eq!(save["save-result"], "saved", "{}", ran.stderr);
        let says = |text: &str| assert!(ran.stderr.contains(text), "{text}\n{}", ran.stderr);
        says("is below `max-size`, 1.00 GB");
        says("warning: out: is trimmed to ");
        says(&format!("\nvolume of `{}", small.display()));
        says(" inodes free before, ");
        let trim = &ran.json()["caches"][0]["trim"];
        let left = fs::read_dir(project.path("workspace/out")).expect("a directory").count();
        assert!((12..=30).contains(&left), "{left} files are left: {trim}");
        assert!(project.path("workspace/out/f35").exists() && !project.path("workspace/out/f0").exists());
        let disk = &ran.json()["disks"][0];
        let reserve = disk["total-bytes"].as_u64().expect("bytes") / 20;
        assert!(disk["free-bytes-after"].as_u64().expect("bytes") >= reserve, "{disk}");

        fs::remove_dir_all(project.path("workspace/out")).expect("removed");
        let ran = run(&project, &["--json", "restore"]).success();
        assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "exact", "{}", ran.stderr);
        assert_eq!(fs::read_dir(project.path("workspace/out")).expect("a directory").count(), left);
        assert_eq!(project.temporary_things(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_may_go_is_removed_as_far_as_it_is_needed_and_the_cache_stays_whole() {
        let place = tempfile::tempdir().expect("a place");
        let Some(_volume) = volume(&place.path().join("small"), "size=10m") else { return };
        let disk = "[disk]\nfree = [\"{workspace}/build-1\", \"{workspace}/build-2\"]";
        let project = project_in(&place.path().join("small"), disk, "trim = { max-size = \"1GB\" }", 12);
        for n in 0..12 {
            project.write(&format!("workspace/build-1/deep/{n}"), noise(n));
            project.write(&format!("workspace/build-2/{n}"), noise(n));
        }
        for n in 0..2 {
            project.write(&format!("workspace/other/{n}"), noise(n));
        }
        let looked = run(&project, &["--json", "disk"]).success();
        assert_eq!(looked.json()["dry-run"], true);
        assert_eq!(looked.json()["needs"][0]["fits"], false, "{}", looked.stdout);
        let build = |n: u8| project.path(&format!("workspace/build-{n}"));
        assert_eq!(freed(&looked), [(build(1).display().to_string(), None)]);
        assert!(build(1).exists() && build(2).exists());
        run(&project, &["disk", "--free", "--dry-run"]).success();
        assert!(build(1).exists());

        let ran = run(&project, &["--json", "save"]).success();
        assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
        assert_eq!(ran.json()["caches"][0]["save"]["files"], 12, "{}", ran.stderr);
        assert!(!build(1).exists() && build(2).exists(), "{}", ran.stderr);
        assert_eq!(freed(&ran), [(build(1).display().to_string(), None)]);
        assert!(ran.json()["freed"][0]["bytes"].as_u64().expect("bytes") >= 1_500_000, "{}", ran.stdout);
    }

    #[test]
    fn the_volumes_are_those_that_df_shows() {
        let place = tempfile::tempdir().expect("a place");
        let Some(_volume) = volume(&place.path().join("small"), "size=10m,nr_inodes=500") else { return };
        let project = project_in(&place.path().join("small"), "", "", 1);
        let ran = run(&project, &["--json", "disk"]).success();
        let volume = &ran.json()["volumes"][0];
        let df = |field: &str| -> u64 {
            let mut df = Command::new("df");
            let shown = df.args(["--block-size=1", &format!("--output={field}")]).arg(project.path(""));
            let shown = String::from_utf8(shown.output().expect("df").stdout).expect("text");
            shown.lines().nth(1).expect("a line").trim().parse().expect("a number")
        };
        for (name, field) in [
            ("total-bytes", "size"),
            ("free-bytes", "avail"),
            ("total-inodes", "itotal"),
            ("free-inodes", "iavail"),
        ] {
            assert_eq!(volume[name], df(field), "{name} {volume}");
        }
    }
}

#[test]
fn where_the_reserve_is_not_free_nothing_is_saved_and_the_reason_is_given() {
    let project = project(&format!("[disk]\n{GREEDY}"));
    let ran = run(&project, &["--json", "save"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "no-space", "{}", ran.stderr);
    assert!(ran.stderr.contains(" are reserved"), "{}", ran.stderr);
    assert_eq!(project.temporary_things(), Vec::<PathBuf>::new());
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_through_a_link_or_outside_or_while_it_is_in_use() {
    use std::os::unix::fs::symlink;
    let elsewhere = tempfile::tempdir().expect("a place");
    fs::write(elsewhere.path().join("precious"), noise(1)).expect("written");
    let outside = elsewhere.path().display();
    let project = project(&format!(
        "[disk]\n{GREEDY}\nfree = [\"link\", \"up/precious\", \"{outside}/precious\", \"out\", \"out/f0\", \".\", \
         \"{{temp}}\", \".git/objects\", \"held\", \"missing\", \"build\"]"
    ));
    symlink(elsewhere.path(), project.path("workspace/link")).expect("linked");
    symlink(elsewhere.path(), project.path("workspace/up")).expect("linked");
    for name in [".git/objects/x", "held/x", "build/x"] {
        project.write(&format!("workspace/{name}"), noise(2));
    }
    let binary = project.command();
    let store = file_url(&project.path("store"));
    let inner =
        [binary.get_program().to_str().expect("a path"), "--store", &store, "--json", "disk", "--free"];
    let ran = Ran::of(project.command().args(["hold", "held", "--"]).args(inner)).success();
    let reasons = freed(&ran);
    let workspace = project.path("workspace").canonicalize().expect("resolved");
    let reason = |name: &str| {
        let path = if name.is_empty() { workspace.clone() } else { workspace.join(name) };
        let same = |what: &str| Path::new(what) == path || Path::new(what).ends_with(name);
        reasons.iter().find(|(what, _)| same(what)).and_then(|(_, why)| why.clone()).unwrap_or_default()
    };
    assert_eq!(reason("link"), "it is a link", "{reasons:?}");
    assert!(reason("up/precious").starts_with("it is not below the workspace"), "{reasons:?}");
    assert_eq!(reason("out"), "it holds the cache `out` or lies in it", "{reasons:?}");
    assert_eq!(reason("out/f0"), "it holds the cache `out` or lies in it");
    assert_eq!(reason(".git/objects"), "it belongs to git");
    assert!(reason("held").contains("holding for"), "{reasons:?}");
    let gone: Vec<_> = reasons.iter().filter(|(_, why)| why.is_none()).collect();
    assert_eq!(gone.len(), 1, "{reasons:?}");
    assert!(gone[0].0.ends_with("build") && !project.path("workspace/build").exists());
    for name in ["workspace/out/f0", "workspace/.git/objects/x", "workspace/held/x", "temp"] {
        assert!(project.path(name).exists(), "{name}");
    }
    assert!(elsewhere.path().join("precious").exists());
}

#[cfg(unix)]
#[test]
fn names_of_the_table_are_freed_first_and_only_on_hosted_runners() {
    use std::os::unix::fs::PermissionsExt;
    let project =
        project(&format!("[disk]\n{GREEDY}\nfree = [\"build\", \"docker:images\", \"hosted:codeql\"]"));
    project.write("workspace/build/x", noise(1));
    project.write("tools/CodeQL/1/x", noise(1));
    let docker = project.write("bin/docker", "#!/bin/sh\necho \"$@\" >> \"$0.log\"\n");
    fs::set_permissions(&docker, PermissionsExt::from_mode(0o755)).expect("made executable");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("a path"));
    let store = file_url(&project.path("store"));
    let free = |hosted: bool| {
        let mut command = project.command();
        command.env("PATH", &path).env("RUNNER_TOOL_CACHE", project.path("tools"));
        if hosted {
            command.env("RUNNER_ENVIRONMENT", "github-hosted");
        }
        freed(&Ran::of(command.args(["--store", &store, "--json", "disk", "--free"])).success())
    };
    let own = free(false);
    assert_eq!(own[0].0, "hosted:codeql");
    assert!(own[0].1.as_ref().is_some_and(|why| why.contains("not a hosted runner")), "{own:?}");
    assert!(project.path("tools/CodeQL").exists());
    assert_eq!(own[1], ("docker:images".to_owned(), None));
    assert_eq!(project.read("bin/docker.log"), "image prune --all --force\n");
    assert!(own[2].0.ends_with("build"), "{own:?}");
    let hosted = free(true);
    assert!(hosted[0].0.ends_with("tools/CodeQL") && hosted[0].1.is_none(), "{hosted:?}");
    assert!(!project.path("tools/CodeQL").exists() && project.path("tools").exists());
}
