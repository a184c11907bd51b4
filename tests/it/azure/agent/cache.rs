//! `Cache@2`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use cachekeep_test_support::azure_agent::{AzureCacheService, Event, Faults, Job, JobResult, Status};
#[cfg(target_os = "linux")]
use cachekeep_test_support::volume::Volume;
use tempfile::TempDir;

use super::pipeline;

/// A service, an agent's directory, and a job with one cache of `dir`.
struct Case {
    place: TempDir,
    service: AzureCacheService,
}

impl Case {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let service = AzureCacheService::new(&place.path().join("service"));
        let case = Case { place, service };
        fs::create_dir_all(case.temp()).expect("a directory");
        fs::create_dir_all(case.directory()).expect("a directory");
        fs::write(case.directory().join("file"), "text").expect("a file");
        case
    }

    fn work(&self) -> PathBuf {
        self.place.path().join("work")
    }

    /// Where the task archives, on a volume of its own in some tests.
    fn temp(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    fn directory(&self) -> PathBuf {
        self.work().join("1/s/dir")
    }

    /// Removes what a former job left.
    fn fresh(&self) {
        let _ = fs::remove_dir_all(self.directory());
    }

    fn run(&self, key: &str, restore_keys: &str, script: &str, event: Event) -> JobResult {
        self.run_with(key, restore_keys, script, event, |job| job)
    }

    fn run_with(
        &self,
        key: &str,
        restore_keys: &str,
        script: &str,
        event: Event,
        more: impl for<'a> FnOnce(Job<'a>) -> Job<'a>,
    ) -> JobResult {
        let text = format!(
            "
variables: {{ PATH_OF: dir }}
steps:
  - task: Cache@2
    name: cache
    inputs: {{ key: '{key}', restoreKeys: $(RESTORE_KEYS), path: $(PATH_OF), cacheHitVar: HIT }}
    env: {{ TMPDIR: '{}' }}
  - name: build
    bash: |
      {script}
",
            self.temp().display()
        );
        let pipeline = pipeline(&text);
        let job = Job::new(&pipeline).work(&self.work()).service(&self.service).event(event);
        more(job.variable("RESTORE_KEYS", restore_keys)).run()
    }

    fn seed(&self, key: &str) {
        self.run(key, "", "true", main()).expect(Status::Succeeded);
    }

    fn keys(&self) -> Vec<(String, String)> {
        self.service.entries().into_iter().map(|entry| (entry.scope, entry.key)).collect()
    }

    fn left_in_temp(&self) -> Vec<String> {
        let entries = fs::read_dir(self.temp()).expect("a directory").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

fn main() -> Event {
    Event::branch("refs/heads/main")
}

fn hit(job: &JobResult) -> &str {
    job.variable("HIT").unwrap_or("unset")
}

#[test]
fn an_entry_is_saved_and_restored_with_modes_links_and_times() {
    let case = Case::new();
    let file = case.directory().join("file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink("file", case.directory().join("link")).expect("a link");
    let before = fs::metadata(&file).expect("a file").mtime();
    let job = case.run("a | \"b c\"", "", "true", main()).expect(Status::Succeeded);
    assert_eq!(hit(&job), "false");
    assert!(job.post("cache").log.contains("Saved item."), "{}", job.log);
    assert_eq!(case.keys(), [("refs/heads/main".to_owned(), "a|\"b c\"".to_owned())]);
    assert_eq!(case.left_in_temp(), [] as [&str; 0]);
    case.fresh();
    let job = case.run("a|\"b c\"", "", "true", main()).expect(Status::Succeeded);
    assert_eq!(hit(&job), "true");
    assert!(job.post("cache").log.contains("already exists"), "{}", job.log);
    let after = fs::metadata(&file).expect("restored");
    assert_eq!((after.mode() & 0o777, after.mtime()), (0o755, before));
    assert!(case.directory().join("link").is_symlink());
    assert_eq!(case.left_in_temp(), [] as [&str; 0]);
}

#[test]
fn keys_are_split_within_quotes_and_restore_keys_match_whole_segments() {
    let case = Case::new();
    case.seed("\"a|b\"|c-1");
    assert_eq!(case.keys()[0].1, "\"a|b\"|c-1");
    let look = |key: &str, restore_keys: &str| {
        case.fresh();
        let job = case.run(key, restore_keys, "rm -rf dir; mkdir dir", Event::pull_request(1));
        hit(&job.expect(Status::Succeeded)).to_owned()
    };
    assert_eq!(look("x1", "\"a|b\""), "inexact");
    assert_eq!(look("x2", "\"a"), "inexact");
    assert_eq!(look("x3", "\"a|b\"|c-"), "false");
    assert_eq!(look("x4", "nothing\n\n\"a|b\"|c-1"), "inexact");
    case.seed("\"a|b\"|c-2");
    case.fresh();
    let job = case.run("x5", "\"a|b\"", "true", main()).expect(Status::Succeeded);
    assert!(job.log.contains("fingerprint: `\"a|b\"|c-2`"), "the newest: {}", job.log);
}

#[test]
fn segments_that_are_paths_stand_for_the_contents_of_files() {
    let case = Case::new();
    let lock = case.work().join("1/s/sub/lock.json");
    fs::create_dir_all(lock.parent().expect("a parent")).expect("a directory");
    fs::write(&lock, "1").expect("a file");
    for key in ["npm | sub/lock.json", "npm | **/lock.json, !**/node_modules/**", "npm|\"sub/lock.json\""] {
        case.seed(key);
    }
    let keys = case.keys();
    assert_eq!(keys.len(), 2, "the first two are the same: {keys:?}");
    assert_eq!(keys[1].1, "npm|\"sub/lock.json\"");
    fs::write(&lock, "2").expect("a file");
    case.seed("npm | sub/lock.json");
    assert_eq!(case.keys().len(), 3);
    let job = case.run("npm | other/lock.json", "", "true", main()).expect(Status::Failed);
    assert!(job.log.contains("File not found: other/lock.json"), "{}", job.log);
}

#[test]
fn scopes_are_read_and_written_as_documented() {
    let case = Case::new();
    case.seed("main");
    let topic = Event::branch("refs/heads/topic");
    case.run("topic", "", "true", topic.clone()).expect(Status::Succeeded);
    case.run("pull", "", "true", Event::pull_request(3)).expect(Status::Succeeded);
    assert_eq!(
        case.keys().into_iter().map(|(scope, _)| scope).collect::<Vec<_>>(),
        ["refs/heads/main", "refs/heads/topic", "refs/pull/3/merge"]
    );
    let sees = |event: &Event, key: &str| hit(&case.run(key, "", "exit 1", event.clone())) == "true";
    let table = [
        (topic, [true, true, false]),
        (main(), [true, false, false]),
        (Event::pull_request(3), [true, true, true]),
        (Event::pull_request(4), [true, true, false]),
        (Event::fork(5), [true, false, false]),
    ];
    for (event, expected) in table {
        assert_eq!(["main", "topic", "pull"].map(|key| sees(&event, key)), expected, "{event:?}");
    }
    // Pipelines do not share caches.
    let other = case.run_with("main", "", "exit 1", main(), |job| job.definition("2"));
    assert_eq!(hit(&other), "false");
}

#[test]
fn only_a_job_that_succeeded_saves() {
    let case = Case::new();
    for (script, status) in [
        ("exit 1", Status::Failed),
        ("echo '##vso[task.complete result=SucceededWithIssues]'", Status::SucceededWithIssues),
    ] {
        let job = case.run("k", "", script, main()).expect(status);
        assert!(job.post("cache").log.contains("the job status was not 'Succeeded'"), "{}", job.log);
    }
    assert_eq!(case.keys(), []);
}

#[test]
fn a_path_that_is_no_directory_fails_the_job() {
    let case = Case::new();
    let redirect = |to: &str| format!("echo '##vso[task.setvariable variable=PATH_OF]{to}'");
    for (format, to) in [("", "nowhere"), ("", "dir/file"), ("Files", "nowhere"), ("Files", "dir/file")] {
        let job = case.run_with("k", "", &redirect(to), main(), |job| set_format(job, format));
        let job = job.expect(Status::Failed);
        assert_eq!(job.post("cache").status, Status::Failed, "{format} {to}");
    }
    assert_eq!((case.keys(), case.left_in_temp()), (Vec::new(), Vec::new()));
}

fn set_format<'a>(job: Job<'a>, format: &str) -> Job<'a> {
    job.variable("AZP_CACHING_CONTENT_FORMAT", format)
}

