//! Volumes without free space: a clear message, no partial tree, no leftovers.

use std::fs;

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::process::Process;
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::skip;
use cachekeep_test_support::tree::snapshot;
use cachekeep_test_support::volume::Volume;

const SIZE: usize = 24 << 20;

/// A job with something of [`SIZE`] to save.
fn job() -> Job {
    let job = Job::new(ONE_CACHE);
    forest::plain(&job.out(), SIZE, 1);
    job
}

/// A volume over a directory of the project.
fn volume(job: &Job, test: &str, directory: &str, options: &str) -> Option<Volume> {
    let mounted = Volume::mount(&job.project.path(directory), options);
    if mounted.is_none() {
        skip(test, "only root on Linux mounts volumes");
    }
    mounted
}

/// A job whose entry is saved and whose cache is now on a small volume, with something in it.
fn small_target(test: &str, options: &str) -> Option<(Job, Volume)> {
    let job = job();
    job.project.write("workspace/cachekeep.toml", ONE_CACHE.replace("/out", "/volume/out"));
    let place = job.project.path("workspace/volume");
    fs::create_dir(&place).expect("a directory");
    fs::rename(job.out(), place.join("out")).expect("renamed");
    job.run("1", &["save", "--required"]).success();
    fs::remove_dir_all(&place).expect("removed");
    let volume = volume(&job, test, "workspace/volume", options)?;
    job.project.write("workspace/volume/out/small/1/mine", "mine");
    job.project.write("workspace/volume/out/small/1/1.txt", "older");
    Some((job, volume))
}

/// A miss for a reason that a person understands.
#[track_caller]
fn is_miss_for_room(ran: Ran, words: &[&str]) {
    let ran = ran.success();
    assert_eq!(field(&ran, "restore/hit"), "none", "{}", ran.stderr);
    let reason = field(&ran, "restore/reason");
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    assert!(ran.stderr.contains("warning: out: ") && ran.stderr.contains(&reason), "{}", ran.stderr);
}

#[test]
fn a_full_store_is_no_space_and_nothing_is_left_there() {
    for options in ["size=8m", "size=64m,nr_inodes=9"] {
        let job = job();
        let tree = snapshot(&job.out());
        let Some(volume) = volume(&job, "full store", "store", options) else { return };
        job.run("1", &["restore", "--lookup-only"]).success();
        let before = volume.used();
        if options.contains("inodes") {
            for index in 0.. {
                if fs::write(job.store().join(format!("filler-{index}")), "").is_err() {
                    break;
                }
            }
        }
        for (arguments, code) in
            [(&["save"][..], 0), (&["save", "--required"], 1), (&["run", "--", "true"], 0)]
        {
            let ran = job.run("1", arguments).code(code);
            assert_eq!(field(&ran, "save/save-result"), "no-space", "{}", ran.stderr);
            assert!(ran.stderr.contains("warning: out: "), "{}", ran.stderr);
            assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new(), "{}", ran.stderr);
            assert!(job.entries().is_empty());
        }
        if !options.contains("inodes") {
            let after = volume.used();
            assert!(after.bytes <= before.bytes + (64 << 10), "{before:?} {after:?}");
        }
        assert_eq!(snapshot(&job.out()), tree);
    }
}

#[test]
fn a_target_that_is_too_small_is_declined_before_anything_is_written() {
    for (options, word) in [("size=8m", "free"), ("size=64m,nr_inodes=60", "inodes")] {
        let Some((job, volume)) = small_target("small target", options) else { return };
        let out = job.project.path("workspace/volume/out");
        let (before, used) = (snapshot(&out), volume.used());
        let mut process = Process::start(&mut job.command("1", &["restore"]));
        let mut most = used;
        while process.is_running() {
            most = most.max(volume.used());
        }
        is_miss_for_room(process.end(), &[word]);
        // The staging's own directories come and go.
        assert!(most.bytes <= used.bytes + (64 << 10), "{used:?} {most:?}");
        assert_eq!((snapshot(&out), volume.used()), (before, used));
        assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new());
        job.run("1", &["restore", "--required"]).code(1);
        job.run("1", &["restore", "--fail-on-miss"]).code(4);
    }
}

