//! The launcher: it starts the program beside it, and is otherwise not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cachekeep_test_support::azure_agent::{Cancel, Job, JobResult, Pipeline, Status};
#[cfg(target_os = "linux")]
use cachekeep_test_support::volume::Volume;
use tempfile::TempDir;

use super::{assemble, program_place};

struct Case {
    _place: TempDir,
    folder: PathBuf,
}

impl Case {
    fn new(script: &str) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let folder = assemble(place.path(), &format!("#!/bin/sh\n{script}\n"));
        Case { folder, _place: place }
    }

    fn program(&self) -> PathBuf {
        self.folder.join(program_place())
    }

    fn run(&self, inputs: &str) -> JobResult {
        self.run_with(inputs, |job| job)
    }

    fn run_with(&self, inputs: &str, more: impl for<'a> FnOnce(Job<'a>) -> Job<'a>) -> JobResult {
        run(&self.folder, inputs, more)
    }
}

fn run(folder: &Path, inputs: &str, more: impl for<'a> FnOnce(Job<'a>) -> Job<'a>) -> JobResult {
    let text = format!("steps:\n  - {{ task: Cachekeep@0, name: task, inputs: {{ {inputs} }} }}\n");
    let pipeline = Pipeline::parse(&text).expect("a pipeline");
    more(Job::new(&pipeline).task("Cachekeep@0", folder)).run()
}

#[test]
fn the_program_gets_its_stage_the_inputs_and_no_secrets() {
    let case = Case::new(
        "echo \"[$*] [$INPUT_CACHE] [$INPUT_SEED] [$PWD]\"\n\
         echo \"secrets: $(env | grep -c ^SECRET_), token: ${ENDPOINT_AUTH_PARAMETER_SYSTEMVSSCONNECTION_ACCESSTOKEN:+there}\"",
    );
    let job = case.run_with("cache: a b", |job| job.secret("PASSWORD", "a-secret-of-the-job"));
    let job = job.expect(Status::Succeeded);
    let sources = job.source("").display().to_string();
    let sources = sources.trim_end_matches('/');
    for (log, stage) in [(&job.step("task").log, "main"), (&job.post("task").log, "post")] {
        assert!(log.contains(&format!("[task {stage}] [a b] [true] [{sources}]")), "{log}");
        assert!(log.contains("secrets: 0, token: there"), "{log}");
    }
}

#[test]
fn exit_codes_and_signals_of_the_program_are_those_of_the_task() {
    let job = Case::new("exit 4").run("").expect(Status::Failed);
    assert!(job.step("task").log.contains("Exit code 4 returned"), "{}", job.log);
    let job = Case::new("kill -TERM $$").run("").expect(Status::Failed);
    assert!(job.step("task").log.contains("Exit code 143 returned"), "{}", job.log);
}

#[test]
fn signals_of_the_agent_reach_the_program() {
    let wait = "test \"$2\" = main || exit 0; echo started; while :; do sleep 0.02; done";
    let interrupted = Case::new(&format!("trap 'echo interrupted; exit 130' INT\n{wait}"));
    let cancelled = |case: &Case| case.run_with("", cancel_when_started).expect(Status::Canceled);
    let job = cancelled(&interrupted);
    assert!(job.step("task").log.contains("\ninterrupted\n"), "{}", job.log);
    let terminated =
        Case::new(&format!("trap 'echo deaf' INT\ntrap 'echo terminated; exit 143' TERM\n{wait}"));
    let job = cancelled(&terminated);
    assert!(job.step("task").log.contains("\ndeaf\nterminated\n"), "{}", job.log);
}

fn cancel_when_started(job: Job<'_>) -> Job<'_> {
    job.cancel(Cancel::on_line("task", "started"))
        .patience(Duration::from_millis(500), Duration::from_secs(60))
}

#[test]
fn the_executable_bit_is_restored() {
    let case = Case::new("echo it runs");
    fs::set_permissions(case.program(), fs::Permissions::from_mode(0o644)).expect("a mode");
    let job = case.run("").expect(Status::Succeeded);
    assert!(job.log.contains("it runs"), "{}", job.log);
    let mode = fs::metadata(case.program()).expect("a program").permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
}

#[test]
#[cfg(target_os = "linux")]
fn in_a_folder_that_cannot_be_changed_the_program_is_copied() {
    let case = Case::new("echo \"$0\"");
    let place = tempfile::tempdir().expect("a directory");
    let over = place.path().join("tasks");
    let Some(volume) = Volume::mount(&over, "size=4m") else {
        cachekeep_test_support::skip("in_a_folder_that_cannot_be_changed", "no volume can be mounted");
        return;
    };
    let copied = std::process::Command::new("cp").arg("-R").arg(&case.folder).arg(over.join("task")).status();
    assert!(copied.expect("cp").success());
    let folder = over.join("task");
    fs::set_permissions(folder.join(program_place()), fs::Permissions::from_mode(0o644)).expect("a mode");
    let read_only = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(&over).status();
    assert!(read_only.expect("mount").success());
    let job = run(&folder, "", |job| job).expect(Status::Succeeded);
    let temp = job.path("_temp").display().to_string();
    assert!(job.log.contains(&format!("\n{temp}/cachekeep-")), "{}", job.log);
    drop(volume);
}

#[test]
fn a_machine_without_a_program_has_no_caches_and_goes_on() {
    let case = Case::new("true");
    fs::remove_dir_all(case.folder.join("bin")).expect("removed");
    let job = case.run("").expect(Status::Succeeded);
    let issues = &job.step("task").issues;
    assert!(issues.len() == 1 && issues[0].kind == "warning", "{}", job.log);
    assert!(issues[0].text.contains("cachekeep cannot be started on"), "{}", job.log);
    let job = case.run("required: true").expect(Status::Failed);
    assert_eq!(job.step("task").issues[0].kind, "error");
    // A program that cannot be loaded here.
    let other = Case::new("true");
    fs::write(other.program(), "#!/no/such/loader\n").expect("written");
    let job = other.run("").expect(Status::Succeeded);
    assert!(job.step("task").issues[0].text.contains("cannot be started"), "{}", job.log);
}
