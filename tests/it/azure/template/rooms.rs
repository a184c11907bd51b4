//! Room where `Cache@2` writes its archives.

use std::fs;

use cachekeep_test_support::azure_agent::Status;
use cachekeep_test_support::skip::skip;
use cachekeep_test_support::volume::Volume;

use super::{Machine, Use, hit, load, save_result};

/// A compiler cache of 12 MiB.
const BUILD: &str =
    "mkdir -p .cc && for i in 1 2 3 4 5 6; do head -c 2097152 /dev/urandom >.cc/$i; done; df -k .";

#[test]
fn where_the_archive_has_no_room_the_task_alone_fails_and_ours_is_declined_or_needs_none() {
    let machine = Machine::new();
    let Some(_volume) = Volume::mount(&machine.path("small"), "size=8m") else {
        return skip("where_the_archive_has_no_room", "volumes cannot be mounted");
    };
    let small = machine.path("small");
    let alone = load(&format!(
        "
steps:
  - task: Cache@2
    name: alone
    inputs: {{ key: '\"alone\"', path: .cc }}
    env: {{ TMPDIR: '{}' }}
  - bash: |
      {BUILD}
",
        small.display()
    ));
    let job = machine.job(&alone, "1").run();
    assert!(job.post("alone").log.contains("Wrote only"), "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0]);

    let declined = Use::new().both(&format!("stagingDirectory: '{}'", small.display())).build(BUILD);
    let job = machine.job(&declined.pipeline(), "1").run().expect(Status::Succeeded);
    assert_eq!(save_result(&job), "no-space", "{}", job.log);
    assert!(job.log.contains("`Cache@2` would write an archive of 12.6 MB"), "{}", job.log);
    assert!(job.log.contains("name a roomier volume by `stagingDirectory`"), "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0]);
    assert_eq!(files_below(&small), 0, "nothing is left on the volume");

    // A policy says which files go first: here 6, 5, 4 are the oldest.
    let trimming = super::CONFIG.replace("key =", "trim = { max-size = \"1GB\" }\nkey =");
    let aged = format!("{BUILD}; for i in 1 2 3 4 5 6; do touch -d \"$i days ago\" .cc/$i; done");
    let job =
        machine.job(&declined.clone().build(&aged).pipeline(), "1").file("cachekeep.toml", &trimming).run();
    let job = job.expect(Status::Succeeded);
    assert_eq!(save_result(&job), "staged", "{}", job.log);
    assert!(job.log.contains("for its archive has no room"), "{}", job.log);
    let left: Vec<bool> = (1..=6).map(|file| job.source(format!(".cc/{file}")).exists()).collect();
    assert_eq!(left, [true, true, true, false, false, false], "{}", job.log);
    assert_eq!(machine.keys().len(), 1, "{}", job.log);
    let job = machine.job(&Use::new().build("test -s .cc/1").pipeline(), "1").run().expect(Status::Succeeded);
    assert_eq!(hit(&job), "exact");

    // The files themselves need no archive.
    let machine = Machine::new();
    let files = declined.clone().both("format: files");
    let job = machine.job(&files.pipeline(), "1").run().expect(Status::Succeeded);
    assert_eq!(save_result(&job), "staged", "{}", job.log);
    let job = machine.job(&files.build("test -s .cc/6").pipeline(), "1").run().expect(Status::Succeeded);
    assert_eq!(hit(&job), "exact");
}

#[test]
fn a_store_of_ones_own_needs_no_room_for_an_archive() {
    let machine = Machine::new();
    let (small, store) = (machine.path("small"), machine.path("store"));
    let Some(_volume) = Volume::mount(&small, "size=1m") else {
        return skip("a_store_of_ones_own_needs_no_room", "volumes cannot be mounted");
    };
    let both = format!("store: 'file://{}', stagingDirectory: '{}'", store.display(), small.display());
    let used = Use::new().both(&both).build(BUILD);
    let job = machine.job(&used.pipeline(), "1").run().expect(Status::Succeeded);
    assert_eq!(save_result(&job), "saved", "{}", job.log);
    assert_eq!((machine.keys().len(), files_below(&small)), (0, 0));
    let job = machine.job(&used.build("test -s .cc/6").pipeline(), "1").run().expect(Status::Succeeded);
    assert_eq!(hit(&job), "exact");
}

fn files_below(directory: &std::path::Path) -> usize {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}
