//! Output that cannot be written: a full disk behind it, or a reader that has gone. It stops no command.

use std::process::Stdio;

use crate::support::project::Project;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
"#;

/// Commands that only log, with the exit code that they return with a working log, too.
const LOGGING: &[(&[&str], i32)] = &[
    (&["save"], 0),
    (&["restore"], 0),
    (&["--verbose", "restore"], 0),
    (&["seed"], 0),
    (&["gate"], 0),
    (&["trim"], 0),
    (&["clean"], 0),
    (&["restore", "no-such-cache"], 2),
    (&["no-such-command"], 2),
    (&["--path", "nowhere", "--key", "k", "save", "--required"], 1),
];

/// Commands whose result was asked for.
const RESULTS: &[&[&str]] = &[
    &["key"],
    &["ls"],
    &["usage"],
    &["explain"],
    &["schema"],
    &["completions", "bash"],
    &["restore", "--json"],
    &["--help"],
    &["--version"],
];

/// Somewhere that takes no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    /// The disk is full.
    Full,
    /// The reader has gone.
    Gone,
}

impl Sink {
    const ALL: &[Sink] = if cfg!(target_os = "linux") { &[Sink::Full, Sink::Gone] } else { &[Sink::Gone] };

    fn open(self) -> Stdio {
        match self {
            Sink::Full => std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device").into(),
            // The reading end is dropped here.
            Sink::Gone => std::io::pipe().expect("a pipe").1.into(),
        }
    }
}

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    project.run(&["save"]).success();
    project
}

/// The exit code with standard output or error, or both, going nowhere.
fn code(project: &Project, arguments: &[&str], stdout: Option<Sink>, stderr: Option<Sink>) -> Option<i32> {
    let or_null = |sink: Option<Sink>| sink.map_or_else(Stdio::null, Sink::open);
    let mut command = project.command();
    command.args(arguments).stdin(Stdio::null()).stdout(or_null(stdout)).stderr(or_null(stderr));
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
fn run_starts_its_command_and_returns_its_code() {
    let project = project();
    for &sink in Sink::ALL {
        for (stdout, stderr) in [(None, Some(sink)), (Some(sink), None), (Some(sink), Some(sink))] {
            let marker = project.path("workspace/ran");
            let got = code(&project, &["run", "--", "sh", "-c", "touch ran; exit 7"], stdout, stderr);
            assert_eq!(got, Some(7), "stdout {stdout:?}, stderr {stderr:?}");
            std::fs::remove_file(&marker).expect("the command ran");
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_and_one_that_was_read_in_part_is_not() {
    let project = project();
    for arguments in RESULTS {
        for &sink in Sink::ALL {
            let wanted = i32::from(sink == Sink::Full);
            let got = code(&project, arguments, Some(sink), Some(sink));
            assert_eq!(got, Some(wanted), "{arguments:?} into {sink:?}");
        }
    }
}
