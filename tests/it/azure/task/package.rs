//! The package of the extension, as `tfx` makes it and an agent unpacks it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cachekeep_test_support::azure_agent::{Job, Pipeline, Status};
use cachekeep_test_support::skip::skip;

use super::{extension, program_place};

const TARGETS: [&str; 5] = [
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
];

/// An archive of a release whose program is a script.
fn release(archives: &Path, target: &str) {
    let name = if target.contains("windows") { "cachekeep.exe" } else { "cachekeep" };
    fs::create_dir_all(archives).expect("a directory");
    fs::write(archives.join(name), "#!/bin/sh\necho \"unpacked: $*\"\n").expect("a program");
    let archive = archives.join(format!("cachekeep-0.1.0-{target}.tar.gz"));
    let made = Command::new("tar").arg("-czf").arg(archive).arg("-C").arg(archives).arg(name).status();
    assert!(made.expect("tar").success());
}

fn package_extension(home: &Path, archives: &Path, package: &Path) -> Output {
    let script = extension().join("../../scripts/package-extension");
    Command::new(script).arg(archives).arg(package).env("HOME", home).output().expect("the script starts")
}

#[test]
fn the_package_is_made_unpacked_and_run() {
    if let Err(error) = Command::new("tfx").arg("version").output() {
        return skip("the_package_is_made_unpacked_and_run", &format!("tfx: {error}"));
    }
    let place = tempfile::tempdir().expect("a directory");
    let archives = place.path().join("archives");
    for target in TARGETS {
        release(&archives, target);
    }
    let package = place.path().join("cachekeep.vsix");
    let made = package_extension(place.path(), &archives, &package);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // All but the programs is next to nothing.
    assert!(fs::metadata(&package).expect("a package").len() < 16 << 10);
    let unpacked = place.path().join("unpacked");
    let unzip = Command::new("unzip").arg("-q").arg(&package).arg("-d").arg(&unpacked).status();
    assert!(unzip.expect("unzip").success());
    let folder = unpacked.join("CachekeepV0");
    for file in ["task.json", "launch.js", "main.js", "post.js", &format!("{}.br", program_place())] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let text = "steps:\n  - { task: Cachekeep@0, name: task, inputs: { cache: a } }\n";
    let pipeline = Pipeline::parse(text).expect("a pipeline");
    let job = Job::new(&pipeline).task("Cachekeep@0", &folder).run().expect(Status::Succeeded);
    assert!(job.step("task").log.contains("unpacked: task main"), "{}", job.log);
    assert!(job.post("task").log.contains("unpacked: task post"), "{}", job.log);
}

#[test]
fn a_package_without_one_of_the_programs_is_not_made() {
    let place = tempfile::tempdir().expect("a directory");
    let archives = place.path().join("archives");
    for target in &TARGETS[..4] {
        release(&archives, target);
    }
    let package = place.path().join("cachekeep.vsix");
    let made = package_extension(place.path(), &archives, &package);
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(said.contains("there is no cachekeep-VERSION-x86_64-pc-windows-msvc.tar.gz"), "{said}");
    assert!(!made.status.success() && !package.exists(), "{said}");
}
