//! Volumes: another one than that of temp, a full one, and objects that may not be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep::domain::digest::Algorithm;

use crate::populate::objects::{Object, assert_holds, config, content, served};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::Project;
use cachekeep_test_support::skip;

/// A small volume over a directory; it goes with this.
struct Volume(PathBuf);

impl Volume {
    fn over(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).expect("made");
        let options = format!("size={size},mode=755");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Volume(path.to_owned()))
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mount = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(mount.is_ok_and(|status| status.success()));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_volume_ends_the_fetch_clearly_and_keeps_what_came() {
    let project = Project::new("");
    let mut objects = served(&project, 10);
    for index in 0..8 {
        let object = Object::new(Algorithm::Sha256, content(500 + index, 400_000));
        object.serve_from(&project.path("mirror"));
        object.link(&project, &format!("data/large-{index}"));
        objects.push(object);
    }
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    project.write("workspace/cachekeep.toml", config(&[mirror.template()], ""));
    let Some(volume) = Volume::over(&project.path("workspace/store"), "1200k") else {
        return skip(
            "a_full_volume_ends_the_fetch_clearly_and_keeps_what_came",
            "nothing can be mounted here",
        );
    };
    for _ in 0..2 {
        let ran = project.run(&["fetch", "--required", "--json"]).code(1);
        assert_eq!(ran.json()["caches"][0]["seed"]["result"], "failed", "{}", ran.stderr);
        assert!(
            ran.stderr.to_lowercase().contains("no space") || ran.stderr.contains("storage"),
            "{}",
            ran.stderr
        );
        for object in objects.iter().filter(|object| object.path(&project).exists()) {
            assert_holds(&project, std::slice::from_ref(object));
        }
        assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
    }
    volume.resize("16m");
    project.run(&["fetch", "--required"]).success();
    assert_holds(&project, &objects);
    project.run(&["gate"]).success();
}

#[test]
fn a_store_on_another_volume_than_temp_and_than_the_build_is_filled() {
    let project = Project::new("");
    let objects = served(&project, 25);
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    let more = "harvest = [\"build/Objects\"]";
    project.write("workspace/cachekeep.toml", config(&[mirror.template()], more));
    let Some(_volume) = Volume::over(&project.path("workspace/store"), "16m") else {
        let test = "a_store_on_another_volume_than_temp_and_than_the_build_is_filled";
        return skip(test, "nothing can be mounted here");
    };
    for object in &objects[..12] {
        object.serve_from(&project.path("workspace/build/Objects"));
    }
    let ran = project.run(&["save"]).success();
    assert!(ran.stderr.contains("harvested 12 objects"), "{}", ran.stderr);
    assert_holds(&project, &objects[..12]);
    project.run(&["fetch", "--required"]).success();
    project.run(&["save", "--required"]).success();
    assert_eq!(mirror.requests(), 13);
    for entry in fs::read_dir(project.path("workspace/store")).expect("listed").flatten() {
        let _ = fs::remove_dir_all(entry.path());
    }
    project.run(&["restore", "--fail-on-miss", "--required"]).success();
    assert_holds(&project, &objects);
    assert!(project.temporary_things().is_empty());
}

#[test]
fn objects_that_may_not_be_written_are_mended_and_pruned() {
    let project = Project::new("");
    let objects = served(&project, 12);
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    project.write("workspace/cachekeep.toml", config(&[mirror.template()], "unwanted = \"prune\""));
    project.run(&["fetch", "--required"]).success();
    let unwanted = Object::new(Algorithm::Sha512, b"unwanted".to_vec());
    unwanted.serve_from(&project.path("workspace/store"));
    fs::write(objects[7].path(&project), "damaged").expect("written");
    for object in objects.iter().chain([&unwanted]) {
        let path = object.path(&project);
        let mut permissions = fs::metadata(&path).expect("there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).expect("set");
    }
    project.run(&["fetch", "--required"]).success();
    project.run(&["save", "--required"]).success();
    assert_holds(&project, &objects);
    assert!(!unwanted.path(&project).exists());
    fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    project.run(&["restore", "--fail-on-miss"]).success();
    assert_holds(&project, &objects);
    assert!(fs::metadata(objects[3].path(&project)).expect("there").permissions().readonly());
}
