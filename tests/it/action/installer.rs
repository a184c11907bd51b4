//! The installer: a release's archive, checked and kept; else built from source; else the one on PATH.

use std::fs;
use std::process::Command;

use crate::action::definition::{root, sha256, text};
use cachekeep_test_support::github_service::capture;

/// A checkout of the action with a list of checksums, and programs that stand for the network and for cargo.
struct Installation {
    directory: tempfile::TempDir,
}

struct Installed {
    code: i32,
    log: String,
    binary: Option<String>,
}

impl Installation {
    fn new() -> Self {
        let installation = Installation { directory: tempfile::tempdir().expect("a temp dir") };
        for name in ["action/scripts", "bin", "temp", "tools", "site"] {
            fs::create_dir_all(installation.path(name)).expect("a directory");
        }
        fs::copy(root().join("scripts/install.sh"), installation.path("action/scripts/install.sh"))
            .expect("copied");
        installation.write("action/scripts/release.sha256", &text("scripts/release.sha256"));
        // Takes the file from the directory `site`, whatever the host is.
        installation.program(
            "curl",
            r#"while [ $# -gt 1 ]; do if [ "$1" = -o ]; then out=$2; fi; shift; done
echo "curl $1" >&2; cp "$SITE/${1##*/}" "$out""#,
        );
        installation.program(
            "cargo",
            r#"while [ $# -gt 0 ]; do if [ "$1" = --target-dir ]; then dir=$2; fi; shift; done
echo "cargo builds" >&2; mkdir -p "$dir/release"; echo built >"$dir/release/cachekeep""#,
        );
        installation
    }

    fn path(&self, relative: &str) -> std::path::PathBuf {
        self.directory.path().join(relative)
    }

    fn write(&self, relative: &str, contents: &str) {
        fs::write(self.path(relative), contents).expect("written");
    }

    fn program(&self, name: &str, script: &str) {
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\nset -e\n{script}\n"));
        let status = Command::new("chmod").arg("+x").arg(self.path(&format!("bin/{name}"))).status();
        assert!(status.expect("chmod starts").success());
    }

    /// Publishes an archive that holds this program, and lists it.
    fn publish(&self, target: &str, program: &str) {
        self.write("site/cachekeep", program);
        let name = format!("cachekeep-1.2.3-{target}.tar.gz");
        let archive = self.path("site").join(&name);
        let mut pack = Command::new("tar");
        pack.arg("-czf").arg(&archive).arg("-C").arg(self.path("site")).arg("cachekeep");
        assert!(pack.status().expect("tar starts").success());
        let list = format!(
            "# base https://example.org/v1.2.3\n{}  {name}\n",
            sha256(&fs::read(&archive).expect("an archive"))
        );
        self.write("action/scripts/release.sha256", &list);
    }

    fn install(&self, arch: &str, version: &str) -> Installed {
        let output_file = self.path("output");
        let _ = fs::remove_file(&output_file);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command
            .arg(self.path("action/scripts/install.sh"))
            .env_clear()
            .env("PATH", path)
            .env("SITE", self.path("site"))
            .env("RUNNER_OS", "Linux")
            .env("RUNNER_ARCH", arch)
            .env("RUNNER_TEMP", self.path("temp"))
            .env("RUNNER_TOOL_CACHE", self.path("tools"))
            .env("GITHUB_OUTPUT", &output_file)
            .env("CACHEKEEP_INPUT_VERSION", version);
        let output = capture::output("installer", &mut command).expect("bash starts");
        let outputs = fs::read_to_string(output_file).unwrap_or_default();
        Installed {
            code: output.status.code().unwrap_or(-1),
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
            binary: outputs.trim_end().strip_prefix("binary=").map(str::to_owned),
        }
    }
}

impl Installed {
    fn content(&self) -> String {
        fs::read_to_string(self.binary.as_ref().expect(&self.log)).expect("a binary")
    }
}

#[test]
fn an_archive_of_the_release_is_checked_and_kept() {
    let installation = Installation::new();
    installation.publish("x86_64-unknown-linux-musl", "released");
    let first = installation.install("X64", "");
    assert_eq!((first.code, first.content().as_str()), (0, "released"), "{}", first.log);
    assert!(
        first.log.contains("https://example.org/v1.2.3/cachekeep-1.2.3-x86_64-unknown-linux-musl.tar.gz")
    );
    let second = installation.install("X64", "");
    assert_eq!(second.content(), "released");
    assert!(!second.log.contains("curl"), "it is kept: {}", second.log);
    // Another machine has no archive.
    assert_eq!(installation.install("ARM64", "").content(), "built\n");
    assert_eq!(installation.install("X64", "source").content(), "built\n");
}

#[test]
fn another_archive_than_the_one_listed_is_refused() {
    let installation = Installation::new();
    installation.publish("x86_64-unknown-linux-musl", "released");
    installation.write("site/cachekeep-1.2.3-x86_64-unknown-linux-musl.tar.gz", "something else");
    let done = installation.install("X64", "");
    assert_eq!(done.code, 1);
    assert!(done.log.contains("is not the archive that this release lists") && done.binary.is_none());
    assert_eq!(fs::read_dir(installation.path("tools/cachekeep")).expect("a directory").count(), 0);
}

#[test]
fn without_a_release_it_is_built_and_each_job_keeps_its_own() {
    let installation = Installation::new();
    let done = installation.install("X64", "");
    assert_eq!(done.content(), "built\n", "{}", done.log);
    assert!(done.binary.expect("a binary").starts_with(&installation.path("temp").display().to_string()));
}

#[test]
fn the_installed_one_is_taken_if_asked_for() {
    let installation = Installation::new();
    installation.program("cachekeep", "true");
    let done = installation.install("X64", "installed");
    assert_eq!(done.binary, Some(installation.path("bin/cachekeep").display().to_string()), "{}", done.log);
}
