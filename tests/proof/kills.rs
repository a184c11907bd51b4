//! Killed at any moment: never half, and nothing left after the next start.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cachekeep::domain::sentinel::SENTINEL_FILE;

use crate::forest;
use crate::job::{Job, ONE_CACHE, listing};
use crate::process::Killer;
use crate::scale::{pick, tell};
use cachekeep_test_support::tree::{Snapshot, snapshot};

/// Kills that hit, for each of save, restore and seed.
fn strikes() -> u32 {
    pick(10, 100)
}

/// Every entry restores to this tree; then they are removed.
#[track_caller]
fn every_entry_restores(job: &Job, tree: &Snapshot) -> usize {
    let keys = job.keys();
    for key in &keys {
        assert_eq!(&job.restored(key), tree, "entry {key}");
    }
    for entry in job.entries() {
        std::fs::remove_file(entry).expect("removed");
    }
    keys.len()
}

/// The next start of any command that does something leaves no temporary thing.
#[track_caller]
fn the_next_start_leaves_nothing(job: &Job, strike: u32) {
    let next: &[&[&str]] = &[
        &["restore"],
        &["save", "--role", "consumer"],
        &["run", "--role", "consumer", "--", "true"],
        &["seed"],
    ];
    job.run("none", next[strike as usize % next.len()]).success();
    assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new(), "after strike {strike}");
}

/// Without link counts: those of kept files change while a tree is published.
fn without_names(tree: &Snapshot) -> Snapshot {
    let strip = |text: &String| text.replace(" 2 names", "");
    tree.iter().map(|(path, text)| (path.clone(), strip(text))).collect()
}

#[test]
fn a_killed_save_leaves_no_half_entry() {
    let job = Job::new(ONE_CACHE);
    forest::plain(&job.out(), 16 << 20, 1);
    let tree = snapshot(&job.out());
    let started = Instant::now();
    job.run("warm", &["save"]).success();
    let mut killer = Killer::new(started.elapsed());
    every_entry_restores(&job, &tree);
    let (mut hits, mut saved) = (0, 0);
    for attempt in 0.. {
        if killer.strike(&mut job.command(&attempt.to_string(), &["save"])) {
            hits += 1;
        }
        assert_eq!(snapshot(&job.out()), tree, "a save changes nothing");
        saved += every_entry_restores(&job, &tree);
        the_next_start_leaves_nothing(&job, attempt);
        assert!(attempt < strikes() * 10, "the save is too fast to be killed");
        if hits == strikes() {
            tell(&format!("save: {hits} kills in {} runs, {saved} entries, all restore", attempt + 1));
            break;
        }
    }
}

#[test]
fn a_killed_restore_leaves_the_target_as_it_was_or_complete() {
    let job = Job::new(ONE_CACHE);
    let (out, older) = (job.out(), job.project.path("older"));
    forest::plain(&out, 16 << 20, 1);
    job.run("new", &["save"]).success();
    // What is there already: other contents under the same names, and things of its own.
    forest::clear(&out);
    forest::plain(&out, 4 << 20, 2);
    forest::plain(&out.join("own"), 1 << 20, 3);
    forest::copy(&out, &older);
    let before = snapshot(&out);
    let started = Instant::now();
    job.run("new", &["restore", "--required", "--fail-on-miss"]).success();
    let mut killer = Killer::new(started.elapsed());
    let complete = snapshot(&out);
    assert_ne!(before, complete);
    let (mut hits, mut completed) = (0, 0);
    for attempt in 0.. {
        if snapshot(&out) != before {
            forest::clear(&out);
            forest::copy(&older, &out);
        }
        if killer.strike(&mut job.command("new", &["restore"])) {
            hits += 1;
        }
        let found = without_names(&snapshot(&out));
        let is_complete = found == without_names(&complete);
        assert!(is_complete || found == without_names(&before), "half, after strike {attempt}");
        completed += u32::from(is_complete);
        the_next_start_leaves_nothing(&job, attempt);
        assert_eq!(snapshot(&out), if is_complete { complete.clone() } else { before.clone() });
        assert!(attempt < strikes() * 10, "the restore is too fast to be killed");
        if hits == strikes() {
            tell(&format!("restore: {hits} kills in {} runs, {completed} of them complete", attempt + 1));
            break;
        }
    }
}

