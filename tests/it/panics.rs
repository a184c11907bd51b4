//! Mistakes of this program and of clocks: none stops a build. The command line runs in processes of their own, with a clock
//! that says anything, or panics in the middle of the work.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use cachekeep::parts::Env;
use cachekeep_test_support::project::{Project, Ran, scrub};
use chrono::{DateTime, TimeDelta, Utc};

const CONFIG: &str = r#"
[cache.one]
path = "{workspace}/one"
key = "one-v1"
role = "writer"
save = "always"
trim = { max-size = "1GB", unused-for = "30d" }

[cache.two]
path = "{workspace}/two"
key = "two-v1"
role = "writer"
save = "always"

[clean]
unused-for = "7d"
abandoned-after = "2d"
superseded = { keep = 1 }
"#;

/// The variables that tell a child what to do: its arguments, one a line, and its clock.
const ARGUMENTS: &str = "TEST_ARGUMENTS";
const CLOCK: &str = "TEST_CLOCK";

/// The clock of a child: seconds from 1970 on, or `panic:N`, which panics when it is asked for the N-th time.
fn clock() -> DateTime<Utc> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let asked = ASKED.fetch_add(1, Ordering::Relaxed) + 1;
    let told = std::env::var(CLOCK).expect("a clock");
    match told.strip_prefix("panic:") {
        Some(number) => {
            assert!(number != asked.to_string(), "the clock is broken");
            Utc::now()
        }
        None => {
            let delta = TimeDelta::seconds(told.parse().expect("seconds"));
            let limit =
                if delta < TimeDelta::zero() { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
            DateTime::UNIX_EPOCH.checked_add_signed(delta).unwrap_or(limit)
        }
    }
}

#[test]
#[ignore = "the tests below start it as a process of its own"]
fn child() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    cachekeep::cli::report_panics();
    let env = Env::capture();
    let arguments = ["cachekeep"].into_iter().chain(arguments.lines()).map(Into::into);
    #[expect(clippy::exit, reason = "this process is the command line")]
    std::process::exit(cachekeep::cli::run(arguments, &env, clock).0);
}

fn run(project: &Project, clock: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    scrub(&mut command, &project.path(""));
    command.current_dir(project.path("workspace"));
    command.args(["--ignored", "--exact", "panics::child", "--nocapture"]);
    command.env(ARGUMENTS, arguments.join("\n")).env(CLOCK, clock);
    let ran = Ran::of(&mut command);
    assert!(!ran.stderr.contains("panicked"), "{clock}, {arguments:?}: {}", ran.stderr);
    ran
}

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/one/file", "1");
    project.write("workspace/two/file", "2");
    project
}

/// A command that shows that it ran.
const RUN: [&str; 5] = ["run", "--", "sh", "-c", ": > ran; exit 7"];

#[test]
fn no_clock_is_so_wrong_that_a_command_fails() {
    let year: i64 = 31_556_952;
    let commands: [&[&str]; 13] = [
        &["save"],
        &["restore"],
        &["restore", "--lookup-only"],
        &["trim"],
        &["gate"],
        &["key"],
        &["doctor"],
        &["ls"],
        &["usage"],
        &["usage", "--html", "page.html"],
        &["explain"],
        &["clean", "--dry-run"],
        &["clean"],
    ];
    // The first year that chrono has, just before 1970, 1970, far in the future, and the last year.
    for seconds in [-300_000 * year, -100 * year, -1, 0, 100 * year, 8_050 * year, 300_000 * year] {
        let project = project();
        let clock = seconds.to_string();
        for arguments in commands {
            let ran = run(&project, &clock, arguments);
            assert_eq!(ran.code, 0, "{clock}, {arguments:?}: {}", ran.stderr);
            assert!(!ran.stderr.contains("internal error"), "{clock}, {arguments:?}: {}", ran.stderr);
        }
        let ran = run(&project, &clock, &RUN).code(7);
        assert!(!ran.stderr.contains("internal error"), "{clock}: {}", ran.stderr);
        assert!(project.path("workspace/ran").exists());
    }
}

#[test]
fn run_runs_its_command_whatever_panics() {
    let (mut broken, mut contained) = (0, 0);
    for number in 1..=60 {
        let project = project();
        let ran = run(&project, &format!("panic:{number}"), &RUN).code(7);
        assert!(project.path("workspace/ran").exists(), "{number}: {}", ran.stderr);
        if !ran.stderr.contains("internal error: the clock is broken") {
            break;
        }
        broken += 1;
        contained += u32::from(!ran.stderr.contains("without its caches"));
        assert!(ran.stderr.contains("hint: this is a mistake in cachekeep: report it at "), "{}", ran.stderr);
        // What is left is cleared up by the next start, and the other cache is as it should be.
        let ran = run(&project, "panic:0", &["save"]).success();
        assert!(project.temporary_things().is_empty(), "{number}: {}", ran.stderr);
    }
    // Before the work on caches, and during it.
    assert!(broken > contained && contained > 0, "{broken} panics, {contained} contained");
}

#[test]
fn a_panic_ends_in_a_message_and_a_documented_exit_code() {
    for arguments in [&["save"][..], &["restore"], &["ls"], &["clean"], &["key"], &["explain"]] {
        let project = project();
        project.run(&["save"]).success();
        let ran = run(&project, "panic:1", arguments).code(1);
        assert!(ran.stderr.contains("error: internal error: the clock is broken"), "{}", ran.stderr);
        assert!(ran.stderr.contains("tests/it/panics.rs:"), "its place is named: {}", ran.stderr);
    }
}
