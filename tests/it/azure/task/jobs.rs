//! Whole jobs with the task and the program.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::azure_agent::{
    Cancel, Event, Job, JobResult, Pipeline, ServiceConnection, Status,
};
use cachekeep_test_support::project::file_url;
use tempfile::TempDir;

use super::{assemble, real_program};

const CONFIG: &str = "[cache.out]\npath = \"out\"\nkey = \"k-{files:lock}\"\nrestore-keys = [\"k-\"]\n";

/// A store, the task, and an agent that keeps nothing between jobs.
struct Case {
    place: TempDir,
    folder: PathBuf,
}

impl Case {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let folder = assemble(place.path(), &real_program());
        Case { place, folder }
    }

    fn store(&self) -> String {
        file_url(&self.place.path().join("store"))
    }

    /// A job with the task before a script.
    fn run(&self, inputs: &str, script: &str, more: impl for<'a> FnOnce(Job<'a>) -> Job<'a>) -> JobResult {
        let text = format!(
            "
steps:
  - task: Cachekeep@0
    name: caches
    inputs: {{ store: '{}', {inputs} }}
  - name: build
    bash: |
      {script}
",
            self.store()
        );
        let pipeline = Pipeline::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let job = Job::new(&pipeline).task("Cachekeep@0", &self.folder);
        let job = job.agent_env("HOME", self.place.path()).file("cachekeep.toml", CONFIG).file("lock", "1");
        more(job).run()
    }

    /// How many entries the store has.
    fn entries(&self) -> usize {
        fn count(directory: &Path) -> usize {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries
                .map(|entry| {
                    let path = entry.path();
                    let is_entry = path.to_string_lossy().ends_with(".tar.zst");
                    if path.is_dir() { count(&path) } else { usize::from(is_entry) }
                })
                .sum()
        }
        count(&self.place.path().join("store"))
    }
}

const BUILD: &str = "mkdir -p out; echo made > out/file";

#[test]
fn what_a_job_saves_after_its_last_step_the_next_restores_before_its_first() {
    let case = Case::new();
    let script = format!("echo \"[$(caches.hit)] [$(caches.cacheHit)]\"; {BUILD}");
    let first = case.run("", &script, |job| job).expect(Status::Succeeded);
    assert!(first.step("build").log.contains("\n[none] [false]\n"), "{}", first.log);
    assert_eq!(first.outputs.get("caches.saveResult").map(String::as_str), Some("saved"), "{}", first.log);
    assert_eq!(first.summaries.len(), 2, "one of each stage");
    let second = case.run("", "cat out/file", |job| job).expect(Status::Succeeded);
    assert!(second.step("build").log.contains("\nmade\n"), "{}", second.log);
    let output = |name: &str| second.outputs.get(&format!("caches.{name}")).map(String::as_str);
    assert_eq!([output("cacheHit"), output("hit")], [Some("true"), Some("exact")]);
    assert_eq!(output("primaryKey"), output("matchedKey"));
    assert_eq!(output("saveResult"), Some("exists"));
    let third = case.run("", "echo more > out/more", |job| job.file("lock", "2")).expect(Status::Succeeded);
    assert_eq!(third.outputs.get("caches.hit").map(String::as_str), Some("partial"), "{}", third.log);
    assert_eq!(case.entries(), 2);
}

#[test]
fn a_later_step_changes_nothing_but_whether_it_is_saved() {
    let case = Case::new();
    let inputs = "cache: $(NAME), save: $(SAVE)";
    let change = format!("{BUILD}; echo '##vso[task.setvariable variable=NAME]other'");
    let job = case.run(inputs, &change, named).expect(Status::Succeeded);
    assert_eq!(case.entries(), 1, "{}", job.log);
    let decide = format!("{BUILD}; echo 2 > lock; echo '##vso[task.setvariable variable=SAVE]never'");
    let job = case.run(inputs, &decide, |job| named(job).file("lock", "3")).expect(Status::Succeeded);
    assert!(job.post("caches").log.contains("the input `save` is `never`"), "{}", job.log);
    assert_eq!(case.entries(), 1);
}

