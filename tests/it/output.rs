//! Output that cannot be written: a full disk behind it, a reader that has gone, or a closed descriptor. It stops no
//! command.

use std::process::{Command, Stdio};

use cachekeep_test_support::project::{Project, scrub};

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
export = { OUT = "{path}" }
"#;

/// Commands that only log, with the exit code that they return with a working log, too.
pub(crate) const LOGGING: &[(&[&str], i32)] = &[
    (&["save"], 0),
    (&["restore"], 0),
    (&["--verbose", "restore"], 0),
    (&["--quiet", "restore"], 0),
    (&["restore", "--lookup-only"], 0),
    (&["seed"], 0),
    (&["fetch"], 0),
    (&["gate"], 0),
    (&["trim"], 0),
    (&["trim", "--dry-run"], 0),
    (&["hold", "out", "--", "sh", "-c", "exit 0"], 0),
    (&["clean"], 0),
    (&["delete", "--key", "no-such-key", "--yes"], 0),
    (&["dedup", "out"], 0),
    (&["recover"], 0),
    (&["action", "start"], 0),
    (&["action", "finish"], 2),
    (&["restore", "no-such-cache"], 2),
    (&["no-such-command"], 2),
    (&["--path", "nowhere", "--key", "k", "save", "--required"], 1),
    (&["--path", "nowhere", "--key", "k", "restore", "--fail-on-miss"], 4),
];

/// Commands whose result was asked for.
pub(crate) const RESULTS: &[&[&str]] = &[
    &["key"],
    &["key", "--json"],
    &["env"],
    &["env", "--json"],
    &["doctor"],
    &["doctor", "--json"],
    &["ls"],
    &["ls", "--json"],
    &["ls", "out-v1"],
    &["ls", "--json", "out-v1"],
    &["usage"],
    &["usage", "--json"],
    &["explain"],
    &["explain", "--json"],
    &["check"],
    &["check", "--json"],
    &["init"],
    &["init", "--json"],
    &["dedup", "--json", "out"],
    &["recover", "--json"],
    &["status"],
    &["status", "--json"],
    &["disk"],
    &["disk", "--json"],
    &["schema"],
    &["completions", "bash"],
    &["complete"],
    &["man"],
    &["restore", "--json"],
    &["seed", "--json"],
    &["fetch", "--json"],
    &["gate", "--json"],
    &["save", "--json"],
    &["trim", "--json"],
    &["clean", "--json"],
    &["run", "--json", "--", "sh", "-c", "exit 0"],
    &["help"],
    &["--help"],
    &["ls", "--help"],
    &["--version"],
];

/// Somewhere that takes no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// The disk is full.
    Full,
    /// The reader has gone.
    Gone,
    /// The descriptor is closed: the standard library opens the null device in its place before `main`.
    Closed,
}

impl Sink {
    pub(crate) const ALL: &[Sink] = if cfg!(target_os = "linux") {
        &[Sink::Full, Sink::Gone, Sink::Closed]
    } else if cfg!(unix) {
        &[Sink::Gone, Sink::Closed]
    } else {
        &[Sink::Gone]
    };

    pub(crate) fn open(self) -> Stdio {
        match self {
            Sink::Full => std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device").into(),
            // The reading end is dropped here.
            Sink::Gone => std::io::pipe().expect("a pipe").1.into(),
            // The shell that starts the binary closes it.
            Sink::Closed => Stdio::null(),
        }
    }
}

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    project.run(&["save"]).success();
    project
}

/// The binary with standard output or error, or both, going nowhere; `None` leaves them to the caller.
fn command(project: &Project, arguments: &[&str], stdout: Option<Sink>, stderr: Option<Sink>) -> Command {
    let closed = |sink, redirection| if sink == Some(Sink::Closed) { redirection } else { "" };
    let redirections = [closed(stdout, " >&-"), closed(stderr, " 2>&-")].concat();
    let mut command = project.command();
    if !redirections.is_empty() {
        let binary = command.get_program().to_owned();
        command = Command::new("sh");
        scrub(&mut command, &project.path(""));
        command.current_dir(project.path("workspace"));
        command.arg("-c").arg(format!("exec \"$0\" \"$@\"{redirections}")).arg(binary);
    }
    command.args(arguments).stdin(Stdio::null());
    if let Some(sink) = stdout {
        command.stdout(sink.open());
    }
    if let Some(sink) = stderr {
        command.stderr(sink.open());
    }
    command
}

