//! Around actions/cache with a file as one of the roots.

use std::fs;
use std::process::Command;

use crate::action::steps::Job;

/// The tree that actions/cache is shown is taken apart and put together by `tar`, as that does it.
#[test]
fn a_file_goes_through_actions_cache() {
    let inputs = |mode| [("path", "image.bin\nout"), ("key", "k-1"), ("mode", mode)];
    let mut job = Job::new();
    job.write("workspace/image.bin", "image");
    job.write("workspace/out/f", "text");
    let started = job.step("start", &inputs("save"));
    assert_eq!(started.outputs.get("transport").map(String::as_str), Some("wrapped"), "{}", started.log);
    let place = started.outputs["path-0"].clone();
    assert_eq!(place, ".cachekeep/image.bin-out/0\n.cachekeep/image.bin-out/1");
    job.set("CACHEKEEP_KEY_0", "k-1");
    let staged = job.step("stage", &inputs("save"));
    let shown = job.path("workspace/.cachekeep/image.bin-out/0");
    assert_eq!(fs::read_to_string(&shown).expect("shown"), "image", "{}", staged.log);
    let tar = |arguments: &[&str]| {
        let ended = Command::new("tar").current_dir(job.path("workspace")).args(arguments).status();
        assert!(ended.expect("tar runs").success());
    };
    tar(&["-cf", "../packed.tar", ".cachekeep"]);
    fs::remove_dir_all(job.path("workspace/.cachekeep")).expect("removed");
    fs::remove_file(job.path("workspace/image.bin")).expect("removed");
    fs::remove_dir_all(job.path("workspace/out")).expect("removed");
    job.step("start", &inputs("restore"));
    tar(&["-xf", "../packed.tar"]);
    job.set("CACHEKEEP_MATCHED_0", "k-1");
    let done = job.step("finish", &inputs("restore"));
    assert_eq!(done.outputs.get("hit").map(String::as_str), Some("exact"), "{}", done.log);
    let read = |name: &str| fs::read_to_string(job.path("workspace").join(name)).expect("restored");
    assert_eq!([read("image.bin"), read("out/f")], ["image", "text"]);
    assert!(!job.path("workspace/.cachekeep").exists());
}
