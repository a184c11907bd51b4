//! The installer: a release's archive, checked and kept; else built from source; else the one on PATH.

use std::fs;
use std::process::Command;

use crate::action::definition::{root, sha256, text};
use cachekeep_test_support::github_service::capture;
use cachekeep_test_support::project::binary;

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
        for name in ["action/scripts", "bin", "action/src", "temp", "tools", "site", "workspace"] {
            fs::create_dir_all(installation.path(name)).expect("a directory");
        }
        fs::copy(root().join("scripts/install.sh"), installation.path("action/scripts/install.sh"))
            .expect("copied");
        installation.write("action/scripts/release.sha256", &text("scripts/release.sha256"));
        for name in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
            installation.write(&format!("action/{name}"), name);
        }
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
        self.publish_as("cachekeep", target, program);
    }

    fn publish_as(&self, file: &str, target: &str, program: &str) {
        self.write(&format!("site/{file}"), program);
        let name = format!("cachekeep-1.2.3-{target}.tar.gz");
        let archive = self.path("site").join(&name);
        let mut pack = Command::new("tar");
        pack.arg("-czf").arg(&archive).arg("-C").arg(self.path("site")).arg(file);
        assert!(pack.status().expect("tar starts").success());
        let list = format!(
            "# base https://example.org/v1.2.3\n{}  {name}\n",
            sha256(&fs::read(&archive).expect("an archive"))
        );
        self.write("action/scripts/release.sha256", &list);
    }

    fn install(&self, arch: &str, version: &str) -> Installed {
        self.install_with(arch, version, |_| {})
    }

    /// Installs in the workspace, as a step does, with variables of its own.
    fn install_with(&self, arch: &str, version: &str, adapt: impl FnOnce(&mut Command)) -> Installed {
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
            .env("GITHUB_WORKSPACE", self.path("workspace"))
            .env("CACHEKEEP_INPUT_VERSION", version)
            .current_dir(self.path("workspace"));
        adapt(&mut command);
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

/// What `scripts/package-release` makes of this build, as the release workflow does, the installer takes.
#[test]
fn an_archive_that_a_release_makes_is_installed_and_runs() {
    let installation = Installation::new();
    let (target, version) = ("x86_64-unknown-linux-musl", env!("CARGO_PKG_VERSION"));
    let mut package = Command::new(root().join("scripts/package-release"));
    package.arg(binary()).args([version, target]).arg(installation.path("site"));
    let made = capture::output("package", &mut package).expect("bash starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let name = format!("cachekeep-{version}-{target}.tar.gz");
    let archive = installation.path("site").join(&name);
    let sum = sha256(&fs::read(&archive).expect("an archive"));
    installation
        .write("action/scripts/release.sha256", &format!("# base https://example.org/v1\n{sum}  {name}\n"));
    let mut list = Command::new("tar");
    let listed = list.arg("-tzf").arg(&archive).output().expect("tar starts").stdout;
    for file in
        ["cachekeep", "cachekeep.1", "completions/_cachekeep", "completions/cachekeep.bash", "LICENSE-MIT"]
    {
        assert!(String::from_utf8_lossy(&listed).lines().any(|line| line == file), "{file}");
    }
    let installed = installation.install("X64", "");
    let mut run = Command::new(installed.binary.as_ref().expect(&installed.log));
    let told = run.arg("--version").output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&told.stdout), format!("cachekeep {version}\n"));
    let wrong = Command::new(root().join("scripts/package-release"))
        .arg(binary())
        .args(["0.0.0", target])
        .arg(installation.path("site"))
        .output()
        .expect("bash starts");
    assert!(
        !wrong.status.success()
            && !installation.path("site/cachekeep-0.0.0-x86_64-unknown-linux-musl.tar.gz").exists()
    );
}

#[test]
fn another_archive_than_the_one_listed_is_refused() {
    let installation = Installation::new();
    installation.publish("x86_64-unknown-linux-musl", "released");
    installation.write("site/cachekeep-1.2.3-x86_64-unknown-linux-musl.tar.gz", "something else");
    let done = installation.install("X64", "");
    assert_eq!(done.code, 1);
    assert!(done.log.contains("is not the archive that this release lists") && done.binary.is_none());
    assert!(!installation.path("tools/cachekeep").exists(), "it is not kept");
}