/// The exit code with standard output or error, or both, going nowhere.
fn code(project: &Project, arguments: &[&str], stdout: Option<Sink>, stderr: Option<Sink>) -> Option<i32> {
    let mut command = command(project, arguments, stdout, stderr);
    if stdout.is_none() {
        command.stdout(Stdio::null());
    }
    if stderr.is_none() {
        command.stderr(Stdio::null());
    }
    command.status().expect("the binary starts").code()
}

#[test]
fn a_log_that_cannot_be_written_changes_no_exit_code() {
    let project = project();
    for &sink in Sink::ALL {
        for (arguments, wanted) in LOGGING {
            for stdout in [None, Some(sink)] {
                let got = code(&project, arguments, stdout, Some(sink));
                assert_eq!(got, Some(*wanted), "{arguments:?}, stdout {stdout:?}, stderr {sink:?}");
            }
        }
    }
    assert_eq!(project.read("workspace/out/file"), "contents");
    assert!(project.temporary_things().is_empty());
}

#[test]
fn every_command_is_among_those_that_are_run_here() {
    let help = project().run(&["--help"]).success().stdout;
    let listed = help.split("Commands:\n").nth(1).expect("a list").split("\n\n").next().expect("its end");
    // Names are indented by two, and lines that continue a description by more.
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"restore"), "{help}");
    let run_here = |name: &str| {
        LOGGING.iter().any(|(arguments, _)| arguments.contains(&name))
            || RESULTS.iter().any(|arguments| arguments.contains(&name))
    };
    for name in names {
        assert!(run_here(name), "`{name}` is neither in LOGGING nor in RESULTS");
    }
}

#[test]
fn run_starts_its_command_and_returns_its_code() {
    let project = project();
    let prefixes: [&[&str]; 3] = [&["run"], &["--verbose", "run"], &["run", "--json"]];
    for &sink in Sink::ALL {
        for (stdout, stderr) in [(None, Some(sink)), (Some(sink), None), (Some(sink), Some(sink))] {
            for prefix in prefixes {
                let marker = project.path("workspace/ran");
                let arguments = [prefix, &["--", "sh", "-c", "touch ran; exit 7"]].concat();
                let got = code(&project, &arguments, stdout, stderr);
                assert_eq!(got, Some(7), "{prefix:?}, stdout {stdout:?}, stderr {stderr:?}");
                std::fs::remove_file(&marker).expect("the command ran");
            }
            let got = code(&project, &["run", "--", "no-such-program"], stdout, stderr);
            assert_eq!(got, Some(127), "stdout {stdout:?}, stderr {stderr:?}");
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_one_that_was_read_in_part_is_not() {
    let project = project();
    for arguments in RESULTS {
        for &sink in Sink::ALL {
            let wanted = i32::from(sink == Sink::Full);
            for stderr in [None, Some(sink)] {
                let got = code(&project, arguments, Some(sink), stderr);
                assert_eq!(got, Some(wanted), "{arguments:?} into {sink:?}, stderr {stderr:?}");
            }
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_reported_and_an_early_reader_is_not() {
    let project = project();
    for arguments in RESULTS {
        for &sink in Sink::ALL {
            let mut command = command(&project, arguments, Some(sink), None);
            let log = command.stderr(Stdio::piped()).output().expect("the binary starts").stderr;
            let log = String::from_utf8_lossy(&log).into_owned();
            let is_reported = log.contains("cannot write to standard output: ");
            assert_eq!(is_reported, sink == Sink::Full, "{arguments:?} into {sink:?}: {log}");
        }
    }
}

#[test]
fn a_result_is_printed_although_the_log_cannot_be() {
    let project = project();
    for arguments in RESULTS {
        for &sink in Sink::ALL {
            let output = command(&project, arguments, None, Some(sink)).output().expect("the binary starts");
            assert_eq!(output.status.code(), Some(0), "{arguments:?}, stderr {sink:?}");
            assert!(!output.stdout.is_empty(), "{arguments:?}, stderr {sink:?}");
        }
    }
}
