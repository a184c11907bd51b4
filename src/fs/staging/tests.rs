//! Tests of staging and publishing.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::fs::testing::records;

pub(super) fn now() -> DateTime<Utc> {
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

pub(super) fn names(root: &Path) -> Vec<String> {
    contents(root).into_keys().collect()
}

pub(super) fn expect(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

pub(super) const WAYS: [Way; 2] = [Way::Exchange, Way::TwoRenames];

pub(super) fn go() -> CancellationToken {
    CancellationToken::new()
}

pub(super) fn publish_one(
    target: &Path,
    staged: &[(&str, &str)],
    way: Way,
) -> Result<Published, StagingError> {
    let staging = Staging::beside(target, &records(), now())?;
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
    Staging::beside(&target, &records(), now()).expect("staged").discard().expect("discarded");
    drop(Staging::beside(&target, &records(), now()).expect("staged"));
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
    let staging = Staging::beside(&target, &records(), now()).expect("staged");
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
            let staging = Staging::beside(&target, &records(), now()).expect("staged");
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
                .or_else(|_| crate::fs::remove::remove_tree(&target).map(|_| ()))
                .expect("gone");
        }
    }
}

#[test]
fn a_link_to_a_directory_stays_and_its_directory_is_published() {
    let place = tempfile::tempdir().expect("a place");
    lay(place.path(), &[("real/old", "1"), ("elsewhere/link", "->../real")]);
    let link = place.path().join("elsewhere/link");
    publish_one(&link, &[("new", "2")], Way::Exchange).expect("published");
    assert!(fs::canonicalize(&link).expect("it leads somewhere").ends_with("real"));
    assert!(link.is_symlink());
    assert_eq!(contents(&place.path().join("real")), expect(&[("new", "2"), ("old", "1")]));
    let place = fs::canonicalize(place.path()).expect("real");
    let places = [place.join("elsewhere"), place.clone(), place.join("real")];
    assert_eq!(places_of(&link).expect("places"), places);
}

#[test]
fn an_empty_file_or_a_link_in_the_place_of_a_target_is_replaced() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        lay(place.path(), &[("file", ""), ("dangling", "->nowhere"), ("to-file", "->kept"), ("kept", "1")]);
        for name in ["file", "dangling", "to-file"] {
            let published = publish_one(&place.path().join(name), &[("new", "2")], way).expect("published");
            let decision = Decision { method: Method::RenameIn, reason: Reason::Obstacle };
            assert_eq!(published.decision, Ok(decision), "{name}");
            assert_eq!(contents(&place.path().join(name)), expect(&[("new", "2")]), "{name}");
        }
        assert_eq!(fs::read_to_string(place.path().join("kept")).expect("kept"), "1");
        assert_eq!(names(place.path()).len(), 7, "nothing else");
    }
}

/// Publishes a file.
fn publish_file(target: &Path, usage: &Usage) -> Result<Published, StagingError> {
    let staging = Staging::prepare(target, false, usage, &records(), now())?;
    fs::remove_dir(staging.tree()).expect("an empty tree");
    fs::write(staging.tree(), "staged").expect("written");
    staging.publish(&go())
}

#[test]
fn a_file_is_renamed_in_over_nothing_a_file_a_link_and_an_empty_directory() {
    for (name, reason) in [
        ("new/deep", Reason::Absent),
        ("file", Reason::Obstacle),
        ("dangling", Reason::Obstacle),
        ("to-file", Reason::Obstacle),
        ("to-directory", Reason::Obstacle),
        ("empty", Reason::EmptyDirectory),
    ] {
        let place = tempfile::tempdir().expect("a place");
        lay(place.path(), &[("file", "x"), ("dangling", "->nowhere"), ("to-file", "->kept"), ("kept", "1")]);
        lay(place.path(), &[("to-directory", "->real"), ("real/old", "1")]);
        fs::create_dir(place.path().join("empty")).expect("made");
        let target = place.path().join(name);
        let published = publish_file(&target, &Usage::default()).expect("published");
        assert_eq!(published.decision, Ok(Decision { method: Method::RenameIn, reason }), "{name}");
        assert!(published.leftover.is_none());
        assert!(fs::symlink_metadata(&target).expect("there").is_file(), "{name}");
        assert_eq!(fs::read_to_string(&target).expect("read"), "staged", "{name}");
        assert_eq!(fs::read_to_string(place.path().join("kept")).expect("kept"), "1");
        assert_eq!(fs::read_to_string(place.path().join("real/old")).expect("kept"), "1", "{name}");
        assert!(!names(place.path()).iter().any(|name| name.contains(".tmp")), "{name}");
    }
}

