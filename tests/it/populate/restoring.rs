//! What is verified of a restored cache, and how objects are treated whose bytes do not match their names.

use std::fs;

use crate::populate::objects::{Object, assert_holds, config, served};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::{Project, Ran};

/// A project whose only entry holds one object with a flipped bit: saved by a job that declared no links.
fn poisoned(verify: &str) -> (Project, Vec<Object>, MirrorServer) {
    let project = Project::new("");
    let objects = served(&project, 20);
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    let good = config(&[mirror.template()], &format!("verify = \"{verify}\""));
    project.write("workspace/cachekeep.toml", &good);
    project.run(&["fetch", "--required"]).success();
    let key = project.run(&["key", "--json"]).success().json()["caches"][0]["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    let mut bytes = objects[9].bytes.clone();
    bytes[17] ^= 2;
    fs::write(objects[9].path(&project), bytes).expect("written");
    let ungated = format!("[cache.data]\npath = \"store\"\nkey = \"{key}\"\n");
    project.write("workspace/cachekeep.toml", ungated);
    project.run(&["save", "--required"]).success();
    project.write("workspace/cachekeep.toml", &good);
    fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    (project, objects, mirror)
}

fn restore(project: &Project) -> Ran {
    project.run(&["restore", "--fail-on-miss"]).success()
}

#[test]
fn a_bad_object_of_an_entry_is_not_restored_and_is_fetched_again() {
    // Twenty objects are fewer than the least sample, so the sample finds it, too.
    for verify in ["full", "sample"] {
        let (project, objects, mirror) = poisoned(verify);
        let asked = mirror.requests();
        let ran = restore(&project);
        assert!(ran.stderr.contains("were not restored"), "{verify}: {}", ran.stderr);
        assert!(ran.stderr.contains(&objects[9].hash), "{}", ran.stderr);
        assert!(!objects[9].path(&project).exists(), "{verify}");
        project.run(&["gate"]).code(3);
        project.run(&["seed", "--required"]).success();
        assert_eq!(mirror.requests() - asked, 1);
        assert_holds(&project, &objects);
        project.run(&["gate"]).success();
        assert!(project.temporary_things().is_empty());
    }
}

#[test]
fn a_bad_object_of_an_entry_never_replaces_a_good_one() {
    let (project, objects, _mirror) = poisoned("full");
    objects[9].serve_from(&project.path("workspace/store"));
    restore(&project);
    assert_holds(&project, &objects);
    project.run(&["gate"]).success();
}

#[test]
fn by_sentinel_names_and_sizes_count_and_a_save_hashes_all_the_same() {
    let (project, objects, _mirror) = poisoned("sentinel");
    let ran = restore(&project);
    assert!(!ran.stderr.contains("were not restored"), "{}", ran.stderr);
    project.run(&["gate"]).success();
    // What is saved is proven, whatever was believed before.
    project.write("workspace/data/new.md5", "d41d8cd98f00b204e9800998ecf8427e\n");
    project.write("workspace/store/MD5/d41d8cd98f00b204e9800998ecf8427e", "");
    let ran = project.run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "incomplete", "{}", ran.stderr);
    // Another size is seen, and then everything is hashed: both go.
    fs::write(objects[4].path(&project), "shorter").expect("written");
    project.run(&["gate"]).code(3);
    project.run(&["seed", "--required"]).success();
    assert_holds(&project, &objects);
}