#[test]
fn faults_of_the_service_have_their_effects() {
    let case = Case::new();
    let with = |faults: Faults| case.service.set_faults(faults);
    with(Faults { create: true, ..Faults::default() });
    let job = case.run("k", "", "true", main()).expect(Status::Succeeded);
    assert!(job.log.contains("Failed to cache item.\nSaved item."), "{}", job.log);
    assert_eq!(case.keys(), []);
    with(Faults { upload: true, ..Faults::default() });
    let job = case.run("k", "", "true", main()).expect(Status::Failed);
    assert_eq!(job.post("cache").status, Status::Failed);
    let left = case.left_in_temp();
    assert!(left.len() == 1 && left[0].ends_with("_archive.tar"), "it stays: {left:?}");
    with(Faults::default());
    case.seed("k");
    with(Faults { lookup: true, ..Faults::default() });
    let job = case.run("k", "", "true", main()).expect(Status::Failed);
    assert_eq!(hit(&job), "false", "a miss at the restore, a failure at the save: {}", job.log);
    assert_eq!(job.step("cache").status, Status::Succeeded);
}

#[test]
fn a_download_that_breaks_fails_the_step_and_leaves_half_of_it() {
    for format in ["", "Files"] {
        let case = Case::new();
        for name in ["a", "b"] {
            fs::write(case.directory().join(name), vec![7; 64 << 10]).expect("a file");
        }
        case.run_with("k", "", "true", main(), |job| set_format(job, format)).expect(Status::Succeeded);
        case.fresh();
        case.service.set_faults(Faults { download_after: Some(80 << 10), ..Faults::default() });
        let job = case.run("k", "", "true", main()).expect(Status::Failed);
        assert_eq!(job.step("cache").status, Status::Failed, "{}", job.log);
        assert_eq!(hit(&job), "unset");
        let bytes = |name: &str| fs::metadata(case.directory().join(name)).map_or(0, |found| found.len());
        let sum = bytes("a") + bytes("b");
        assert!(sum > 0 && sum < 128 << 10, "{format}: {sum}");
    }
}