#[test]
fn a_killed_seed_leaves_only_verified_objects_and_no_sentinel_before_its_time() {
    let (job, names) = forest::seeded(200, 50_000);
    let out = job.out();
    let sentinel = out.join(SENTINEL_FILE);
    let started = Instant::now();
    job.run("none", &["seed", "--required"]).success();
    assert!(sentinel.exists() && forest::verified_objects(&out) == names.len());
    let mut killer = Killer::new(started.elapsed());
    let (mut hits, mut partial) = (0, 0);
    for attempt in 0.. {
        // Every second time it goes on from where the last kill left it.
        if sentinel.exists() || attempt % 2 == 0 {
            forest::clear(&out);
        }
        if killer.strike(&mut job.command("none", &["seed"])) {
            hits += 1;
        }
        let present = forest::verified_objects(&out);
        partial += u32::from((1..names.len()).contains(&present));
        assert!(!sentinel.exists() || present == names.len(), "a sentinel over {present} objects");
        // `restore` and `save` do not seed: what is there stays.
        let next: &[&str] = if attempt % 2 == 0 { &["restore"] } else { &["save", "--role", "consumer"] };
        job.run("none", next).success();
        assert_eq!(job.leftovers(), Vec::<std::path::PathBuf>::new(), "after strike {attempt}");
        assert_eq!(forest::verified_objects(&out), present);
        let gate = if present == names.len() { 0 } else { 3 };
        job.run("none", &["gate"]).code(gate);
        assert!(attempt < strikes() * 10, "the seed is too fast to be killed");
        if hits == strikes() {
            tell(&format!("seed: {hits} kills in {} runs, {partial} of them in the middle", attempt + 1));
            break;
        }
    }
    job.run("none", &["seed", "--required"]).success();
    assert_eq!(forest::verified_objects(&out), names.len());
}

/// The workspace itself is the cache: it is in use, and merged into.
const WHOLE_WORKSPACE: &str = r#"
[disk]
reserve = "0%"

[cache.all]
path = "{workspace}"
key = "all-{var.n}"
shared = true
"#;

/// Kills the command somewhere in the time that it takes after it has written its journal; whether it was still running then.
fn strike_publication(killer: &mut Killer, command: &mut Command, workspace: &Path) -> bool {
    killer.strike_after(command, || listing(workspace).iter().any(|path| path.join("journal").exists()))
}

/// Without the times of directories, which change with every rename into them.
fn without_directory_times(tree: &Snapshot) -> Snapshot {
    let strip = |text: &String| match text.split_once(" @") {
        Some((what, _)) if what.starts_with("directory") => what.to_owned(),
        _ => text.clone(),
    };
    tree.iter().map(|(path, text)| (path.clone(), strip(text))).collect()
}

#[test]
fn a_killed_merge_in_place_is_completed_by_the_next_start_or_was_not_begun() {
    let job = Job::new(WHOLE_WORKSPACE);
    let (workspace, older) = (job.project.path("workspace"), job.project.path("older"));
    let tree = workspace.join("tree");
    let lay =
        |seed: u64| (0..4).for_each(|part| forest::plain(&tree.join(part.to_string()), 1 << 20, seed + part));
    lay(10);
    forest::plain(&workspace.join("only-saved"), 1 << 20, 3);
    job.run("new", &["save"]).success();
    forest::clear(&tree);
    forest::clear(&workspace.join("only-saved"));
    lay(50);
    forest::plain(&tree.join("own"), 1 << 20, 4);
    forest::copy(&tree, &older);
    let before = without_directory_times(&snapshot(&workspace));
    let started = Instant::now();
    let ran = job.run("new", &["-v", "restore", "--required", "--fail-on-miss"]).success();
    assert!(ran.stderr.contains("merged in place"), "{}", ran.stderr);
    let (mut anywhere, mut publishing) = (Killer::new(started.elapsed()), Killer::new(started.elapsed() / 4));
    let complete = without_directory_times(&snapshot(&workspace));
    assert_ne!(before, complete);
    let (mut hits, mut completed, mut mixed) = (0, 0, 0);
    let wanted = pick(20, 300);
    for attempt in 0.. {
        if without_directory_times(&snapshot(&workspace)) != before {
            forest::clear(&tree);
            forest::clear(&workspace.join("only-saved"));
            forest::copy(&older, &tree);
        }
        let mut command = job.command("new", &["restore"]);
        let killed = match attempt % 4 {
            0 => anywhere.strike(&mut command),
            _ => strike_publication(&mut publishing, &mut command, &workspace),
        };
        hits += u32::from(killed);
        let torn = without_directory_times(&without_temporary(&snapshot(&workspace)));
        mixed += u32::from(killed && torn != before && torn != complete);
        the_next_start_leaves_nothing(&job, attempt);
        let found = without_directory_times(&snapshot(&workspace));
        assert!(found == complete || found == before, "half, after strike {attempt}");
        completed += u32::from(found == complete);
        assert!(attempt < wanted * 10, "the restore is too fast to be killed");
        if hits == wanted {
            tell(&format!(
                "merge in place: {hits} kills in {} runs, {mixed} of them in the middle of it, {completed} complete",
                attempt + 1
            ));
            break;
        }
    }
    assert!(mixed > wanted / 10, "only {mixed} kills came in the middle of a merge");
}

/// Without what lies in temporary directories.
fn without_temporary(tree: &Snapshot) -> Snapshot {
    let is_temporary = |path: &str| path.split('/').any(|name| name.starts_with(".cachekeep-"));
    tree.iter()
        .filter(|(path, _)| !is_temporary(path))
        .map(|(path, text)| (path.clone(), text.clone()))
        .collect()
}