#[test]
fn an_empty_directory_that_would_be_merged_into_makes_way_for_a_file_unless_it_is_in_use() {
    let place = tempfile::tempdir().expect("a place");
    let place = fs::canonicalize(place.path()).expect("real");
    let target = place.join("target");
    for (in_parts, usage, expect) in [
        (true, Usage::default(), None),
        (false, Usage::of(&target, &place), Some("is the workspace and would become a file")),
        (false, Usage::of(&place, &target), Some("is a working directory and would become a file")),
    ] {
        fs::create_dir_all(&target).expect("made");
        let staging = Staging::prepare(&target, in_parts, &usage, &records(), now()).expect("prepared");
        fs::remove_dir(staging.tree()).expect("an empty tree");
        fs::write(staging.tree(), "staged").expect("written");
        match (staging.publish(&go()), expect) {
            (Ok(_), None) => assert_eq!(fs::read_to_string(&target).expect("read"), "staged"),
            (Err(error), Some(expect)) => assert!(error.to_string().ends_with(expect), "{error}"),
            (result, _) => panic!("{expect:?}: {result:?}"),
        }
        assert_eq!(fs::read_dir(&place).expect("read").count(), 1, "nothing else");
        if expect.is_none() {
            fs::remove_file(&target).expect("removed");
        }
    }
}

#[test]
fn what_has_content_is_not_replaced_by_something_of_another_kind() {
    for way in WAYS {
        let place = tempfile::tempdir().expect("a place");
        lay(place.path(), &[("file", "x"), ("directory/mine", "1")]);
        let error = publish_one(&place.path().join("file"), &[("new", "2")], way).expect_err("refused");
        assert!(
            error.to_string().ends_with("is a file with content and would become a directory"),
            "{error}"
        );
        let error = publish_file(&place.path().join("directory"), &Usage::default()).expect_err("refused");
        assert!(
            error.to_string().ends_with("is a directory with content and would become a file"),
            "{error}"
        );
        let before = expect(&[("file", "x"), ("directory/", ""), ("directory/mine", "1")]);
        assert_eq!(contents(place.path()), before);
    }
}

#[test]
fn a_file_that_is_kept_yields_as_a_whole() {
    let place = tempfile::tempdir().expect("a place");
    lay(place.path(), &[("file", "mine")]);
    let target = place.path().join("file");
    let mut staging = Staging::beside(&target, &records(), now()).expect("prepared");
    fs::remove_dir(staging.tree()).expect("an empty tree");
    fs::write(staging.tree(), "staged").expect("written");
    let kept = staging.yield_kept(|path| path == Path::new("")).expect("yielded");
    assert_eq!(kept, [PathBuf::new()]);
    let published = staging.publish(&go()).expect("published");
    assert_eq!(published.decision, Err(Left::Yielded));
    assert_eq!(contents(place.path()), expect(&[("file", "mine")]));
}

#[test]
fn a_target_below_a_link_is_exchanged_as_any_other() {
    let place = tempfile::tempdir().expect("a place");
    lay(place.path(), &[("real/target/old", "1"), ("link", "->real")]);
    for (name, decision) in [
        ("target", Decision { method: Method::Exchange, reason: Reason::Unused }),
        ("new", Decision { method: Method::RenameIn, reason: Reason::Absent }),
    ] {
        let target = place.path().join("link").join(name);
        let published = publish_one(&target, &[("new", "2")], Way::Exchange).expect("published");
        assert_eq!(published.decision, Ok(decision), "{name}");
    }
    assert_eq!(contents(&place.path().join("real/target")), expect(&[("new", "2"), ("old", "1")]));
}

