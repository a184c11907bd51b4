//! The build that all this is for: CMake's own `ExternalData`, offline, on a store at another path.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cachekeep::domain::digest::Algorithm;

use crate::populate::objects::{Object, config, content};
use cachekeep_test_support::capture;
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::{Project, scrub};
use cachekeep_test_support::skip::{skip, works};

/// What CMake's module knows of; it verifies none of it in a store.
const KNOWN: [&str; 10] =
    ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512"];

fn tools_are_here(test: &str) -> bool {
    for tool in ["cmake", "make"] {
        if !works(tool) {
            skip(test, &format!("there is no {tool}"));
            return false;
        }
    }
    true
}

/// A CMake project with a link of each algorithm, in the workspace; its objects are served.
fn sample() -> (Project, Vec<Object>, MirrorServer) {
    let project = Project::new("");
    let mut objects = Vec::new();
    let mut data = String::new();
    for (index, name) in KNOWN.iter().enumerate() {
        let algorithm = Algorithm::from_name(name).expect(name);
        let object = Object::new(algorithm, content(index as u64 + 77, 2000 + 31 * index));
        object.serve_from(&project.path("mirror"));
        object.link(&project, &format!("data/{index}.bin"));
        data.push_str(&format!("DATA{{data/{index}.bin}} "));
        objects.push(object);
    }
    project.write(
        "workspace/CMakeLists.txt",
        format!(
            "cmake_minimum_required(VERSION 3.10)\nproject(Sample NONE)\ninclude(ExternalData)\n\
             set(ExternalData_OBJECT_STORES \"${{STORE}}\")\nset(ExternalData_NO_SYMLINKS ON)\n\
             ExternalData_Expand_Arguments(Data files {data})\nExternalData_Add_Target(Data)\n"
        ),
    );
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    let config = config(&[mirror.template()], "").replace("\"store\"", "\"{temp}/store\"");
    project.write("workspace/cachekeep.toml", config);
    (project, objects, mirror)
}

/// Configures and builds the sample from a store.
fn build(project: &Project, store: &Path) -> Output {
    let _ = fs::remove_dir_all(project.path("build"));
    let cmake = |arguments: &[&str]| {
        let mut command = Command::new("cmake");
        scrub(&mut command, &project.path(""));
        capture::output("cmake", command.current_dir(project.path("")).args(arguments)).expect("cmake starts")
    };
    let store = format!("-DSTORE={}", store.display());
    let configured = cmake(&["-S", "workspace", "-B", "build", "-G", "Unix Makefiles", &store]);
    assert!(configured.status.success(), "{}", String::from_utf8_lossy(&configured.stderr));
    cmake(&["--build", "build", "--target", "Data"])
}

fn in_temp<'a>(temp: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--temp", temp], arguments].concat()
}

#[test]
fn a_store_restored_to_another_path_serves_cmake_offline() {
    if !tools_are_here("a_store_restored_to_another_path_serves_cmake_offline") {
        return;
    }
    let (project, objects, mirror) = sample();
    let (one, other) = (project.path("temp/one"), project.path("temp/another place"));
    let (here, there) = (one.to_str().expect("text"), other.to_str().expect("text"));
    project.run(&in_temp(here, &["fetch", "--required"])).success();
    project.run(&in_temp(here, &["save", "--required"])).success();
    // Offline from here on, and nothing is left where it was saved from.
    drop(mirror);
    fs::remove_dir_all(&one).expect("removed");
    project.run(&in_temp(there, &["restore", "--fail-on-miss"])).success();
    let built = build(&project, &other.join("store"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for (index, object) in objects.iter().enumerate() {
        let made = fs::read(project.path(&format!("build/data/{index}.bin"))).expect("CMake made it");
        assert!(made == object.bytes, "{}", KNOWN[index]);
    }
}

#[test]
fn one_flipped_bit_in_the_store_never_reaches_cmake() {
    if !tools_are_here("one_flipped_bit_in_the_store_never_reaches_cmake") {
        return;
    }
    let (project, objects, mirror) = sample();
    let temp = project.path("temp/one");
    let here = temp.to_str().expect("text");
    project.run(&in_temp(here, &["fetch", "--required"])).success();
    let victim = temp.join("store").join(objects[5].relative());
    let mut bytes = objects[5].bytes.clone();
    bytes[1000] ^= 0x08;
    fs::write(&victim, &bytes).expect("written");
    // Without us, CMake takes it as it is.
    let built = build(&project, &temp.join("store"));
    assert!(built.status.success());
    assert!(fs::read(project.path("build/data/5.bin")).expect("made") == bytes, "CMake verifies nothing");
    // The gate stops the job; `fetch` replaces the object, or removes it where no source has it.
    project.run(&in_temp(here, &["gate"])).code(3);
    project.run(&in_temp(here, &["fetch", "--required"])).success();
    assert!(fs::read(&victim).expect("mended") == objects[5].bytes);
    assert!(build(&project, &temp.join("store")).status.success());
    fs::write(&victim, &bytes).expect("written");
    drop(mirror);
    project.run(&in_temp(here, &["fetch", "--required"])).code(1);
    assert!(!victim.exists(), "it was moved away");
    let built = build(&project, &temp.join("store"));
    assert!(!built.status.success(), "CMake says that it is missing");
}