#[test]
fn the_format_of_files_loses_all_but_contents() {
    let case = Case::new();
    let directory = case.directory();
    fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(0o755)).expect("a mode");
    symlink("file", directory.join("link")).expect("a link");
    symlink("nowhere", directory.join("dangling")).expect("a link");
    fs::create_dir(directory.join("empty")).expect("a directory");
    case.run_with("k", "", "true", main(), |job| set_format(job, "files")).expect(Status::Succeeded);
    assert_eq!(case.service.entries()[0].format, "Files");
    assert_eq!(case.left_in_temp(), [] as [&str; 0], "nothing is staged");
    case.fresh();
    // The entry knows its format: the restore does not need the variable.
    let job = case.run("k", "", "true", main()).expect(Status::Succeeded);
    assert_eq!(hit(&job), "true");
    assert_eq!(fs::metadata(directory.join("file")).expect("restored").mode() & 0o111, 0);
    assert!(directory.join("link").is_file() && !directory.join("link").is_symlink());
    assert!(!directory.join("empty").exists() && !directory.join("dangling").exists());
    let job = case.run_with("l", "", "true", main(), |job| set_format(job, "zip")).expect(Status::Failed);
    assert!(job.log.contains("Requested value 'zip' was not found"), "{}", job.log);
}

#[test]
#[cfg(target_os = "linux")]
fn an_archive_that_does_not_fit_is_deleted_and_the_job_fails() {
    let case = Case::new();
    let Some(volume) = Volume::mount(&case.temp(), "size=1m") else {
        cachekeep_test_support::skip("an_archive_that_does_not_fit", "no volume can be mounted");
        return;
    };
    fs::write(case.directory().join("large"), vec![7; 2 << 20]).expect("a file");
    let job = case.run("k", "", "true", main()).expect(Status::Failed);
    assert!(job.post("cache").log.contains("Process returned non-zero exit code: 2"), "{}", job.log);
    assert!(job.post("cache").log.contains("Wrote only"), "{}", job.log);
    assert_eq!((case.keys(), case.left_in_temp()), (Vec::new(), Vec::new()));
    drop(volume);
}

#[test]
fn another_program_may_stand_for_tar() {
    let case = Case::new();
    let program = case.place.path().join("mine");
    fs::write(&program, "#!/bin/sh\nenv | grep -c MINE\nexec tar \"$@\"\n").expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    let text = |env: &str| {
        format!(
            "variables: {{ MINE: a variable }}\nsteps:\n  - {{ task: Cache@2, name: cache, inputs: {{ key: k, path: dir }}, env: {{ TMPDIR: '{}', VSTS_TAR_EXECUTABLE: '{}'{env} }} }}\n",
            case.temp().display(),
            program.display()
        )
    };
    let run = |text: &str| {
        Job::new(&pipeline(text)).work(&case.work()).service(&case.service).run().expect(Status::Succeeded)
    };
    // Variables do not reach the task's program, `env:` does.
    assert!(run(&text("")).post("cache").log.contains("\n0\n"));
    let other = text(", MINE: of the step").replace("key: k", "key: l");
    assert!(run(&other).post("cache").log.contains("\n1\n"));
    assert!(Path::new(&case.service.entries()[1].content).is_file());
}
