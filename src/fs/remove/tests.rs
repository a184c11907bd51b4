//! Tests of removal.

use std::fs;

use super::*;

#[test]
fn a_tree_goes_and_is_counted() {
    let place = tempfile::tempdir().expect("a place");
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).expect("made");
    fs::write(tree.join("a/b/one"), vec![1; 10_000]).expect("written");
    fs::write(tree.join("two"), vec![1; 10_000]).expect("written");
    let removed = remove_tree(&tree).expect("removed");
    assert_eq!((removed.files, removed.directories), (2, 3));
    assert!(removed.bytes >= 20_000, "{removed:?}");
    assert!(!tree.exists());
    assert_eq!(remove_tree(&tree).expect("nothing to do"), Removed::default());
}

#[test]
fn a_single_file_goes() {
    let place = tempfile::tempdir().expect("a place");
    fs::write(place.path().join("file"), "x").expect("written");
    assert_eq!(remove_tree(&place.path().join("file")).expect("removed").files, 1);
}

#[test]
fn a_tree_of_files_that_are_read_only_goes() {
    let place = tempfile::tempdir().expect("a place");
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("sub")).expect("made");
    for name in ["one", "sub/two"] {
        fs::write(tree.join(name), "x").expect("written");
        let mut permissions = fs::metadata(tree.join(name)).expect("there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(tree.join(name), permissions).expect("read-only");
    }
    let removed = remove_tree(&tree).expect("removed");
    assert_eq!((removed.files, removed.directories), (2, 2));
    assert!(!tree.exists());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    }

    #[test]
    fn links_are_removed_and_never_followed() {
        let place = tempfile::tempdir().expect("a place");
        let kept = place.path().join("kept");
        fs::create_dir(&kept).expect("made");
        fs::write(kept.join("file"), "x").expect("written");
        let tree = place.path().join("tree");
        fs::create_dir(&tree).expect("made");
        symlink(&kept, tree.join("to-dir")).expect("link");
        symlink(kept.join("file"), tree.join("to-file")).expect("link");
        symlink("nowhere", tree.join("dangling")).expect("link");
        symlink(&kept, place.path().join("top")).expect("link");
        assert_eq!(remove_tree(&tree).expect("removed").files, 3);
        assert_eq!(remove_tree(&place.path().join("top")).expect("removed").files, 1);
        assert!(kept.join("file").exists());
    }

    #[test]
    fn a_file_with_another_name_gives_no_bytes() {
        let place = tempfile::tempdir().expect("a place");
        let tree = place.path().join("tree");
        fs::create_dir(&tree).expect("made");
        fs::write(place.path().join("name"), vec![1; 9_000]).expect("written");
        fs::hard_link(place.path().join("name"), tree.join("other")).expect("link");
        let removed = remove_tree(&tree).expect("removed");
        assert_eq!((removed.files, removed.bytes), (1, 0));
    }

    #[test]
    fn read_only_and_unreadable_directories_go() {
        let place = tempfile::tempdir().expect("a place");
        let tree = place.path().join("tree");
        for (name, mode) in
            [("ro", 0o555), ("none", 0o000), ("list", 0o444), ("search", 0o111), ("write", 0o200)]
        {
            fs::create_dir_all(tree.join(name).join("sub")).expect("made");
            fs::write(tree.join(name).join("sub/file"), "x").expect("written");
            chmod(&tree.join(name).join("sub"), mode);
            chmod(&tree.join(name), mode);
        }
        chmod(&tree, 0o500);
        assert_eq!(remove_tree(&tree).expect("removed").files, 5);
        assert!(!tree.exists());
    }

    #[test]
    fn any_depth_goes_though_no_path_reaches_it() {
        use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
        let place = tempfile::tempdir().expect("a place");
        let tree = place.path().join("tree");
        fs::create_dir(&tree).expect("made");
        let mut level = open(&tree, OFlags::DIRECTORY, Mode::empty()).expect("opens");
        let name = "a-rather-long-name-of-a-directory";
        for _ in 0..1_000 {
            mkdirat(&level, name, Mode::RWXU).expect("made");
            mkdirat(&level, "beside", Mode::RWXU).expect("made");
            level = openat(&level, name, OFlags::DIRECTORY, Mode::empty()).expect("opens");
        }
        assert_eq!(remove_tree(&tree).expect("removed").directories, 2_001);
        assert!(!tree.exists());
    }

    #[test]
    fn names_that_are_no_text_go() {
        use std::os::unix::ffi::OsStrExt as _;
        let place = tempfile::tempdir().expect("a place");
        let tree = place.path().join("tree");
        fs::create_dir(&tree).expect("made");
        fs::write(tree.join(std::ffi::OsStr::from_bytes(b"\xff\xfe\n")), "x").expect("written");
        assert_eq!(remove_tree(&tree).expect("removed").files, 1);
    }

    /// Needs root, which alone may mount. What another volume holds stays, and all else goes.
    #[cfg(unix)]
    #[test]
    fn what_is_mounted_inside_stays_and_the_rest_goes() {
        let place = tempfile::tempdir().expect("a place");
        let tree = place.path().join("tree");
        for name in ["a", "mounted", "z"] {
            fs::create_dir_all(tree.join("sub").join(name)).expect("made");
        }
        let inner = tree.join("sub/mounted");
        let Some(_mount) = crate::fs::testing::Mount::tmpfs(&inner, "1m") else { return };
        fs::write(inner.join("theirs"), "x").expect("written");
        fs::write(tree.join("sub/z/file"), "x").expect("written");
        let error = remove_tree(&tree).expect_err("a mount is inside");
        assert_eq!((error.failures, error.removed.files, error.removed.directories), (1, 1, 2), "{error}");
        assert!(error.to_string().contains("sub/mounted"), "{error}");
        assert!(inner.join("theirs").exists());
    }
}
