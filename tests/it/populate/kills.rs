//! A hundred kills while objects are fetched and merged: nothing unproven under a final name, nothing left behind.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::populate::objects::{Object, assert_holds, config, content, served};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::{Project, file_url};

const KILLS: u64 = 100;

/// Every file of the store that has an object's name is that object, whole.
fn assert_proven(store: &Path, known: &HashMap<String, Vec<u8>>) -> usize {
    let mut found = 0;
    for directory in fs::read_dir(store).into_iter().flatten().flatten() {
        if directory.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        for file in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let bytes = fs::read(file.path()).expect("readable");
            assert!(known.get(&name) == Some(&bytes), "{} is not its object", file.path().display());
            found += 1;
        }
    }
    found
}

#[test]
fn kills_leave_nothing_unproven_and_the_next_start_nothing_at_all() {
    let project = Project::new("");
    let mut objects = served(&project, 60);
    for index in 0..4 {
        let object = Object::raw(content(9000 + index, 3 << 20));
        object.serve_from(&project.path("mirror"));
        object.link(&project, &format!("data/large-{index}"));
        objects.push(object);
    }
    let known = objects.iter().map(|object| (object.hash.clone(), object.bytes.clone())).collect();
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Slow(60 << 20));
    // A mirror of a directory merges without a network in between.
    let local = format!("{}/{{ALGO}}/{{hash}}", file_url(&project.path("mirror")));
    let mut dice = content(4711, 8 * KILLS as usize).into_iter();
    let mut roll = move || f64::from(dice.next().unwrap_or(7)) / 256.0;
    let store = project.path("workspace/store");
    // How long it takes to fetch all depends on what else the machine does; the moments of death follow.
    project.write("workspace/cachekeep.toml", config(&[mirror.template()], ""));
    let begun = Instant::now();
    project.run(&["fetch", "--required"]).success();
    let mut life = begun.elapsed();
    fs::remove_dir_all(&store).expect("removed");
    let (mut killed, mut partial) = (0, 0);
    for round in 0..KILLS {
        let mirrors = if round % 3 == 0 { vec![local.clone()] } else { vec![mirror.template()] };
        project.write("workspace/cachekeep.toml", config(&mirrors, ""));
        let mut command = project.command();
        command.arg("fetch").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        std::thread::sleep(life.mul_f64(roll()));
        let is_at_work = child.try_wait().expect("asked").is_none();
        life = life.mul_f64(if is_at_work { 1.04 } else { 0.8 });
        killed += usize::from(is_at_work);
        child.kill().expect("killed");
        child.wait().expect("waited for");
        let found = assert_proven(&store, &known);
        partial += usize::from(found > 0 && found < objects.len());
        // Killed before it made the directory, it leaves none.
        if store.exists() && (found == objects.len() || round % 10 == 9) {
            fs::remove_dir_all(&store).expect("removed");
        }
    }
    assert!(killed >= 20, "only {killed} of {KILLS} processes were killed at work");
    assert!(partial > 0, "no kill came between two objects");
    project.run(&["fetch", "--required"]).success();
    assert_holds(&project, &objects);
    assert_proven(&store, &known);
    assert!(project.temporary_things().is_empty(), "{:?}", project.temporary_things());
    project.run(&["gate"]).success();
}
