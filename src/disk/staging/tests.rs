//! Tests of staging and publishing.

#![expect(clippy::disallowed_methods, reason = "this room touches files")]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::disk::recover::recover;
use crate::disk::testing::Mount;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

/// Writes files; a name that ends in `/` is a directory, a text that starts with `->` a link.
pub(super) fn lay(root: &Path, entries: &[(&str, &str)]) {
    for (name, text) in entries {
        let path = root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).expect("made");
            continue;
        }
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        match text.strip_prefix("->") {
            Some(to) => symlink(to, path).expect("linked"),
            None => fs::write(path, text).expect("written"),
        }
    }
}

/// All of a tree, in the notation of [`lay`].
pub(super) fn contents(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut stack = vec![root.to_owned()];
    while let Some(directory) = stack.pop() {
        for entry in fs::read_dir(&directory).expect("readable").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("inside").to_str().expect("text").to_owned();
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                found.insert(format!("{name}/"), String::new());
                stack.push(path);
            } else if kind.is_symlink() {
                found.insert(name, format!("->{}", fs::read_link(path).expect("a link").display()));
            } else {
                found.insert(name, fs::read_to_string(path).expect("readable"));
            }
        }
    }
    found
}

fn names(root: &Path) -> Vec<String> {
    contents(root).into_keys().collect()
}

fn expect(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

const WAYS: [Way; 2] = [Way::Exchange, Way::TwoRenames];

fn go() -> CancellationToken {
    CancellationToken::new()
}

fn publish_one(target: &Path, staged: &[(&str, &str)], way: Way) -> Result<Published, StagingError> {
    let staging = Staging::beside(target, now())?;
    lay(staging.tree(), staged);
    publish_by(vec![staging], &go(), way).map(|mut all| all.remove(0))
}

#[test]
fn a_target_that_is_absent_is_made_with_its_parents() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("some/deep/target");
        let published = publish_one(&target, &[("a/b", "1"), ("c/", "")], way).expect("published");
        assert_eq!((published.kept, published.leftover.is_none()), (0, true));
        assert_eq!(contents(&target), expect(&[("a/", ""), ("a/b", "1"), ("c/", "")]));
        assert_eq!(names(place.path().join("some/deep").as_path()).len(), 4, "nothing else");
    }
}

#[test]
fn a_discard_leaves_no_parent_that_it_made() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("some/deep/target");
    Staging::beside(&target, now()).expect("staged").discard().expect("discarded");
    drop(Staging::beside(&target, now()).expect("staged"));
    assert_eq!(names(place.path()), Vec::<String>::new());
}

#[test]
fn an_empty_target_is_filled() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        fs::create_dir(&target).expect("made");
        publish_one(&target, &[("a", "1")], way).expect("published");
        assert_eq!(contents(place.path()), expect(&[("target/", ""), ("target/a", "1")]));
    }
}

#[test]
fn what_the_target_has_is_kept_and_the_staged_file_wins() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        lay(
            &target,
            &[
                ("both", "old"),
                ("only", "kept"),
                ("d/both", "old"),
                ("d/only", "kept"),
                ("e/f/g", "kept"),
                ("empty/", ""),
                ("link", "->nowhere"),
                ("replaced", "->both"),
            ],
        );
        let inode = fs::metadata(target.join("e/f/g")).expect("there").ino();
        let staged = [("both", "new"), ("d/both", "new"), ("d/new", "new"), ("replaced", "a file now")];
        let published = publish_one(&target, &staged, way).expect("published");
        assert_eq!(
            contents(&target),
            expect(&[
                ("both", "new"),
                ("only", "kept"),
                ("d/", ""),
                ("d/both", "new"),
                ("d/new", "new"),
                ("d/only", "kept"),
                ("e/", ""),
                ("e/f/", ""),
                ("e/f/g", "kept"),
                ("empty/", ""),
                ("link", "->nowhere"),
                ("replaced", "a file now"),
            ])
        );
        assert_eq!(published.kept, 7, "only, d/only, e, e/f, e/f/g, empty, link");
        assert_eq!(fs::metadata(target.join("e/f/g")).expect("there").ino(), inode, "linked, not copied");
        assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1, "nothing left beside");
    }
}

