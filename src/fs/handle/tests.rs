//! Tests of handles: no link is entered.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn no_directory_is_entered_through_a_link() {
    let place = tempfile::tempdir().expect("a place");
    std::fs::create_dir_all(place.path().join("real/inner")).expect("made");
    symlink("real", place.path().join("link")).expect("linked");
    symlink("../real", place.path().join("real/again")).expect("linked");
    let root = Handle::open(place.path()).expect("opened");
    assert!(root.walk(Path::new("real/inner")).is_ok());
    for refused in ["link", "link/inner", "real/again", "real/again/inner", "..", "real/../real"] {
        assert!(root.walk(Path::new(refused)).is_err(), "{refused}");
        assert!(root.walk_or_make(Path::new(refused)).is_err(), "{refused}");
    }
    assert!(Handle::open(&place.path().join("link")).is_err());
    root.walk_or_make(Path::new("real/new/deep")).expect("made");
    assert!(place.path().join("real/new/deep").is_dir());
}

#[test]
fn a_rename_to_a_new_name_replaces_nothing() {
    let place = tempfile::tempdir().expect("a place");
    for name in ["one", "other"] {
        std::fs::write(place.path().join(name), name).expect("written");
    }
    let root = Handle::open(place.path()).expect("opened");
    let error = root.rename_new("one".as_ref(), &root, "other".as_ref()).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    root.rename_new("one".as_ref(), &root, "free".as_ref()).expect("renamed");
    assert_eq!(std::fs::read_to_string(place.path().join("free")).expect("read"), "one");
}
