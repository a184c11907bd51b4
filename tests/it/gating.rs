//! The gate: what makes up for a missing object (nothing does).

use std::fs;
use std::path::PathBuf;

use crate::main_job::example;
use cachekeep_test_support::project::Project;

/// What takes the place of an object, by name.
type Stand<'a> = (&'a str, Box<dyn Fn() + 'a>);

fn seeded() -> (Project, Vec<PathBuf>) {
    let project = example();
    project.run(&["seed", "frames"]).success();
    let mut objects = Vec::new();
    for algorithm in fs::read_dir(project.path("workspace/build/objects")).expect("a store").flatten() {
        if algorithm.path().is_dir() {
            objects.extend(fs::read_dir(algorithm.path()).expect("objects").flatten().map(|o| o.path()));
        }
    }
    objects.sort();
    assert_eq!(objects.len(), 72);
    (project, objects)
}

#[test]
fn nothing_makes_up_for_a_missing_object() {
    let (project, objects) = seeded();
    let missing = &objects[40];
    let bytes = fs::read(missing).expect("an object");
    let directory = missing.parent().expect("a directory");
    let name = missing.file_name().expect("a name").to_string_lossy().into_owned();
    let mut flipped = bytes.clone();
    flipped[7] ^= 0x10;
    let stands: Vec<Stand<'_>> = vec![
        ("nothing", Box::new(|| {})),
        ("junk", Box::new(|| fs::write(directory.join("junk"), b"junk").expect("written"))),
        ("a part", Box::new(|| fs::write(directory.join(format!("{name}.part")), &bytes).expect("written"))),
        ("an empty file", Box::new(|| fs::write(missing, b"").expect("written"))),
        ("a flipped bit", Box::new(|| fs::write(missing, &flipped).expect("written"))),
        ("half of it", Box::new(|| fs::write(missing, &bytes[..bytes.len() / 2]).expect("written"))),
        ("more of it", Box::new(|| fs::write(missing, [&bytes[..], b"x"].concat()).expect("written"))),
        ("a directory", Box::new(|| fs::create_dir(missing).expect("made"))),
    ];
    for (what, stand) in stands {
        let _ = fs::remove_file(missing);
        stand();
        let ran = project.run(&["gate", "frames", "--json"]).code(3);
        let gate = &ran.json()["caches"][0]["gate"];
        assert_eq!(gate["missing-count"], 1, "{what}");
        assert_eq!(gate["present"], 71, "{what}");
        let lacking = gate["missing"]
            .as_array()
            .expect("a list")
            .iter()
            .chain(gate["unproven"].as_array().expect("a list"));
        let links: Vec<_> =
            lacking.flat_map(|object| object["links"].as_array().expect("links").clone()).collect();
        assert_eq!(links.len(), 1, "{what}");
        let ran = project.run(&["save", "frames", "--json"]).success();
        assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "incomplete", "{what}");
    }
    project.run(&["save", "frames", "--required"]).code(1);
}

#[test]
fn an_object_in_the_wrong_folder_or_case_is_not_there() {
    let (project, objects) = seeded();
    let object = objects.iter().find(|path| path.to_string_lossy().contains("SHA512")).expect("an object");
    let elsewhere = project.path("workspace/build/objects/sha512");
    fs::create_dir_all(&elsewhere).expect("made");
    fs::rename(object, elsewhere.join(object.file_name().expect("a name"))).expect("moved");
    // On a volume that ignores case it is the same directory.
    let is_one = project.path("workspace/build/objects/sHA512").exists();
    project.run(&["gate", "frames"]).code(if is_one { 0 } else { 3 });
}

#[test]
fn the_sentinel_is_invalid_once_an_object_is_gone() {
    let (project, objects) = seeded();
    let sentinel = project.path("workspace/build/objects/.cachekeep-sentinel");
    let text = fs::read_to_string(&sentinel).expect("a sentinel");
    assert!(text.starts_with("cachekeep sentinel 1\nseed 1.0\n") && text.contains("objects 72\n"), "{text}");
    fs::remove_file(&objects[0]).expect("removed");
    let ran = project.run(&["seed", "frames", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["seed"]["result"], "seeded");
    assert_eq!(fs::read_to_string(&sentinel).expect("a sentinel"), text);
}

#[test]
fn the_message_names_what_is_missing_and_who_wants_it() {
    let (project, objects) = seeded();
    let object =
        objects.iter().find(|path| path.parent().expect("below").ends_with("MD5")).expect("an object");
    fs::remove_file(object).expect("removed");
    let ran = project.run(&["gate", "frames"]).code(3);
    let hash = object.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(ran.stderr.contains(&format!("md5:{hash}, wanted by data/md5/frame-")), "{}", ran.stderr);
}

/// A build that stores files by other names than their hashes never makes such a cache complete.
#[test]
fn files_with_other_names_than_their_hashes_are_told_from_missing_ones() {
    let project = Project::new(
        "[cache.data]\npath = \"out\"\nkey = \"data-{links}\"\nlinks = { files = [\"links/*.sha512\"] }\n",
    );
    project.write("workspace/links/sphere.off.sha512", "0".repeat(128));
    let ran = project.run(&["gate"]).code(3);
    assert!(ran.stderr.contains("hint: let the build bring what is missing"), "{}", ran.stderr);
    project.write("workspace/out/sphere.off", "OFF");
    let ran = project.run(&["gate"]).code(3);
    assert!(
        ran.stderr.contains("no file lies where `object = \"{ALGO}/{hash}\"` says, and 1 file elsewhere: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("`{files:…}` in the key"), "{}", ran.stderr);
}
