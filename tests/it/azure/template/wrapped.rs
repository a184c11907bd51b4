//! Around `Cache@2`: what comes back, what is saved, and what is not.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use cachekeep_test_support::azure_agent::{Cancel, Faults, JobResult, Pipeline, Status};

use super::{Machine, Use, hit, load, main_branch, output, save_result, twice};
use crate::action::definition::root;

/// Each path below the cache with its mode, its time and its target.
fn tree(job: &JobResult) -> Vec<(PathBuf, u32, i64, Option<PathBuf>)> {
    fn visit(root: &Path, below: &Path, found: &mut Vec<(PathBuf, u32, i64, Option<PathBuf>)>) {
        let mut entries: Vec<_> = fs::read_dir(root.join(below)).expect("a directory").flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = below.join(entry.file_name());
            let facts = entry.path().symlink_metadata().expect("there");
            let target = fs::read_link(entry.path()).ok();
            let time = if target.is_some() { 0 } else { facts.mtime() };
            found.push((path.clone(), facts.permissions().mode() & 0o777, time, target));
            if facts.is_dir() {
                visit(root, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    visit(&job.source(".cc"), Path::new(""), &mut found);
    found
}

#[test]
fn a_tree_comes_back_whole_in_either_format() {
    for format in ["tar", "files"] {
        let machine = Machine::new();
        let [first, second] = twice(&machine, &Use::new().both(&format!("format: {format}")));
        assert_eq!([hit(&first), save_result(&first)], ["none", "staged"], "{}", first.log);
        assert_eq!([hit(&second), save_result(&second)], ["exact", "exists"], "{}", second.log);
        assert_eq!(tree(&second), tree(&first), "{format}");
        assert_eq!(machine.keys().len(), 1);
        let format = if format == "tar" { "SingleTar" } else { "Files" };
        assert_eq!(machine.service.entries()[0].format, format);
        assert!(!second.path("1/.cachekeep/CACHEKEEP/0").exists(), "nothing lies between the transports");
    }
}

#[test]
fn a_changed_key_is_a_partial_hit_and_a_new_entry() {
    let machine = Machine::new();
    let used = Use::new();
    machine.job(&used.pipeline(), "1").run().expect(Status::Succeeded);
    let second = machine.job(&used.pipeline(), "2").run().expect(Status::Succeeded);
    assert_eq!([hit(&second), save_result(&second)], ["partial", "staged"], "{}", second.log);
    assert!(output(&second, "cachekeep_restore.cache-matched-key").starts_with("cc-"));
    assert_eq!(machine.keys().len(), 2);
    let third = machine.job(&used.pipeline(), "2").run().expect(Status::Succeeded);
    assert_eq!([hit(&third), save_result(&third)], ["exact", "exists"], "{}", third.log);
}

#[test]
fn nothing_is_saved_that_no_save_asked_for() {
    let machine = Machine::new();
    let without_save = load(
        "
steps:
  - template: azure-task/restore.yml@cachekeep
    parameters: { cache: cc, version: installed }
  - bash: mkdir .cc && echo half >.cc/made
",
    );
    machine.job(&without_save, "1").run().expect(Status::Succeeded);
    let consumer = Use::new().both("role: consumer").pipeline();
    let job = machine.job(&consumer, "1").run().expect(Status::Succeeded);
    assert_eq!(save_result(&job), "denied-mode");
    let empty = Use::new().build("true").pipeline();
    let job = machine.job(&empty, "1").run().expect(Status::Succeeded);
    assert_eq!(save_result(&job), "skipped");
    assert_eq!(machine.keys(), [] as [&str; 0]);
}

#[test]
fn a_save_without_a_restore_says_what_is_missing() {
    let machine = Machine::new();
    let alone = load(
        "
steps:
  - bash: mkdir .cc && echo made >.cc/made
  - template: azure-task/save.yml@cachekeep
    parameters: { cache: cc, version: installed }
",
    );
    let job = machine.job(&alone, "1").run().expect(Status::Succeeded);
    assert!(job.log.contains("nothing is saved: `restore.yml` did not run in this job"), "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0]);
}

#[test]
fn two_uses_need_two_prefixes() {
    let machine = Machine::new();
    let text = |first: &str, second: &str| {
        format!(
            "
steps:
  - template: azure-task/restore.yml@cachekeep
    parameters: {{ path: a, key: a-1, version: installed, prefix: {first} }}
  - template: azure-task/restore.yml@cachekeep
    parameters: {{ path: b, key: b-1, version: installed, prefix: {second} }}
  - bash: mkdir -p a b && echo a >a/f && echo b >b/f
  - template: azure-task/save.yml@cachekeep
    parameters: {{ path: a, key: a-1, version: installed, prefix: {first} }}
  - template: azure-task/save.yml@cachekeep
    parameters: {{ path: b, key: b-1, version: installed, prefix: {second} }}
"
        )
    };
    // The server refuses two steps of one name.
    let same = Pipeline::of_text(Path::new("."), &text("CACHEKEEP", "CACHEKEEP"));
    let refused = same.repository("cachekeep", &root()).load().expect_err("refused");
    assert!(refused.to_string().contains("two steps have the name"), "{refused}");
    let refused = machine.job(&load(&text("OTHER", "OTHER")), "1").run().expect(Status::Failed);
    assert!(refused.log.contains("was used in this job before with the same `prefix`"), "{}", refused.log);
    machine.job(&load(&text("CACHEKEEP", "OTHER")), "1").run().expect(Status::Succeeded);
    let segments: Vec<String> =
        machine.keys().iter().map(|key| key.split_once('|').expect("a version").1.to_owned()).collect();
    // The last step's task saves first.
    assert_eq!(segments, [r#""b-"|"1""#, r#""a-"|"1""#]);
}

#[test]
fn what_cache_2_fails_to_restore_is_a_miss_and_not_half_a_tree() {
    let machine = Machine::new();
    let used = Use::new();
    machine.job(&used.pipeline(), "1").run().expect(Status::Succeeded);
    for faults in [
        Faults { download_after: Some(3000), ..Faults::default() },
        Faults { lookup: true, ..Faults::default() },
    ] {
        machine.service.set_faults(faults);
        let job = machine.job(&used.clone().build("test ! -e .cc").pipeline(), "1").run();
        assert_ne!(job.status, Status::Failed, "{}", job.log);
        assert_eq!(hit(&job), "none", "{}", job.log);
        assert!(!job.source(".cc").exists());
    }
}

#[test]
fn an_entry_that_others_made_is_not_used() {
    let known = Machine::new();
    known.job(&Use::new().pipeline(), "1").run().expect(Status::Succeeded);
    let (task_key, key, version) = (known.keys()[0].clone(), noted(&known, "key"), noted(&known, "version"));
    let note = format!(
        r#"{{"format":1,"cache":"cc","key":"{key}","version":"{version}","measure":{{"files":2,"bytes":5,"digest":""}},
        "notes":{{"links":[["cc/../../../../out","/etc"]],"directories":[],"files":[]}}}}"#
    );
    let other_version = note.replace(&version, &"0".repeat(64));
    for (planted, said) in [
        ("echo planted >x/f".to_owned(), "what `Cache@2` restored is not used"),
        (
            format!("echo more >x/.cachekeep/cc/more; echo '{note}' >x/cachekeep-entry.json"),
            "is not the one that was saved",
        ),
        (format!("echo '{other_version}' >x/cachekeep-entry.json"), "is of the cache"),
        (
            format!("echo '{}' >x/cachekeep-entry.json", note.replace(":1,", ":2,")),
            "another version of cachekeep",
        ),
        ("mkfifo x/cachekeep-entry.json".to_owned(), "is not used"),
        ("ln -s /etc/passwd x/cachekeep-entry.json".to_owned(), "is not used"),
    ] {
        let machine = Machine::new();
        let script = format!("mkdir -p x/.cachekeep/cc; {}", planted.replace('\n', " "));
        let text = format!(
            "steps:\n  - task: Cache@2\n    inputs: {{ key: '{task_key}', path: x }}\n  - bash: |\n      {script}\n"
        );
        machine.job(&load(&text), "1").run().expect(Status::Succeeded);
        let job = machine.job(&Use::new().build("test ! -e .cc").pipeline(), "1").run();
        let job = job.expect(Status::Succeeded);
        assert!(job.log.contains(said), "{said}\n{}", job.log);
        assert_eq!(hit(&job), "none");
    }
}

/// A field of the note in the only entry of a machine's service.
fn noted(machine: &Machine, field: &str) -> String {
    let place = machine.path("unpacked");
    fs::create_dir_all(&place).expect("a directory");
    let archive = &machine.service.entries()[0].content;
    let ended = std::process::Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&place).status();
    assert!(ended.is_ok_and(|status| status.success()));
    let note = fs::read_to_string(place.join("cachekeep-entry.json")).expect("a note");
    let note: serde_json::Value = serde_json::from_str(&note).expect("JSON");
    note[field].as_str().expect("a text").to_owned()
}

#[test]
fn after_a_cancel_nothing_is_saved() {
    let machine = Machine::new();
    let pipeline = Use::new().pipeline();
    let job = machine.job(&pipeline, "1").event(main_branch()).cancel(Cancel::before("build")).run();
    assert_eq!(job.status, Status::Canceled);
    assert_eq!(save_result(&job), "skipped", "{}", job.log);
    assert!(job.log.contains("the job was canceled"), "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0]);
}

#[test]
fn a_policy_that_the_task_cannot_keep_says_so() {
    let machine = Machine::new();
    let pipeline = Use::new().build("mkdir .cc && echo x >.cc/f && exit 1").pipeline();
    let always = super::CONFIG.replace("key =", "save = \"always\"\nkey =");
    let job = machine.job(&pipeline, "1").file("cachekeep.toml", &always).run().expect(Status::Failed);
    assert_eq!(save_result(&job), "skipped");
    assert!(job.log.contains("`Cache@2` saves only after jobs that succeeded"), "{}", job.log);
    let job = machine.job(&pipeline, "1").run().expect(Status::Failed);
    assert!(job.log.contains("not saved (skipped): the job failed"), "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0]);
}

#[test]
fn five_caches_are_refused_before_anything_is_done() {
    let machine = Machine::new();
    let config: String =
        (0..5).map(|index| format!("[cache.c{index}]\npath = \"c{index}\"\nkey = \"k\"\n")).collect();
    let pipeline = load(
        "
steps:
  - template: azure-task/restore.yml@cachekeep
    parameters: { version: installed }
",
    );
    let job = machine.job(&pipeline, "1").file("cachekeep.toml", &config).run().expect(Status::Failed);
    assert!(job.log.contains("use the template once more with another `prefix`"), "{}", job.log);
}

#[test]
fn restore_keys_within_a_segment_are_warned_of_and_find_only_what_they_ask_for() {
    let machine = Machine::new();
    let used = |key: &str, restore: &str| {
        let mut used = Use::new();
        used.both = format!("path: .cc, key: {key}, version: installed");
        used.restore = format!(", restoreKeys: {restore}");
        used.pipeline()
    };
    machine.job(&used("cc-linux-1", "cc-"), "1").run().expect(Status::Succeeded);
    let job = machine.job(&used("cc-linux-2", "cc-lin"), "1").run().expect(Status::Succeeded);
    assert!(job.log.contains("cannot look for `cc-lin`"), "{}", job.log);
    assert_eq!(hit(&job), "partial", "{}", job.log);
    let job = machine.job(&used("cc-mac-1", "cc-m"), "1").run().expect(Status::Succeeded);
    assert_eq!(hit(&job), "none", "{}", job.log);
}

#[test]
fn a_save_that_the_task_lost_is_reported_by_the_next_run() {
    let machine = Machine::new();
    let used = Use::new();
    for faults in [Faults { create: true, ..Faults::default() }, Faults { upload: true, ..Faults::default() }]
    {
        machine.service.set_faults(faults);
        machine.job(&used.pipeline(), "1").variable("Build.BuildId", "41").run();
        machine.service.set_faults(Faults::default());
        let idle = used.clone().build("true").pipeline();
        let job = machine.job(&idle, "1").variable("Build.BuildId", "42").run().expect(Status::Succeeded);
        assert!(job.log.contains("run 41 gave `cc-"), "{}", job.log);
        assert!(job.log.contains("which did not save it"), "{}", job.log);
        let job = machine.job(&idle, "1").variable("Build.BuildId", "43").run().expect(Status::Succeeded);
        assert!(!job.log.contains("did not save it"), "once: {}", job.log);
    }
    machine.job(&used.pipeline(), "1").variable("Build.BuildId", "44").run().expect(Status::Succeeded);
    let job = machine.job(&used.pipeline(), "1").variable("Build.BuildId", "45").run();
    assert!(!job.log.contains("did not save it"), "{}", job.log);
    // Whatever lies in the place of a note is neither believed nor waited for.
    let notes = machine.path("home/.local/state/cachekeep/staged");
    for planted in ["not JSON", "{\"key\":\"\\u001b[2J\",\"run\":\"##vso[task.complete]\"}"] {
        machine.job(&used.pipeline(), "2").run().expect(Status::Succeeded);
        for note in fs::read_dir(&notes).expect("notes").flatten() {
            fs::write(note.path(), planted).expect("written");
        }
        machine.job(&used.pipeline(), "3").run().expect(Status::Succeeded);
    }
    for note in fs::read_dir(&notes).expect("notes").flatten() {
        fs::remove_file(note.path()).expect("removed");
        assert!(std::process::Command::new("mkfifo").arg(note.path()).status().is_ok_and(|it| it.success()));
    }
    machine.job(&used.pipeline(), "4").run().expect(Status::Succeeded);
}