#[test]
fn modes_and_times_of_directories_survive_a_merge() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("target");
    lay(&target, &[("kept/f", "1"), ("both/f", "1")]);
    let time = filetime::FileTime::from_unix_time(1_000_000_000, 123_456_789);
    let staging = Staging::beside(&target, now()).expect("staged");
    lay(staging.tree(), &[("both/g", "2")]);
    for (path, mode) in
        [(target.join("kept"), 0o550), (target.clone(), 0o750), (staging.tree().join("both"), 0o705)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        filetime::set_file_mtime(&path, time).expect("time");
    }
    staging.publish(&go()).expect("published");
    for (path, mode) in [("kept", 0o550), ("both", 0o705), ("", 0o750)] {
        let found = fs::metadata(target.join(path)).expect("there");
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
        if !path.is_empty() {
            assert_eq!(filetime::FileTime::from_last_modification_time(&found), time, "{path}");
        }
    }
    assert_eq!(names(&target), ["both/", "both/f", "both/g", "kept/", "kept/f"]);
}

#[test]
fn a_read_only_tree_can_be_published() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        for present in [false, true] {
            let staging = Staging::beside(&target, now()).expect("staged");
            lay(staging.tree(), &[("d/f", "1")]);
            for path in ["d", ""] {
                let read_only = fs::Permissions::from_mode(0o555);
                fs::set_permissions(staging.tree().join(path), read_only).expect("mode");
            }
            publish_by(vec![staging], &go(), way).expect("published");
            let mode = |path: &str| fs::metadata(target.join(path)).expect("there").mode() & 0o777;
            assert_eq!((mode(""), mode("d")), (0o555, 0o555), "{present}");
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).expect("mode");
            publish_one(&target, &[("x", "1")], way).expect("published again");
            fs::remove_dir_all(&target)
                .or_else(|_| crate::disk::remove::remove_tree(&target).map(|_| ()))
                .expect("gone");
        }
    }
}

#[test]
fn a_link_to_a_directory_stays_and_its_directory_is_published() {
    let place = tempfile::tempdir().expect("a place");
    lay(place.path(), &[("real/old", "1"), ("elsewhere/link", "->../real")]);
    let link = place.path().join("elsewhere/link");
    let published = publish_one(&link, &[("new", "2")], Way::Exchange).expect("published");
    assert!(published.target.ends_with("real"));
    assert!(link.is_symlink());
    assert_eq!(contents(&place.path().join("real")), expect(&[("new", "2"), ("old", "1")]));
    assert_eq!(place_of(&link).expect("a place"), fs::canonicalize(place.path()).expect("real"));
}

#[test]
fn targets_that_are_no_directories_are_refused() {
    let place = tempfile::tempdir().expect("a place");
    lay(place.path(), &[("file", "x"), ("dangling", "->nowhere"), ("to-file", "->file")]);
    let check = |name: &str, expect: &str| {
        let target = place.path().join(name);
        let error = Staging::beside(&target, now()).expect_err(name).to_string();
        assert_eq!(error.replace(&place.path().display().to_string(), ""), expect);
    };
    check("file", "`/file` is not a directory");
    check("to-file", "`/file` is not a directory");
    check("dangling", "`/dangling` is a link to something that does not exist");
    assert_eq!(names(place.path()).len(), 3);
}

#[test]
fn conflicts_leave_the_target_untouched_and_name_the_path() {
    let check = |present: &[(&str, &str)], staged: &[(&str, &str)], expect: &str| {
        for way in WAYS {
            let place = tempfile::tempdir().expect("a place");
            let target = place.path().join("target");
            lay(&target, present);
            let before = contents(place.path());
            let error = publish_one(&target, staged, way).expect_err(expect).to_string();
            assert_eq!(error.replace(&target.display().to_string(), ""), expect);
            assert_eq!(contents(place.path()), before, "{expect}");
        }
    };
    check(&[("a/b", "1")], &[("a", "file")], "`/a` is a directory and would become a file");
    check(&[("a", "file")], &[("a/b", "1")], "`/a` is a file and would become a directory");
    check(&[("d/a", "->/etc")], &[("d/a/b", "1")], "`/d/a` is a link and would become a directory");
    check(&[("a/b", "1")], &[("a", "->b")], "`/a` is a directory and would become a link");
}

