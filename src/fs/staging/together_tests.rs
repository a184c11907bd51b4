//! Tests of several targets and publishers, and of what recovery makes of their remains.

use super::tests::{WAYS, contents, expect, go, lay, names, now, publish_one};
use super::*;
use crate::fs::recover::recover;
use crate::fs::testing::records;

#[test]
fn several_targets_are_published_together() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let targets = ["one", "two", "deep/three"].map(|name| place.path().join(name));
        lay(&targets[1], &[("old", "1")]);
        let stagings = targets.iter().map(|target| {
            let staging = Staging::beside(target, &records(), now()).expect("staged");
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
    let stagings = ["a", "a/b"]
        .map(|name| Staging::beside(&place.path().join(name), &records(), now()).expect("staged"));
    let error = publish_all(stagings.into(), &go()).expect_err("they overlap");
    assert!(matches!(error, StagingError::Overlap(..)), "{error}");
    assert_eq!(names(place.path()), Vec::<String>::new());
}

/// What is in the way comes up after both are planned: what was published before is taken back.
#[test]
fn an_error_between_targets_takes_back_what_was_published() {
    for way in WAYS {
        for (first_is_present, first_in_place) in [(true, false), (true, true), (false, false)] {
            let place = tempfile::tempdir().expect("a place");
            let targets = ["one", "two"].map(|name| place.path().join(name));
            if first_is_present {
                lay(&targets[0], &[("old", "1"), ("d/both", "1"), ("e/", ""), ("l", "->old"), ("f", "1")]);
            }
            lay(&targets[1], &[("both", "1")]);
            let before = contents(place.path());
            let mut stagings: Vec<Staging> = [(&targets[0], first_in_place), (&targets[1], true)]
                .map(|(target, in_place)| {
                    let usage = Usage::default();
                    Staging::prepare(target, in_place, &usage, &records(), now()).expect("staged")
                })
                .into();
            let mut steps = Vec::new();
            for staging in &mut stagings {
                lay(staging.tree(), &[("both", "2"), ("new", "2"), ("d/both", "2"), ("d/e/f", "2")]);
                lay(staging.tree(), &[("e", "2"), ("l/x", "2"), ("f/y", "2"), ("zz/full", "2")]);
                steps.extend(staging.plan(&go()).expect("planned").0);
            }
            lay(&targets[1], &[("zz/full/", "")]);
            fs::write(targets[1].join("zz/full/mine"), "in the way").expect("written");
            assert!(steps.iter().try_for_each(|step| step.make(way)).is_err());
            assert!(targets[0].join("new").exists());
            steps.iter().rev().try_for_each(Step::undo).expect("taken back");
            drop(stagings);
            let mut expected = before;
            for name in ["two/zz/", "two/zz/full/"] {
                expected.insert(name.to_owned(), String::new());
            }
            expected.insert("two/zz/full/mine".to_owned(), "in the way".to_owned());
            assert_eq!(contents(place.path()), expected, "{way:?} {first_is_present} {first_in_place}");
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
                let mut stagings: Vec<Staging> = targets
                    .iter()
                    .map(|target| Staging::beside(target, &records(), now()).expect("staged"))
                    .collect();
                let mut changes = Vec::new();
                for staging in &mut stagings {
                    lay(staging.tree(), &[("new", "2")]);
                    changes.extend(staging.plan(&go()).expect("planned").0);
                }
                let temps: Vec<PathBuf> =
                    stagings.iter().map(|staging| staging.temp.path().to_owned()).collect();
                let temps: Vec<&Path> = temps.iter().map(PathBuf::as_path).collect();
                journal::write(&records(), &temps, &changes, now()).expect("written");
                changes.iter().take(steps).try_for_each(|change| change.make(way)).expect("made");
                if steps > 0 {
                    // A process that holds the old directory open adds to it at the last moment.
                    let old = [temps[0].join("payload/tree"), temps[0].join("payload/old/one")];
                    let old = old.iter().find(|path| path.is_dir()).expect("the old tree");
                    lay(old, &[("late", "3")]);
                }
                for staging in stagings {
                    staging.temp.leave();
                }
                let mut places = targets.clone().map(|target| target.parent().expect("a place").to_owned());
                places.rotate_left(place_first);
                let report = recover(&places[..1], &targets, &records(), now());
                assert!(report.failed.is_empty(), "{report:?}");
                recover(&places, &targets, &records(), now());
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
        let mut staging = Staging::beside(&target, &records(), now()).expect("staged");
        lay(staging.tree(), &[("new", "2")]);
        let (changes, _) = staging.plan(&go()).expect("planned");
        journal::write(&records(), &[staging.temp.path()], &changes, now()).expect("written");
        fs::create_dir(staging.payload().join("old")).expect("made");
        fs::rename(&target, staging.payload().join("old/target")).expect("renamed");
        if meanwhile {
            lay(&target, &[("new", "theirs"), ("other", "4")]);
        }
        staging.temp.leave();
        let report = recover(&[place.path().to_owned()], &[target], &records(), now());
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
        for thread in 0..8 {
            let target = &target;
            scope.spawn(move || {
                for round in 0..25 {
                    let name = format!("d/{thread}-{round}");
                    publish_one(target, &[(&name, "x")], Way::Exchange).expect("published");
                }
            });
        }
    });
    assert_eq!(fs::read_dir(target.join("d")).expect("there").count(), 200);
    assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1);
}