#[test]
fn a_volume_that_fills_up_in_the_middle_leaves_the_target_as_it_was() {
    let Some((job, volume)) = small_target("filling up", "size=40m") else { return };
    let out = job.project.path("workspace/volume/out");
    let (before, used) = (snapshot(&out), volume.used());
    for _ in 0..10 {
        let mut process = Process::start(&mut job.command("1", &["restore"]));
        process.until(|| volume.used().bytes > used.bytes + (1 << 20));
        let filler = volume.fill();
        let ran = process.end().success();
        drop(filler);
        if field(&ran, "restore/hit") == "exact" {
            // The filler was too late.
            forest::clear(&out);
            job.project.write("workspace/volume/out/small/1/mine", "mine");
            job.project.write("workspace/volume/out/small/1/1.txt", "older");
            continue;
        }
        is_miss_for_room(ran, &["No space left"]);
        let unchanged = |tree| cachekeep_test_support::tree::Snapshot::into_keys(tree).collect::<Vec<_>>();
        assert_eq!(unchanged(snapshot(&out)), unchanged(before));
        assert_eq!(fs::read(out.join("small/1/1.txt")).expect("a file"), b"older");
        assert_eq!((job.leftovers(), volume.used()), (Vec::new(), used));
        return;
    }
    panic!("never filled up in time");
}

#[test]
fn every_root_is_measured_on_the_volume_it_goes_to() {
    for (options, word) in [("size=8m", "free"), ("size=64m,nr_inodes=60", "inodes")] {
        let config = ONE_CACHE.replace(
            r#"path = "{workspace}/out""#,
            r#"paths = ["{workspace}/first", "{workspace}/volume/second"]"#,
        );
        let job = Job::new(&config);
        let (first, second) =
            (job.project.path("workspace/first"), job.project.path("workspace/volume/second"));
        forest::plain(&first, 1 << 20, 1);
        forest::plain(&second, SIZE, 2);
        job.run("1", &["save", "--required"]).success();
        forest::clear(&first);
        forest::clear(&second);
        let Some(volume) = volume(&job, "second root", "workspace/volume", options) else { return };
        job.project.write("workspace/first/mine", "mine");
        job.project.write("workspace/volume/second/mine", "mine");
        let (before, used) = ((snapshot(&first), snapshot(&second)), volume.used());
        is_miss_for_room(job.run("1", &["restore"]), &["workspace/volume/second", word]);
        assert_eq!((snapshot(&first), snapshot(&second)), before);
        assert_eq!((job.leftovers(), volume.used()), (Vec::new(), used));
        // What is large there is small here: it goes elsewhere, and that volume has room.
        drop(volume);
        job.run("1", &["restore", "--required", "--fail-on-miss"]).success();
    }
}

#[test]
fn a_full_volume_for_notes_is_in_nobodys_way() {
    let job = job();
    let tree = snapshot(&job.out());
    let Some(home) = volume(&job, "full home", "home", "size=1m") else { return };
    let Some(temp) = volume(&job, "full temp", "temp", "size=1m") else { return };
    let _full = (home.fill(), temp.fill());
    assert_eq!(field(&job.run("1", &["save", "--required"]).success(), "save/save-result"), "saved");
    forest::clear(&job.out());
    job.run("1", &["restore", "--required", "--fail-on-miss"]).success();
    assert_eq!(snapshot(&job.out()), tree);
    assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// A sparse file that is larger than its volume comes back, with its holes.
#[cfg(target_os = "linux")]
#[test]
fn a_sparse_file_needs_the_room_of_its_data() {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    let job = Job::new(&ONE_CACHE.replace("/out", "/volume/out"));
    let Some(volume) = volume(&job, "a sparse file", "workspace/volume", "size=60m") else { return };
    let image = job.project.write("workspace/volume/out/disk.img", "begins");
    let file = fs::File::options().write(true).open(&image).expect("a file");
    file.set_len(200 << 20).expect("stretched");
    file.write_all_at(&vec![7; 100_000], 90 << 20).expect("written");
    job.run("1", &["save", "--required"]).success();
    let saved = fs::read(&image).expect("read");
    fs::remove_dir_all(job.project.path("workspace/volume/out")).expect("removed");
    let ran = job.run("1", &["restore", "--required"]).success();
    assert_eq!(field(&ran, "restore/hit"), "exact", "{}", ran.stderr);
    assert!(fs::read(&image).expect("read") == saved, "the content differs");
    let allocated = fs::metadata(&image).expect("metadata").blocks() * 512;
    assert!(allocated < 8 << 20, "{allocated} bytes are allocated");
    drop(volume);
}
