//! `install.yml`: what is downloaded is verified, what is kept is verified again, and nothing of the checkout is run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cachekeep_test_support::azure_agent::{JobResult, Pipeline, Status};

use super::{Machine, load};
use crate::action::definition::sha256;

/// A release: an archive with a program that says that it ran, a `curl` that delivers it, and the list of sums.
struct Release {
    machine: Machine,
    sums: String,
}

impl Release {
    fn new() -> Self {
        let machine = Machine::new();
        let made = machine.path("made");
        fs::create_dir_all(&made).expect("a directory");
        program(&made.join("cachekeep"), "echo \"ran $*\"");
        let archive = machine.path("release.tar.gz");
        let ended =
            Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&made).arg("cachekeep").status();
        assert!(ended.is_ok_and(|status| status.success()));
        let sum = sha256(&fs::read(&archive).expect("read"));
        let bin = machine.path("bin");
        fs::create_dir_all(&bin).expect("a directory");
        let count = machine.path("downloads");
        let script = format!(
            "echo \"$*\" >>'{}'; while [ \"$1\" != -o ]; do shift; done; cp '{}' \"$2\"",
            count.display(),
            archive.display()
        );
        program(&bin.join("curl"), &script);
        let sums = format!("{sum} cachekeep-0.1.0-x86_64-unknown-linux-musl.tar.gz");
        Release { machine, sums }
    }

    fn pipeline(&self, version: &str) -> Pipeline {
        load(&format!(
            "
steps:
  - template: azure-task/install.yml@cachekeep
    parameters: {{ version: '{version}', sums: '{}' }}
  - bash: '\"$CACHEKEEP\" hello'
    name: used
",
            self.sums
        ))
    }

    fn run(&self, version: &str) -> JobResult {
        let pipeline = self.pipeline(version);
        self.machine
            .job(&pipeline, "1")
            .on_path(&self.machine.path("bin"))
            .variable("Agent.OSArchitecture", "X64")
            .variable("Agent.ToolsDirectory", &self.machine.path("tools").display().to_string())
            .file("cachekeep", "#!/bin/sh\necho foreign\n")
            .run()
    }

    fn downloads(&self) -> usize {
        fs::read_to_string(self.machine.path("downloads")).map_or(0, |text| text.lines().count())
    }

    fn kept(&self) -> std::path::PathBuf {
        let directory = self.machine.path("tools/cachekeep/archives");
        let entry = fs::read_dir(directory).expect("archives").flatten().next();
        entry.expect("an archive").path()
    }
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}

#[test]
fn a_release_is_downloaded_once_and_verified_each_time() {
    let release = Release::new();
    for downloads in [1, 1] {
        let job = release.run("v0.1.0").expect(Status::Succeeded);
        assert!(job.step("used").log.contains("ran hello"), "{}", job.log);
        assert_eq!(release.downloads(), downloads);
    }
    let asked = fs::read_to_string(release.machine.path("downloads")).expect("asked");
    assert!(
        asked.contains("/releases/download/v0.1.0/cachekeep-0.1.0-x86_64-unknown-linux-musl.tar.gz"),
        "{asked}"
    );
    fs::write(release.kept(), "planted").expect("written");
    let job = release.run("v0.1.0").expect(Status::Succeeded);
    assert!(job.step("used").log.contains("ran hello"));
    assert_eq!(release.downloads(), 2);
}

#[test]
fn what_the_list_does_not_name_is_not_run() {
    let mut release = Release::new();
    let other = if release.sums.starts_with('0') { "1" } else { "0" };
    release.sums.replace_range(..1, other);
    let job = release.run("v0.1.0").expect(Status::Failed);
    assert!(job.log.contains("the archive is not the one that sums lists"), "{}", job.log);
    for (sums, version, said) in [
        ("", "v0.1.0", "sums has no line for the archive of this machine"),
        ("short cachekeep-0.1.0-x86_64-unknown-linux-musl.tar.gz", "v0.1.0", "sums has no line"),
        (&release.sums.clone(), "v1/../../x", "version is the tag of a release"),
        (&release.sums.clone(), "", "version is the tag of a release"),
    ] {
        sums.clone_into(&mut release.sums);
        let job = release.run(version).expect(Status::Failed);
        assert!(job.log.contains(said), "{said}: {}", job.log);
    }
}

#[test]
fn installed_means_the_one_on_path_and_not_in_the_checkout() {
    let machine = Machine::new();
    let pipeline = load(
        "
steps:
  - template: azure-task/install.yml@cachekeep
    parameters: { version: installed }
  - bash: '\"$CACHEKEEP\" --version'
    name: used
",
    );
    let job = machine.job(&pipeline, "1").file("cachekeep", "#!/bin/sh\necho foreign\n").run();
    let job = job.expect(Status::Succeeded);
    assert!(job.step("used").log.contains(concat!("cachekeep ", env!("CARGO_PKG_VERSION"))), "{}", job.log);
}