/// Publishes one tree by exchange and by a merge in place.
fn publish_each_way(
    target: &Path,
    staged: &[(&str, &str)],
    in_place: bool,
) -> Result<Published, StagingError> {
    let staging = Staging::prepare(target, in_place, &Usage::default(), &records(), now())?;
    lay(staging.tree(), staged);
    staging.publish(&go())
}

#[test]
fn a_file_a_link_and_an_empty_directory_make_way_below_a_target() {
    for in_place in [false, true] {
        let place = tempfile::tempdir().expect("a place");
        let target = place.path().join("target");
        lay(
            &target,
            &[
                ("a", "file"),
                ("d/a", "->/etc"),
                ("e/", ""),
                ("f/", ""),
                ("g", "->nowhere"),
                ("h", "->d"),
                ("mine", "kept"),
            ],
        );
        let staged = [("a/b", "1"), ("d/a/b", "1"), ("e", "1"), ("f", "->x"), ("g", "1"), ("h/i", "1")];
        let published = publish_each_way(&target, &staged, in_place).expect("published");
        assert_eq!(published.kept, 1);
        assert_eq!(
            contents(&target),
            expect(&[
                ("a/", ""),
                ("a/b", "1"),
                ("d/", ""),
                ("d/a/", ""),
                ("d/a/b", "1"),
                ("e", "1"),
                ("f", "->x"),
                ("g", "1"),
                ("h/", ""),
                ("h/i", "1"),
                ("mine", "kept"),
            ])
        );
        assert_eq!(fs::read_dir(place.path()).expect("a place").count(), 1, "nothing left beside");
    }
}

#[test]
fn a_directory_with_content_makes_no_way_and_the_target_stays() {
    let check = |present: &[(&str, &str)], staged: &[(&str, &str)], expect: &str| {
        for in_place in [false, true] {
            let place = tempfile::tempdir().expect("a place");
            let target = place.path().join("target");
            lay(&target, present);
            let before = contents(place.path());
            let error = publish_each_way(&target, staged, in_place).expect_err(expect).to_string();
            assert_eq!(error.replace(&target.display().to_string(), ""), expect);
            assert_eq!(contents(place.path()), before, "{expect}");
        }
    };
    check(&[("a/b", "1")], &[("a", "file")], "`/a` is a directory with content and would become a file");
    check(&[("d/a/b", "1")], &[("d/a", "->b")], "`/d/a` is a directory with content and would become a link");
    let late = [("a0", "1"), ("z/a", "file")];
    check(&[("z/a/b", "1")], &late, "`/z/a` is a directory with content and would become a file");
}

#[test]
fn a_cancelled_publication_leaves_the_target_untouched() {
    let place = tempfile::tempdir().expect("a place");
    let target = place.path().join("target");
    lay(&target, &[("a", "1")]);
    let staging = Staging::beside(&target, &records(), now()).expect("staged");
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
fn without_a_place_for_records_one_tree_is_published_in_one_step_and_several_are_not() {
    let place = tempfile::tempdir().expect("a place");
    let none = crate::fs::records::Records::none();
    let targets = ["one", "two"].map(|name| place.path().join(name));
    let stage = |target: &Path, text| {
        let staging = Staging::beside(target, &none, now()).expect("staged");
        lay(staging.tree(), &[("file", text)]);
        staging
    };
    for text in ["1", "2"] {
        stage(&targets[0], text).publish(&go()).expect("published");
        assert_eq!(contents(&targets[0]), expect(&[("file", text)]));
    }
    let error =
        publish_all(targets.iter().map(|target| stage(target, "3")).collect(), &go()).expect_err("refused");
    assert!(matches!(error, StagingError::Record(_)), "{error}");
    assert_eq!(contents(&targets[0]), expect(&[("file", "2")]));
    assert_eq!(fs::read_dir(place.path()).expect("read").count(), 1, "nothing is left");
}
