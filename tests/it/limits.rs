//! Few tasks: a limit of the system leaves room for few threads and processes. Nothing hangs, the results are the same, and
//! `run` runs its command.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use cachekeep_test_support::project::{Project, Ran, binary, scrub};
use cachekeep_test_support::skip;

use crate::output::{LOGGING, RESULTS, Sink};

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
role = "writer"
save = "always"
export = { OUT = "{path}" }
"#;

/// Exit codes of `timeout`: the time was over, and the program had to be killed.
const HANGS: [i32; 2] = [124, 137];

/// A user of its own, who owns a project and may start few tasks.
struct Limited {
    project: Project,
    user: u32,
    binary: PathBuf,
}

impl Limited {
    /// `None` where this process cannot become another user, which is reported.
    fn new(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !rustix::process::geteuid().is_root() || !["timeout", "setpriv", "prlimit"].into_iter().all(has) {
            skip::skip(test, "only root can become another user, with setpriv, prlimit and timeout");
            return None;
        }
        // The limit counts all tasks of a user on the machine: no test shares one.
        let user = 10_000 + (std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed)) % 50_000;
        let project = Project::new(CONFIG);
        project.write("workspace/out/file", "contents");
        project.run(&["save"]).success();
        // Where another user can reach it.
        let copy = project.path("cachekeep");
        std::fs::hard_link(binary(), &copy)
            .or_else(|_| std::fs::copy(binary(), &copy).map(drop))
            .expect("a copy");
        let limited = Limited { project, user, binary: copy };
        limited.give_away();
        Some(limited)
    }

    /// Gives the user everything in the project but the binary.
    fn give_away(&self) {
        fn give(path: &Path, user: u32, binary: &Path) {
            if path == binary {
                return;
            }
            chown(path, Some(user), Some(user)).expect("the owner changes");
            for entry in std::fs::read_dir(path).into_iter().flatten() {
                give(&entry.expect("an entry").path(), user, binary);
            }
        }
        let place = self.project.path("");
        give(&place, self.user, &self.binary);
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).expect("others may enter");
    }

    /// The binary, with at most this many tasks, its own first thread included, in generous time.
    fn command(&self, tasks: u32, arguments: &[&str], redirections: &str) -> Command {
        let mut command = Command::new("timeout");
        scrub(&mut command, &self.project.path(""));
        let user = self.user.to_string();
        command.args(["--kill-after=5", "120", "setpriv", "--clear-groups"]);
        command.args([format!("--reuid={user}"), format!("--regid={user}")]);
        command.args(["prlimit", &format!("--nproc={tasks}"), "--"]);
        if !redirections.is_empty() {
            command.args(["sh", "-c", &format!("exec \"$0\" \"$@\"{redirections}")]);
        }
        command.arg(&self.binary).args(arguments);
        command.current_dir(self.project.path("workspace")).stdin(Stdio::null());
        command
    }

    fn run(&self, tasks: u32, arguments: &[&str]) -> Ran {
        let ran = Ran::of(&mut self.command(tasks, arguments, ""));
        assert!(!HANGS.contains(&ran.code), "{tasks} tasks: {arguments:?} hangs\n{}", ran.stderr);
        for word in ["panicked", "internal error"] {
            assert!(!ran.stderr.contains(word), "{tasks} tasks: {arguments:?}\n{}", ran.stderr);
        }
        ran
    }

    fn remove(&self, relative: &str) {
        let path = self.project.path(relative);
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn few_tasks_change_no_exit_code() {
    let Some(limited) = Limited::new("few_tasks_change_no_exit_code") else { return };
    for tasks in 1..=8 {
        for (arguments, wanted) in LOGGING {
            let ran = limited.run(tasks, arguments);
            assert_eq!(ran.code, *wanted, "{tasks} tasks: {arguments:?}\n{}", ran.stderr);
        }
        // The last word of `run --json` is the command's, if it takes the place of the process.
        for arguments in RESULTS.iter().filter(|arguments| tasks > 1 || arguments[0] != "run") {
            let ran = limited.run(tasks, arguments);
            assert_eq!(ran.code, 0, "{tasks} tasks: {arguments:?}\n{}", ran.stderr);
            assert!(!ran.stdout.is_empty(), "{tasks} tasks: {arguments:?}");
        }
    }
    assert!(limited.project.temporary_things().is_empty());
}

#[test]
fn a_tree_is_saved_and_restored_with_any_number_of_tasks() {
    let Some(limited) = Limited::new("a_tree_is_saved_and_restored_with_any_number_of_tasks") else { return };
    for index in 0..40_u8 {
        limited.project.write(&format!("workspace/out/{index}"), vec![index; 100_000]);
    }
    limited.give_away();
    // From one thread to as many as are wanted.
    for tasks in 1..=14 {
        let key = format!("tree-{tasks}");
        let with_key = |command| ["--path", "out", "--key", &key, command, "--required"];
        limited.run(tasks, &with_key("save")).code(0);
        limited.remove("workspace/out");
        limited.run(tasks, &with_key("restore")).code(0);
        for index in 0..40_u8 {
            let read =
                std::fs::read(limited.project.path(&format!("workspace/out/{index}"))).expect("a file");
            assert!(read == vec![index; 100_000], "{tasks} tasks: file {index}");
        }
    }
    assert!(limited.project.temporary_things().is_empty());
}

#[test]
fn run_runs_its_command_with_any_number_of_tasks() {
    let Some(limited) = Limited::new("run_runs_its_command_with_any_number_of_tasks") else { return };
    for tasks in 1..=14 {
        let key = format!("run-{tasks}");
        // Where there is room for it, the command starts a process itself.
        let script = if tasks < 3 { ": > ran" } else { "test \"$(echo x)\" = x && : > ran" };
        let ran =
            limited.run(tasks, &["--path", "out", "--key", &key, "run", "--", "sh", "-c", script]).code(0);
        limited.remove("workspace/ran");
        // With one task there is no process but this one, which becomes the command.
        let is_replaced = ran.stderr.contains("`sh` takes its place, and no cache is saved after it");
        assert_eq!(is_replaced, tasks == 1, "{tasks} tasks: {}", ran.stderr);
        let found = limited.run(tasks, &["--path", "out", "--key", &key, "restore", "--lookup-only"]);
        assert_eq!(found.stderr.contains("exact hit"), !is_replaced, "{tasks} tasks: {}", found.stderr);
    }
}

#[test]
fn few_tasks_and_output_that_goes_nowhere_stop_no_command() {
    let Some(limited) = Limited::new("few_tasks_and_output_that_goes_nowhere_stop_no_command") else {
        return;
    };
    let run: &[&str] = &["run", "--", "sh", "-c", ": > ran; exit 7"];
    for tasks in [1, 2] {
        for &sink in Sink::ALL {
            for (stdout, stderr) in [(true, false), (false, true), (true, true)] {
                let closed = |is_this, text| if is_this && sink == Sink::Closed { text } else { "" };
                let redirections = [closed(stdout, " >&-"), closed(stderr, " 2>&-")].concat();
                for (arguments, wanted) in LOGGING.iter().chain([&(run, 7)]) {
                    let mut command = limited.command(tasks, arguments, &redirections);
                    command.stdout(if stdout { sink.open() } else { Stdio::null() });
                    command.stderr(if stderr { sink.open() } else { Stdio::null() });
                    let code = command.status().expect("it starts").code();
                    let name = format!("{tasks} tasks: {arguments:?}, {sink:?} {stdout} {stderr}");
                    assert_eq!(code, Some(*wanted), "{name}");
                }
                limited.remove("workspace/ran");
            }
        }
    }
}

/// The binary under limits of `prlimit`, which anyone may lower.
fn under(project: &Project, limits: &[String], arguments: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    scrub(&mut command, &project.path(""));
    command.args(["--kill-after=5", "120", "prlimit"]).args(limits).arg("--").arg(binary()).args(arguments);
    let ran = Ran::of(command.current_dir(project.path("workspace")).stdin(Stdio::null()));
    assert!(!HANGS.contains(&ran.code), "{limits:?}: {arguments:?} hangs\n{}", ran.stderr);
    for word in ["panicked", "internal error"] {
        assert!(!ran.stderr.contains(word), "{limits:?}: {arguments:?}\n{}", ran.stderr);
    }
    ran
}

/// Runs a command that shows that it ran.
fn run_under(project: &Project, limits: &[String], key: &str) -> Ran {
    let marker = project.path("workspace/ran");
    let ran = under(project, limits, &["--path", "tree", "--key", key, "run", "--", "touch", "ran"]);
    assert_eq!((ran.code, marker.exists()), (0, true), "{limits:?}: {}", ran.stderr);
    std::fs::remove_file(marker).expect("the marker");
    ran
}

/// A project with a tree and an entry of it.
fn saved_tree() -> Project {
    let project = Project::new("");
    project.write("workspace/tree/large", vec![7; 3_000_000]);
    project.write("workspace/tree/small", "small");
    project.run(&["--path", "tree", "--key", "saved", "save", "--required"]).success();
    project
}

#[test]
fn little_address_space_does_not_keep_run_from_its_command() {
    let project = saved_tree();
    for mebibytes in [100, 180, 250, 400, 600, 1_000, 3_000, 5_000] {
        let limits = [format!("--as={}", mebibytes << 20)];
        let ran = run_under(&project, &limits, "saved");
        // Below, memory that cannot be had could end the process before the command runs.
        let (text, is_enough) = ("the command is run without its caches", mebibytes >= 512);
        assert_eq!(ran.stderr.contains(text), !is_enough, "{mebibytes}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("exact hit"), is_enough, "{mebibytes}: {}", ran.stderr);
    }
}

#[test]
fn few_descriptors_do_not_keep_run_from_its_command() {
    let project = saved_tree();
    for descriptors in (4..=20).chain([32]) {
        let ran = run_under(&project, &[format!("--nofile={descriptors}")], "saved");
        let read = std::fs::read(project.path("workspace/tree/large")).expect("the tree is as it was");
        assert!(read == vec![7; 3_000_000], "{descriptors}: {}", ran.stderr);
    }
    // What was left for want of descriptors is cleared up.
    project.run(&["--path", "tree", "--key", "saved", "restore", "--required"]).success();
    assert!(project.temporary_things().is_empty());
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_of_the_cache_alone() {
    let project = saved_tree();
    for bytes in [0, 1_000, 100_000] {
        let limits = [format!("--fsize={bytes}")];
        let key = format!("new-{bytes}");
        // The content compresses well: noise makes the entry larger than the limits.
        project.write("workspace/tree/large", noise(3_000_000));
        let ran = run_under(&project, &limits, &key);
        assert!(ran.stderr.contains("not saved"), "{bytes}: {}", ran.stderr);
        let ran = under(&project, &limits, &["--path", "tree", "--key", &key, "save"]).success();
        assert!(ran.stderr.contains("File too large"), "{bytes}: {}", ran.stderr);
        let before = std::fs::read(project.path("workspace/tree/large")).expect("a file");
        under(&project, &limits, &["--path", "tree", "--key", "saved", "restore"]).success();
        assert!(std::fs::read(project.path("workspace/tree/large")).expect("a file") == before, "{bytes}");
    }
    project.run(&["--path", "tree", "--key", "k", "save", "--required"]).success();
    assert!(project.temporary_things().is_empty());
    // The command itself has the usual signal.
    let arguments = ["--path", "tree", "--key", "saved", "run", "--", "sh", "-c", "kill -XFSZ $$"];
    under(&project, &[], &arguments).code(128 + 25);
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