/// As in Git Bash: directories come as `C:\\…`, which `sha256sum` would escape and `tar` take for a machine's name.
#[test]
fn on_windows_an_archive_is_checked_and_unpacked_below_drive_letters() {
    let installation = Installation::new();
    installation.publish_as("cachekeep.exe", "x86_64-pc-windows-msvc", "released");
    let place = installation.path("").display().to_string();
    installation.program(
        "cygpath",
        &format!(r#"[ "$1" = -u ]; printf '%s\n' "$2" | sed 's|^C:.|{place}/|; y|\\|/|'"#),
    );
    let on_windows = |command: &mut Command| {
        command.env("RUNNER_OS", "Windows");
        command.env("RUNNER_TEMP", r"C:\temp").env("RUNNER_TOOL_CACHE", r"C:\tools");
    };
    let first = installation.install_with("X64", "", on_windows);
    assert_eq!((first.code, first.content().as_str()), (0, "released"), "{}", first.log);
    assert!(
        first.binary.as_ref().is_some_and(|path| path.ends_with("/bin/cachekeep.exe")),
        "{:?}",
        first.binary
    );
    let second = installation.install_with("X64", "", on_windows);
    assert_eq!(second.content(), "released", "{}", second.log);
    assert!(!second.log.contains("curl"), "it is kept: {}", second.log);

    fs::remove_dir_all(installation.path("tools")).expect("forgotten");
    installation.write("site/cachekeep-1.2.3-x86_64-pc-windows-msvc.tar.gz", "something else");
    let refused = installation.install_with("X64", "", on_windows);
    assert_eq!((refused.code, &refused.binary), (1, &None), "{}", refused.log);
    assert!(refused.log.contains("is not the archive that this release lists"), "{}", refused.log);
}

/// The same where nothing makes other paths of them.
#[test]
fn on_windows_an_archive_is_read_without_the_name_of_its_path() {
    let installation = Installation::new();
    installation.publish_as("cachekeep.exe", "x86_64-pc-windows-msvc", "released");
    for name in [r"workspace/C:\temp", r"workspace/C:\tools"] {
        fs::create_dir(installation.path(name)).expect("a directory");
    }
    let installed = installation.install_with("X64", "", |command| {
        command.env("RUNNER_OS", "Windows");
        command.env("RUNNER_TEMP", r"C:\temp").env("RUNNER_TOOL_CACHE", r"C:\tools");
    });
    assert_eq!(installed.code, 0, "{}", installed.log);
    let binary = installed.binary.expect("a path");
    assert!(binary.starts_with(r"C:\temp/"), "{binary}");
    let program = fs::read_to_string(installation.path("workspace").join(binary));
    assert_eq!(program.expect("a binary"), "released");
}

#[test]
fn a_build_is_shared_by_the_steps_of_one_job_and_of_one_commit() {
    let installation = Installation::new();
    let first = installation.install("X64", "");
    assert_eq!(first.content(), "built\n", "{}", first.log);
    let temp = installation.path("temp").display().to_string();
    assert!(first.binary.as_ref().expect("a binary").starts_with(&temp), "{:?}", first.binary);
    assert_eq!(installation.install("X64", "source").binary, first.binary);
    installation.write("action/src/main.rs", "another commit");
    assert_ne!(installation.install("X64", "").binary, first.binary);
    assert!(!installation.path("tools/cachekeep").exists(), "nothing that is built stays for other jobs");
}

#[test]
fn a_build_sees_nothing_of_the_checkout_and_none_of_the_tokens() {
    let installation = Installation::new();
    fs::create_dir_all(installation.path("workspace/bin")).expect("a directory");
    installation.program(
        "cargo",
        r#"for word in "$@"; do case $last in --target-dir) dir=$word ;; --manifest-path) manifest=$word ;; esac; last=$word; done
test -f "$manifest"; pwd >"$dir/seen"; env >>"$dir/seen"
mkdir -p "$dir/release"; echo built >"$dir/release/cachekeep""#,
    );
    // Of the same name, in the checkout, and first on PATH.
    let planted = installation.path("workspace/bin/cargo");
    fs::write(&planted, "#!/bin/sh\ntouch \"$0.ran\"\nexit 1\n").expect("written");
    assert!(Command::new("chmod").arg("+x").arg(&planted).status().expect("chmod starts").success());
    let workspace = installation.path("workspace").display().to_string();
    let path = format!("{workspace}/bin:bin:{}", installation.path("bin").display());
    let done = installation.install_with("X64", "source", |command| {
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        command.env("CARGO_HOME", format!("{workspace}/home")).env("RUSTUP_HOME", "/opt/rustup");
        for name in [
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "RUSTC",
            "RUSTUP_TOOLCHAIN",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CC",
            "GITHUB_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "LD_PRELOAD_LATER",
            "GIT_SSH_COMMAND",
            "MAKEFLAGS",
        ] {
            command.env(name, "planted");
        }
        command.env("LINES", "one\nRUSTC_WRAPPER=planted");
        fs::create_dir_all(installation.path("workspace/home")).expect("a directory");
    });
    assert_eq!(done.code, 0, "{}", done.log);
    let binary = done.binary.expect("a binary");
    let seen = fs::read_to_string(binary.replace("release/cachekeep", "seen")).expect("cargo ran");
    assert!(seen.starts_with("/\n"), "cargo looks for settings from its working directory upwards: {seen}");
    assert!(!seen.contains("planted") && !seen.contains(&workspace), "{seen}");
    assert!(seen.contains("RUSTUP_HOME=/opt/rustup"), "what the runner's image says stays: {seen}");
    assert!(!installation.path("workspace/bin/cargo.ran").exists());
}

#[test]
fn a_build_that_fails_ends_the_step() {
    let installation = Installation::new();
    for script in ["exit 101", "true"] {
        installation.program("cargo", script);
        let done = installation.install("X64", "source");
        assert_eq!((done.code, done.binary), (1, None), "cargo does `{script}`: {}", done.log);
        assert!(done.log.contains("::error title=cachekeep::cargo"), "{}", done.log);
    }
}

/// What another job may leave in the tool cache in the place of an archive.
fn plant(at: &std::path::Path, what: &str) {
    let _ = fs::remove_dir_all(at);
    let _ = fs::remove_file(at);
    match what {
        "another archive" | "half an archive" => fs::write(at, what).expect("written"),
        "a program" => {
            fs::create_dir_all(at).expect("a directory");
            fs::write(at.join("cachekeep"), "planted").expect("written");
        }
        "an empty directory" => fs::create_dir_all(at).expect("a directory"),
        "a link" => std::os::unix::fs::symlink("/dev/zero", at).expect("a link"),
        "a pipe" => assert!(Command::new("mkfifo").arg(at).status().expect("mkfifo starts").success()),
        other => unreachable!("{other}"),
    }
}

#[test]
fn whatever_lies_in_the_tool_cache_is_checked_and_replaced() {
    let installation = Installation::new();
    installation.publish("x86_64-unknown-linux-musl", "released");
    assert_eq!(installation.install("X64", "").content(), "released");
    let archives = installation.path("tools/cachekeep/archives");
    let kept =
        fs::read_dir(&archives).expect("a directory").next().expect("an archive").expect("listed").path();
    for what in ["another archive", "half an archive", "a program", "an empty directory", "a link", "a pipe"]
    {
        plant(&kept, what);
        let repaired = installation.install("X64", "");
        assert_eq!((repaired.code, repaired.content().as_str()), (0, "released"), "{what}: {}", repaired.log);
        assert!(repaired.log.contains("curl"), "{what} is not used");
        let next = installation.install("X64", "");
        assert_eq!(next.content(), "released");
        assert!(!next.log.contains("curl"), "{what} was replaced: {}", next.log);
        assert_eq!(fs::read_dir(&archives).expect("a directory").count(), 1, "{what}: nothing else is left");
    }
}

#[test]
fn the_program_of_one_step_is_not_the_file_of_another() {
    let installation = Installation::new();
    installation.publish("x86_64-unknown-linux-musl", "released");
    let first = installation.install("X64", "");
    fs::write(first.binary.as_ref().expect("a binary"), "changed by the build").expect("written");
    assert_eq!(installation.install("X64", "").content(), "released");
}

#[test]
fn a_tool_cache_that_cannot_be_used_is_done_without() {
    let installation = Installation::new();
    installation.publish("x86_64-unknown-linux-musl", "released");
    installation.write("tools/cachekeep", "a file where a directory should be");
    let done = installation.install("X64", "");
    assert_eq!((done.code, done.content().as_str()), (0, "released"), "{}", done.log);
}

#[test]
fn a_list_or_an_archive_that_makes_no_sense_ends_the_step() {
    let installation = Installation::new();
    let target = "x86_64-unknown-linux-musl";
    for list in [
        format!("# base https://example.org\nabc  cachekeep-1-{target}.tar.gz\n"),
        format!("{}  cachekeep-1-{target}.tar.gz\n", "0".repeat(64)),
    ] {
        installation.write("action/scripts/release.sha256", &list);
        let done = installation.install("X64", "");
        assert_eq!((done.code, done.binary), (1, None), "{list}: {}", done.log);
        assert!(done.log.contains("is not a list of a release"), "{}", done.log);
    }
    fs::remove_file(installation.path("action/scripts/release.sha256")).expect("removed");
    let done = installation.install("X64", "");
    assert_eq!((done.code, done.binary), (1, None), "{}", done.log);
    // An archive without the program.
    installation.publish(target, "released");
    let name = format!("cachekeep-1.2.3-{target}.tar.gz");
    let pack = Command::new("tar")
        .arg("-czf")
        .arg(installation.path("site").join(&name))
        .arg("-C")
        .arg(installation.path("site"))
        .arg("--transform=s/^cachekeep$/other/")
        .arg("cachekeep")
        .status();
    if pack.is_ok_and(|status| status.success()) {
        let sum = sha256(&fs::read(installation.path("site").join(&name)).expect("an archive"));
        installation
            .write("action/scripts/release.sha256", &format!("# base https://example.org\n{sum}  {name}\n"));
        let done = installation.install("X64", "");
        assert_eq!((done.code, done.binary), (1, None), "{}", done.log);
        assert!(done.log.contains("cannot be unpacked"), "{}", done.log);
    }
}

#[test]
fn the_installed_one_is_taken_if_asked_for() {
    let installation = Installation::new();
    let absent = installation.install("X64", "installed");
    assert_eq!((absent.code, absent.binary), (1, None), "{}", absent.log);
    assert!(absent.log.contains("no cachekeep is on PATH"), "{}", absent.log);
    installation.program("cachekeep", "true");
    let done = installation.install("X64", "installed");
    assert_eq!(done.binary, Some(installation.path("bin/cachekeep").display().to_string()), "{}", done.log);
}