#[test]
fn a_cancelled_publication_leaves_the_target_untouched() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("target");
    lay(&target, &[("a", "1")]);
    let staging = Staging::beside(&target, now()).expect("staged");
    lay(staging.tree(), &[("b", "2")]);
    let cancel = go();
    cancel.cancel();
    assert!(matches!(staging.publish(&cancel), Err(StagingError::Cancelled(_))));
    assert_eq!(contents(place.path()), expect(&[("target/", ""), ("target/a", "1")]));
}

#[test]
fn names_that_are_no_text_are_published_and_journaled() {
    use std::os::unix::ffi::OsStrExt as _;
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join(std::ffi::OsStr::from_bytes(b"t\xff"));
        fs::create_dir(&target).expect("made");
        fs::write(target.join(std::ffi::OsStr::from_bytes(b"old\xfe")), "").expect("written");
        publish_one(&target, &[("new", "")], way).expect("published");
        assert_eq!(fs::read_dir(&target).expect("there").count(), 2);
    }
}

#[test]
fn several_targets_are_published_together() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let targets = ["one", "two", "deep/three"].map(|name| place.path().join(name));
        lay(&targets[1], &[("old", "1")]);
        let stagings = targets.iter().map(|target| {
            let staging = Staging::beside(target, now()).expect("staged");
            lay(staging.tree(), &[("new", "2")]);
            staging
        });
        let published = publish_by(stagings.collect(), &go(), way).expect("published");
        assert_eq!(published.iter().map(|one| one.kept).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(
            names(place.path()),
            ["deep/", "deep/three/", "deep/three/new", "one/", "one/new", "two/", "two/new", "two/old"]
        );
    }
}

#[test]
fn targets_in_one_another_are_refused() {
    let place = tempfile::tempdir().expect("a place");
    let stagings = ["a", "a/b"].map(|name| Staging::beside(&place.path().join(name), now()).expect("staged"));
    let error = publish_all(stagings.into(), &go()).expect_err("they overlap");
    assert!(matches!(error, StagingError::Overlap(..)), "{error}");
    assert_eq!(names(place.path()), Vec::<String>::new());
}

/// The second target turns into a file after both are planned: what was published before is taken back.
#[test]
fn an_error_between_targets_takes_back_what_was_published() {
    for way in WAYS {
        for first_is_present in [true, false] {
            let place = tempfile::tempdir().expect("a place");
            let targets = ["one", "two"].map(|name| place.path().join(name));
            if first_is_present {
                lay(&targets[0], &[("old", "1")]);
            }
            let stagings: Vec<Staging> =
                targets.iter().map(|target| Staging::beside(target, now()).expect("staged")).collect();
            let mut changes = Vec::new();
            for staging in &stagings {
                lay(staging.tree(), &[("new", "2")]);
                changes.extend(staging.plan(&go()).expect("planned").0);
            }
            fs::write(&targets[1], "in the way").expect("written");
            let before = contents(place.path()).len();
            assert!(changes.iter().try_for_each(|change| change.make(way)).is_err());
            assert!(targets[0].join("new").exists());
            changes.iter().rev().try_for_each(Change::undo).expect("taken back");
            // A directory `old` may be left in the leased one; nothing else may differ.
            assert!(contents(place.path()).len() - before <= 1);
            drop(stagings);
            let first: &[(&str, &str)] = if first_is_present {
                &[("one/", ""), ("one/old", "1"), ("two", "in the way")]
            } else {
                &[("two", "in the way")]
            };
            assert_eq!(contents(place.path()), expect(first), "{way:?}");
        }
    }
}

