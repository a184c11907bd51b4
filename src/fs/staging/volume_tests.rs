//! Tests of targets and volumes: most must be root, to mount some, and say so where they are not.

use super::tests::{WAYS, contents, expect, go, lay, now, publish_one};
use super::*;
use crate::fs::testing::Mount;
use crate::fs::testing::records;

#[test]
fn a_target_that_is_a_volume_is_published_from_inside() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        fs::create_dir(&target).expect("made");
        let Some(_mount) = Mount::tmpfs(&target, "1m") else { return };
        lay(&target, &[("d/old", "1"), ("both", "old"), ("only", "kept")]);
        assert!(places_of(&target).expect("places").contains(&target));
        let published =
            publish_one(&target, &[("d/new", "2"), ("both", "new"), ("e/f", "2"), ("l", "->d")], way)
                .expect("published");
        assert_eq!(published.kept, 2, "d/old and only");
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
        let error = publish_one(&target, &[("a", "1"), ("d", "1")], way).expect_err("conflict");
        assert!(matches!(error, StagingError::Conflict { .. }), "{error}");
        assert_eq!(contents(&target), before);
    }
}

/// A bind mount has the device of what it shows, so only the system's own mark shows it.
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
fn a_volume_inside_the_target_stays_mounted_and_gets_what_the_tree_has_for_it() {
    for bind in [false, true] {
        for (staged, in_volume) in [
            (&[("new", "2")][..], &[("theirs", "1")][..]),
            (
                &[("new", "2"), ("d/inner/x/y", "3"), ("d/inner/theirs", "2")],
                &[("theirs", "2"), ("x/", ""), ("x/y", "3")],
            ),
        ] {
            let place = tempfile::tempdir().expect("a place");
            let target = place.path().join("target");
            lay(place.path(), &[("target/d/inner/", ""), ("other/", "")]);
            let inner = target.join("d/inner");
            let mount = if bind {
                Mount::bind(&place.path().join("other"), &inner)
            } else {
                Mount::tmpfs(&inner, "1m")
            };
            let Some(_mount) = mount else { return };
            lay(&inner, &[("theirs", "1")]);
            let published = publish_one(&target, staged, Way::Exchange).expect("published");
            let decision = Decision { method: Method::Merge, reason: Reason::MountInside };
            assert_eq!(published.decision, Ok(decision));
            assert_eq!(contents(&inner), expect(in_volume), "{bind}");
            assert_eq!(fs::read_to_string(target.join("new")).expect("published"), "2");
            let mut left = fs::read_dir(&target).expect("read").flatten();
            assert!(left.all(|entry| !crate::fs::lease::is_temp_name(&entry.file_name())));
        }
    }
}

#[test]
fn a_mount_point_is_not_replaced_by_a_file() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("target");
    lay(&target, &[("inner/", ""), ("old", "1")]);
    let Some(_mount) = Mount::tmpfs(&target.join("inner"), "1m") else { return };
    let before = contents(place.path());
    let error = publish_one(&target, &[("a", "1"), ("inner", "2")], Way::Exchange).expect_err("a mount");
    assert!(error.to_string().ends_with("is a mount point and would become a file"), "{error}");
    assert_eq!(contents(place.path()), before);
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
    let staging = Staging::beside(&target, &records(), now()).expect("staged");
    for number in 0..20 {
        lay(staging.tree(), &[(&format!("new{number}"), "")]);
    }
    let error = staging.publish(&go()).expect_err("no inode left");
    assert!(error.is_no_space(), "{error}");
    assert_eq!(contents(&volume), before);
}
