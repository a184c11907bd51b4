//! The package of the extension, as `tfx` makes it and an agent unpacks it.

use std::fs;
use std::process::Command;

use cachekeep_test_support::azure_agent::{Job, Pipeline, Status};
use cachekeep_test_support::skip::skip;

use super::{assemble, program_place};

#[test]
fn the_package_is_made_unpacked_and_run() {
    let place = tempfile::tempdir().expect("a directory");
    assemble(place.path(), "#!/bin/sh\necho \"unpacked: $*\"\n");
    let package = place.path().join("cachekeep.vsix");
    let mut tfx = Command::new("tfx");
    tfx.args([
        "extension",
        "create",
        "--manifest-globs",
        "vss-extension.json",
        "--no-prompt",
        "--output-path",
    ]);
    tfx.arg(&package).current_dir(place.path()).env("HOME", place.path());
    let made = match tfx.output() {
        Ok(made) => made,
        Err(error) => return skip("the_package_is_made_unpacked_and_run", &format!("tfx: {error}")),
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&[made.stdout, made.stderr].concat()));
    // The service refuses packages of more than 25 MiB; all but the programs is next to nothing.
    assert!(fs::metadata(&package).expect("a package").len() < 16 << 10);
    let unpacked = place.path().join("unpacked");
    let unzip = Command::new("unzip").arg("-q").arg(&package).arg("-d").arg(&unpacked).status();
    assert!(unzip.expect("unzip").success());
    let folder = unpacked.join("CachekeepV0");
    for file in ["task.json", "launch.js", "main.js", "post.js", program_place().as_str()] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let text = "steps:\n  - { task: Cachekeep@0, name: task, inputs: { cache: a } }\n";
    let pipeline = Pipeline::parse(text).expect("a pipeline");
    let job = Job::new(&pipeline).task("Cachekeep@0", &folder).run().expect(Status::Succeeded);
    assert!(job.step("task").log.contains("unpacked: task main"), "{}", job.log);
    assert!(job.post("task").log.contains("unpacked: task post"), "{}", job.log);
}