/// Recovery after a kill at each step of publishing two targets, looked for from either side.
#[test]
fn a_kill_between_targets_is_completed_from_either_place() {
    for way in WAYS {
        for steps in 0..=2 {
            for place_first in [0, 1] {
                let place = tempfile::tempdir().expect("a place");
                let targets = ["x/one", "y/two"].map(|name| place.path().join(name));
                for target in &targets {
                    lay(target, &[("old", "1")]);
                }
                let stagings: Vec<Staging> =
                    targets.iter().map(|target| Staging::beside(target, now()).expect("staged")).collect();
                let mut changes = Vec::new();
                for staging in &stagings {
                    lay(staging.tree(), &[("new", "2")]);
                    changes.extend(staging.plan(&go()).expect("planned").0);
                }
                let temps: Vec<PathBuf> =
                    stagings.iter().map(|staging| staging.temp.path().to_owned()).collect();
                let temps: Vec<&Path> = temps.iter().map(PathBuf::as_path).collect();
                journal::write(&temps, &changes).expect("written");
                changes.iter().take(steps).try_for_each(|change| change.make(way)).expect("made");
                if steps > 0 {
                    // Somebody who had the old directory in hands adds to it at the last moment.
                    let old = [temps[0].join("payload/tree"), temps[0].join("payload/old/one")];
                    let old = old.iter().find(|path| path.is_dir()).expect("the old tree");
                    lay(old, &[("late", "3")]);
                }
                for staging in stagings {
                    staging.temp.leave();
                }
                let mut places = targets.clone().map(|target| target.parent().expect("a place").to_owned());
                places.rotate_left(place_first);
                let report = recover(&places[..1], now());
                assert!(report.failed.is_empty(), "{report:?}");
                recover(&places, now());
                let new: &[(&str, &str)] =
                    if steps > 0 { &[("new", "2"), ("old", "1")] } else { &[("old", "1")] };
                assert_eq!(contents(&targets[1]), expect(new), "{way:?} {steps} {place_first}");
                let mut with_late = expect(new);
                if steps > 0 {
                    with_late.insert("late".to_owned(), "3".to_owned());
                }
                assert_eq!(contents(&targets[0]), with_late);
                for place in &places {
                    assert_eq!(fs::read_dir(place).expect("a place").count(), 1, "no temp byte");
                }
            }
        }
    }
}

#[test]
fn between_two_renames_recovery_brings_the_new_tree_and_keeps_what_was_made_meanwhile() {
    for meanwhile in [false, true] {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        lay(&target, &[("old", "1")]);
        let staging = Staging::beside(&target, now()).expect("staged");
        lay(staging.tree(), &[("new", "2")]);
        let (changes, _) = staging.plan(&go()).expect("planned");
        journal::write(&[staging.temp.path()], &changes).expect("written");
        fs::create_dir(staging.payload().join("old")).expect("made");
        fs::rename(&target, staging.payload().join("old/target")).expect("renamed");
        if meanwhile {
            lay(&target, &[("new", "theirs"), ("other", "4")]);
        }
        staging.temp.leave();
        let report = recover(&[place.path().to_owned()], now());
        assert!(report.failed.is_empty() && report.removed.len() == 1, "{report:?}");
        let mut expected = expect(&[("target/", ""), ("target/new", "2"), ("target/old", "1")]);
        if meanwhile {
            expected.insert("target/new".to_owned(), "theirs".to_owned());
            expected.insert("target/other".to_owned(), "4".to_owned());
        }
        assert_eq!(contents(place.path()), expected);
    }
}

#[test]
fn several_publishers_of_one_target_lose_nothing() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("target");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let target = &target;
            scope.spawn(move || {
                for round in 0..15 {
                    let name = format!("d/{thread}-{round}");
                    publish_one(target, &[(&name, "x")], Way::Exchange).expect("published");
                }
            });
        }
    });
    assert_eq!(fs::read_dir(target.join("d")).expect("there").count(), 60);
    assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1);
}