#[test]
fn journals_that_name_what_is_not_theirs_are_refused_and_kept() {
    let place = tempfile::tempdir().expect("a place");
    for text in [
        "{",
        r#"{"At":{"Unix":[47,101,116,99]}}"#,
        r#"{"Steps":[{"Change":{"temp":{"Unix":[47,101,116,99]},"name":{"Unix":[120]},"stamp":1,"mode":null}}]}"#,
        r#"{"Steps":[{"Merge":{"temp":{"Unix":[47,101,116,99]},"name":null,"directories":[]}}]}"#,
    ] {
        let leased = LeasedDirectory::create_in(place.path(), "test", now()).expect("leased");
        fs::write(leased.path().join("journal"), text).expect("written");
        records().keep(leased.path(), text.as_bytes(), now()).expect("kept");
        leased.leave();
        let report = recover(&[place.path().to_owned()], &[], &records(), now());
        assert_eq!((report.removed.len(), report.failed.len()), (0, 1), "{text}");
        let (path, error) = &report.failed[0];
        assert!(matches!(error, StagingError::Journal { .. }), "{error}");
        fs::remove_file(path.join("journal")).expect("removed");
        assert_eq!(recover(&[place.path().to_owned()], &[], &records(), now()).removed.len(), 1);
    }
}

/// A publication that stands between its two renames, as a kill leaves it.
fn torn(target: &Path) -> PathBuf {
    lay(target, &[("old", "1")]);
    let mut staging = Staging::beside(target, &records(), now()).expect("staged");
    lay(staging.tree(), &[("new", "2")]);
    let (changes, _) = staging.plan(&go()).expect("planned");
    journal::write(&records(), &[staging.temp.path()], &changes, now()).expect("written");
    let old = staging.payload().join("old");
    fs::create_dir(&old).expect("made");
    fs::rename(target, old.join(target.file_name().expect("a name"))).expect("renamed");
    let temp = staging.temp.path().to_owned();
    staging.temp.leave();
    temp
}

#[test]
fn only_targets_that_recovery_was_called_for_are_changed() {
    let place = tempfile::tempdir().expect("a place");
    let (target, other) = (place.path().join("target"), place.path().join("other"));
    let temp = torn(&target);
    let before = contents(place.path());
    for asked in [vec![], vec![other.clone()], vec![target.join("new"), temp.join("payload")]] {
        let report = recover(&[place.path().to_owned()], &asked, &records(), now());
        let [(path, error)] = &report.failed[..] else { panic!("{report:?}") };
        assert!(matches!(error, StagingError::NotAsked { .. }) && *path == temp, "{error}");
        assert_eq!(contents(place.path()), before, "{asked:?}");
    }
    // By another spelling, and with others: it is the same target.
    let alias = place.path().join("alias");
    std::os::unix::fs::symlink(place.path(), &alias).expect("linked");
    let asked = [other, alias.join("target")];
    let report = recover(&[alias], &asked, &records(), now());
    assert_eq!((report.removed.len(), report.failed.len()), (1, 0), "{report:?}");
    assert_eq!(contents(&target), expect(&[("new", "2"), ("old", "1")]));
}

#[test]
fn a_publication_that_has_not_begun_is_removed_whatever_recovery_was_called_for() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("target");
    lay(&target, &[("old", "1")]);
    let mut staging = Staging::beside(&target, &records(), now()).expect("staged");
    lay(staging.tree(), &[("new", "2")]);
    let (changes, _) = staging.plan(&go()).expect("planned");
    journal::write(&records(), &[staging.temp.path()], &changes, now()).expect("written");
    staging.temp.leave();
    let report = recover(&[place.path().to_owned()], &[], &records(), now());
    assert_eq!((report.removed.len(), report.failed.len()), (1, 0), "{report:?}");
    assert_eq!(contents(place.path()), expect(&[("target/", ""), ("target/old", "1")]));
}

/// A leftover of ours that is moved to another place is not obeyed there; the genuine one still is.
#[test]
fn a_journal_of_ours_in_another_place_is_kept_and_not_obeyed() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("a/target");
    let temp = torn(&target);
    let elsewhere = place.path().join("b");
    let copy = elsewhere.join(temp.file_name().expect("a name"));
    fs::create_dir_all(copy.join("payload/tree")).expect("made");
    fs::write(copy.join("payload/tree/planted"), "x").expect("written");
    for name in ["lease", "journal"] {
        fs::copy(temp.join(name), copy.join(name)).expect("copied");
    }
    let before = contents(place.path());
    let targets = [target.clone(), elsewhere.join("target")];
    let report = recover(&[elsewhere], &targets, &records(), now());
    let [(path, error)] = &report.failed[..] else { panic!("{report:?}") };
    assert!(matches!(error, StagingError::Unrecorded(_)) && *path == copy, "{error}");
    assert_eq!(contents(place.path()), before);
    let report = recover(&[place.path().join("a")], &targets, &records(), now());
    assert_eq!(report.removed, [temp]);
    assert_eq!(contents(&target), expect(&[("new", "2"), ("old", "1")]));
}
