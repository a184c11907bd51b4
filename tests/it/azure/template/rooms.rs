//! Room where `Cache@2` writes its archives.

use std::fs;

use cachekeep_test_support::azure_agent::{JobResult, Pipeline, Status};
use cachekeep_test_support::skip::{skip, works};
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

/// Fills a compiler cache of 16 results of a megabyte each, and the volume up to 96 %.
const COMPILE: &str = r#"export CCACHE_DIR=$PWD/.cc CCACHE_NOCOMPRESS=1
      mkdir build && for i in $(seq 16); do
        { printf 'const char text[] = "'; head -c 786432 /dev/urandom | base64 -w 0; printf '";\n'; } >build/$i.c
        ccache cc -c build/$i.c -o build/$i.o
        rm build/$i.c build/$i.o
      done
      size=$(df -k --output=size . | tail -1) free=$(df -k --output=avail . | tail -1)
      fallocate -l $(((free - size * 4 / 100 - 64) * 1024)) build/objects
      df -k ."#;

#[test]
fn a_compiler_cache_on_a_volume_at_96_percent_is_saved_where_the_task_alone_fails() {
    let test = "a_compiler_cache_on_a_volume_at_96_percent";
    if !works("ccache") || !works("cc") {
        return skip(test, "ccache and a C compiler are not installed");
    }
    let config = super::CONFIG.replace("path =", "kind = \"ccache\"\ntrim = { max-size = \"5GB\" }\npath =");
    let on_full_volume = |machine: &Machine, pipeline: &Pipeline| {
        let work = machine.path("work");
        let volume = Volume::mount(&work, "size=32m")?;
        fs::create_dir(work.join("tmp")).expect("a directory");
        let job = machine.job(pipeline, "1").file("cachekeep.toml", &config).work(&work);
        let job = job.agent_env("TMPDIR", work.join("tmp")).run();
        assert!(job.log.contains(" 96% "), "{}", job.log);
        Some((job, volume))
    };

    let machine = Machine::new();
    let alone = load(&format!(
        "
steps:
  - task: Cache@2
    name: alone
    inputs: {{ key: '\"alone\"', path: .cc }}
  - bash: |
      {COMPILE}
"
    ));
    let Some((job, volume)) = on_full_volume(&machine, &alone) else {
        return skip(test, "volumes cannot be mounted");
    };
    assert!(job.post("alone").log.contains("Wrote only"), "{}", job.log);
    assert_eq!(machine.keys(), [] as [&str; 0]);
    drop((job, volume));

    // In the store of `Cache@2`, which writes an archive beside the cache: trimmed until that has room.
    let wrapped = Use::new().build(COMPILE);
    let (job, volume) = on_full_volume(&machine, &wrapped.pipeline()).expect("a volume");
    assert_eq!(save_result(&job), "staged", "{}", job.log);
    assert!(job.log.contains("cc: is trimmed to "), "{}", job.log);
    assert_eq!(df_lines(&job).len(), 1, "{}", job.log);
    assert_eq!(machine.keys().len(), 1, "{}", job.log);
    drop((job, volume));
    let job =
        machine.job(&Use::new().build("ls .cc/*").pipeline(), "1").file("cachekeep.toml", &config).run();
    assert_eq!(hit(&job), "exact", "{}", job.log);

    // In a store of ours: whole, with nothing staged.
    let machine = Machine::new();
    let native =
        Use::new().both(&format!("store: 'file://{}'", machine.path("store").display())).build(COMPILE);
    let (job, volume) = on_full_volume(&machine, &native.pipeline()).expect("a volume");
    assert_eq!(save_result(&job), "saved", "{}", job.log);
    assert_eq!(df_lines(&job).len(), 1, "{}", job.log);
    assert!(!job.log.contains("is trimmed to "), "{}", job.log);
    drop((job, volume));
}

/// What a save says of the full volume, before and after.
fn df_lines(job: &JobResult) -> Vec<&str> {
    job.log.lines().filter(|line| line.contains("/1/s`: ") && line.contains(" free before, ")).collect()
}