fn named(job: Job<'_>) -> Job<'_> {
    job.variable("NAME", "out").variable("SAVE", "auto")
}

#[test]
fn after_a_failure_the_policy_of_the_cache_decides() {
    let failing = format!("{BUILD}; exit 1");
    let always = CONFIG.replace("key =", "save = \"always\"\nkey =");
    for (config, entries) in [(CONFIG, 0), (always.as_str(), 1)] {
        let case = Case::new();
        let job = case.run("", &failing, |job| job.file("cachekeep.toml", config)).expect(Status::Failed);
        assert_eq!(job.post("caches").status, Status::Succeeded, "{}", job.log);
        assert_eq!(case.entries(), entries, "{}", job.log);
    }
    // Issues of a step do not count as a failure.
    let case = Case::new();
    let issues = format!("{BUILD}; echo '##vso[task.complete result=SucceededWithIssues]'");
    case.run("", &issues, |job| job).expect(Status::SucceededWithIssues);
    assert_eq!(case.entries(), 1);
}

#[test]
fn nothing_is_saved_after_a_cancel_nor_without_a_restore() {
    let case = Case::new();
    let wait = format!("{BUILD}; echo built; exec sleep 60");
    let job =
        case.run("", &wait, |job| job.cancel(Cancel::on_line("build", "built"))).expect(Status::Canceled);
    assert_eq!(job.post("caches").status, Status::Succeeded);
    assert!(job.post("caches").log.contains("nothing is saved: the job was canceled"), "{}", job.log);
    let job = case.run("lookupOnly: true", BUILD, |job| job).expect(Status::Succeeded);
    assert!(job.post("caches").log.contains("the step of this task did not restore"), "{}", job.log);
    let job = case.run("", BUILD, |job| job.cancel(Cancel::before("caches"))).expect(Status::Canceled);
    assert!(job.post("caches").log.contains("the step of this task did not restore"), "{}", job.log);
    assert_eq!(case.entries(), 0);
}

#[test]
fn trouble_is_a_warning_unless_it_is_required() {
    let case = Case::new();
    fs::write(case.place.path().join("store"), "not a directory").expect("written");
    let job = case.run("", BUILD, |job| job).expect(Status::Succeeded);
    assert!(job.step("caches").issues.iter().any(|issue| issue.kind == "warning"), "{}", job.log);
    let job = case.run("required: true", BUILD, |job| job).expect(Status::Failed);
    assert_eq!(job.step("caches").status, Status::Failed);
    let missed = Case::new().run("failOnCacheMiss: true", BUILD, |job| job).expect(Status::Failed);
    assert!(missed.step("caches").log.contains("Exit code 4"), "{}", missed.log);
    let wrong = Case::new().run("role: boss", BUILD, |job| job).expect(Status::Failed);
    assert!(wrong.step("caches").log.contains("Exit code 2"), "{}", wrong.log);
}

#[test]
fn without_a_store_of_its_own_a_job_says_what_to_use() {
    let case = Case::new();
    let text = format!("steps:\n  - {{ task: Cachekeep@0, name: caches }}\n  - bash: {BUILD}\n");
    let pipeline = Pipeline::parse(&text).expect("a pipeline");
    let job = Job::new(&pipeline)
        .task("Cachekeep@0", &case.folder)
        .file("cachekeep.toml", CONFIG)
        .file("lock", "1");
    let job = job.agent_env("HOME", case.place.path()).run().expect(Status::Succeeded);
    let log = &job.post("caches").log;
    assert!(log.contains("a task cannot use `Cache@2`") && log.contains("templates"), "{log}");
}

#[test]
fn in_forks_a_step_with_a_service_connection_is_skipped_and_saves_nothing() {
    let case = Case::new();
    let fork = case.run("azureSubscription: storage", BUILD, |job| connected(job).event(Event::fork(3)));
    let fork = fork.expect(Status::Succeeded);
    assert_eq!(fork.step("caches").status, Status::Skipped, "{}", fork.log);
    assert_eq!(fork.post("caches").status, Status::Skipped);
    let own =
        case.run("azureSubscription: storage", BUILD, |job| connected(job).event(Event::pull_request(3)));
    own.expect(Status::Succeeded);
    assert_eq!(case.entries(), 1);
}

fn connected(job: Job<'_>) -> Job<'_> {
    job.connection("storage", ServiceConnection::with_token("token-of-a-connection"))
}