#[test]
fn journals_that_name_what_is_not_theirs_are_refused_and_kept() {
    let place = tempfile::tempdir().expect("a place");
    for text in [
        "{",
        r#"{"At":{"Unix":[47,101,116,99]}}"#,
        r#"{"Changes":[{"temp":{"Unix":[47,101,116,99]},"name":{"Unix":[120]},"is_entry":false,"stamp":1,"mode":null}]}"#,
    ] {
        let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("leased");
        fs::write(leased.path().join("journal"), text).expect("written");
        leased.leave();
        let report = recover(&[place.path().to_owned()], now());
        assert_eq!((report.removed.len(), report.failed.len()), (0, 1), "{text}");
        let (path, error) = &report.failed[0];
        assert!(matches!(error, StagingError::Journal { .. }), "{error}");
        fs::remove_file(path.join("journal")).expect("removed");
        assert_eq!(recover(&[place.path().to_owned()], now()).removed.len(), 1);
    }
}

#[test]
fn a_target_that_is_a_volume_is_published_from_inside() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        fs::create_dir(&target).expect("made");
        let Some(_mount) = Mount::tmpfs(&target, "1m") else { return };
        lay(&target, &[("d/old", "1"), ("both", "old"), ("only", "kept")]);
        assert_eq!(place_of(&target).expect("a place"), target);
        let published =
            publish_one(&target, &[("d/new", "2"), ("both", "new"), ("e/f", "2"), ("l", "->d")], way)
                .expect("published");
        assert_eq!(published.kept, 1);
        assert_eq!(
            contents(place.path()),
            expect(&[
                ("target/", ""),
                ("target/both", "new"),
                ("target/d/", ""),
                ("target/d/new", "2"),
                ("target/d/old", "1"),
                ("target/e/", ""),
                ("target/e/f", "2"),
                ("target/l", "->d"),
                ("target/only", "kept"),
            ])
        );
        let before = contents(&target);
        let error = publish_one(&target, &[("a", "1"), ("only/x", "1")], way).expect_err("conflict");
        assert!(matches!(error, StagingError::Conflict { .. }), "{error}");
        assert_eq!(contents(&target), before);
    }
}

/// A bind mount has the device of what it shows, so only the system's own mark tells it.
#[test]
fn a_directory_shown_at_a_second_place_is_published_from_inside() {
    let place = tempfile::tempdir().expect("a place");
    lay(place.path(), &[("source/old", "1"), ("target/", "")]);
    let target = place.path().join("target");
    let Some(_mount) = Mount::bind(&place.path().join("source"), &target) else { return };
    publish_one(&target, &[("new", "2")], Way::Exchange).expect("published");
    assert_eq!(contents(&place.path().join("source")), expect(&[("new", "2"), ("old", "1")]));
}

#[test]
fn a_volume_inside_the_target_is_refused_and_everything_stays() {
    for bind in [false, true] {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        lay(place.path(), &[("target/d/inner/", ""), ("other/", "")]);
        let inner = target.join("d/inner");
        let mount =
            if bind { Mount::bind(&place.path().join("other"), &inner) } else { Mount::tmpfs(&inner, "1m") };
        let Some(_mount) = mount else { return };
        lay(&inner, &[("theirs", "1")]);
        let before = contents(&target);
        let error = publish_one(&target, &[("new", "2")], Way::Exchange).expect_err("a volume is inside");
        assert!(matches!(&error, StagingError::NestedVolume(path) if *path == inner), "{error}");
        assert_eq!(contents(&target), before);
    }
}

#[test]
fn a_full_volume_is_told_from_other_errors_and_leaves_the_target() {
    let place = tempfile::tempdir().expect("a place");
    let volume = place.path().join("volume");
    fs::create_dir(&volume).expect("made");
    let Some(_mount) = Mount::tmpfs(&volume, "256k,nr_inodes=60") else { return };
    let target = volume.join("target");
    for number in 0..25 {
        lay(&target, &[(&format!("{number}/"), "")]);
    }
    let before = contents(&volume);
    let staging = Staging::beside(&target, now()).expect("staged");
    for number in 0..20 {
        lay(staging.tree(), &[(&format!("new{number}"), "")]);
    }
    let error = staging.publish(&go()).expect_err("no inode left");
    assert!(error.is_no_space(), "{error}");
    assert_eq!(contents(&volume), before);
}
