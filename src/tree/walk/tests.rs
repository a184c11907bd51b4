//! Tests of what a walk yields, and in which order.

use super::*;
use crate::tree::selection::{PathRule, resolve};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use tokio_util::sync::CancellationToken;

fn tree(paths: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for path in paths {
        let full = root.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).expect("a directory");
        } else {
            fs::create_dir_all(full.parent().expect("a parent")).expect("a directory");
            fs::write(full, path).expect("a file");
        }
    }
    root
}

fn names(selection: &Selection) -> Vec<String> {
    let all = |walk: Walk<'_>| walk.collect::<Result<Vec<_>, _>>().expect("items");
    let items = all(Walk::new(selection));
    // The same, and as often as is wanted, of what was listed before.
    for workers in [0, 3] {
        let listed = ListedAhead::of(selection, workers, &CancellationToken::new());
        assert_eq!(listed.is_some(), selection.root.is_dir());
        for _ in 0..2 {
            assert_eq!(all(Walk::over(selection, listed.as_ref())), items);
        }
    }
    items.iter().map(|item| item.relative.display().to_string()).collect()
}

fn check(paths: &[&str], rules: &[&str], expect: &[&str]) {
    let root = tree(paths);
    let rule = |line: &&str| {
        let (exclude, pattern) = line.strip_prefix('!').map_or((false, *line), |rest| (true, rest));
        PathRule { exclude, base: root.path().to_owned(), pattern: pattern.to_owned() }
    };
    let selections = resolve(&rules.iter().map(rule).collect::<Vec<_>>()).expect("rules").selections;
    assert_eq!(names(&selections[0]), expect, "{rules:?}");
}

#[test]
fn names_are_sorted_by_component_and_parents_come_first() {
    check(
        &["a/z", "a-x/y", "a.lock", "B", "a/b/c", "e/"],
        &[""],
        &["", "B", "a", "a/b", "a/b/c", "a/z", "a-x", "a-x/y", "a.lock", "e"],
    );
}

#[test]
fn directories_on_the_way_are_yielded_only_when_they_lead_somewhere() {
    check(&["a/b/x.txt", "a/c/y.o", "d/e/", "f.txt"], &["**/*.txt"], &["", "a", "a/b", "a/b/x.txt", "f.txt"]);
    check(&["a/b/x", "a/c/y", "a/d"], &["", "!a", "a/c"], &["", "a", "a/c", "a/c/y"]);
}

#[test]
fn a_walk_over_what_was_listed_sees_nothing_that_came_later() {
    let root = tree(&["a/b/x", "c/", "d"]);
    let selection = Selection::everything(root.path());
    let listed = ListedAhead::of(&selection, 2, &CancellationToken::new());
    fs::write(root.path().join("c/late"), "").expect("a file");
    fs::remove_file(root.path().join("a/b/x")).expect("removed");
    let seen = Walk::over(&selection, listed.as_ref()).map(|item| item.expect("an item").relative);
    assert!(seen.eq(["", "a", "a/b", "a/b/x", "c", "d"].map(PathBuf::from)));
}

#[test]
fn too_much_to_keep_is_not_listed_before() {
    let root = tree(&["a/b/x", "c/", "d"]);
    let selection = Selection::everything(root.path());
    let cancel = CancellationToken::new();
    assert!(ListedAhead::of_at_most(&selection, 2, &cancel, 5).is_some());
    assert!(ListedAhead::of_at_most(&selection, 2, &cancel, 4).is_none());
}

#[test]
fn a_listing_that_is_cancelled_ends() {
    let root = tree(&["a/b/x", "c/", "d"]);
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert!(ListedAhead::of(&Selection::everything(root.path()), 2, &cancel).is_none());
}

#[test]
fn unfinished_things_are_never_part_of_a_cache() {
    check(
        &[".cachekeep-0a1b.tmp/x", "d/.cachekeep-9.tmp", ".cachekeep-sentinel", "d/a.tmp"],
        &[""],
        &["", ".cachekeep-sentinel", "d", "d/a.tmp"],
    );
}

#[test]
fn links_specials_and_names_of_one_file_are_told_apart() {
    let root = tree(&["one", "d/x"]);
    fs::hard_link(root.path().join("one"), root.path().join("two")).expect("a link");
    symlink("d", root.path().join("to-d")).expect("a link");
    symlink("nowhere", root.path().join("to-nowhere")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).expect("a socket");
    fs::set_permissions(root.path().join("one"), fs::Permissions::from_mode(0o4711)).expect("a mode");
    let selection = Selection::everything(root.path());
    let items: Vec<Item> = Walk::new(&selection).map(|item| item.expect("an item")).collect();
    let item = |name: &str| items.iter().find(|item| item.relative == Path::new(name)).expect(name);
    assert_eq!(item("to-d").kind, ItemKind::Symlink { target: "d".into() });
    assert_eq!(item("to-nowhere").kind, ItemKind::Symlink { target: "nowhere".into() });
    assert_eq!(item("socket").kind, ItemKind::Special);
    assert_eq!((item("one").mode, item("one").size), (0o711, 3));
    assert_eq!(item("one").identity, item("two").identity);
    assert_eq!(item("one").identity.expect("two names").names, 2);
    assert_eq!(item("d/x").identity, None);
    assert_eq!(items.len(), 8);
    let metadata = fs::metadata(root.path().join("one")).expect("facts");
    assert_eq!(item("one").modified.seconds, metadata.mtime());
}

#[test]
fn a_root_may_be_a_file_or_a_link_to_one() {
    let root = tree(&["file"]);
    let file = root.path().join("file");
    fs::write(&file, "text").expect("written");
    let link = root.path().join("link");
    std::os::unix::fs::symlink("file", &link).expect("linked");
    for path in [&file, &link] {
        let selection = Selection::everything(path);
        let items: Vec<Item> = Walk::new(&selection).map(|item| item.expect("walked")).collect();
        assert_eq!(items.len(), 1);
        assert_eq!((&items[0].kind, items[0].size), (&ItemKind::File, 4));
        assert_eq!(items[0].relative, Path::new(""));
        assert_eq!(place_of(path, &items[0].relative), fs::canonicalize(&file).expect("real"));
    }
}

#[test]
fn a_root_that_cannot_be_walked_is_an_error_that_names_it() {
    let root = tree(&["file"]);
    let first = |path: PathBuf| {
        let pattern = path.join("*").display().to_string();
        let rule = PathRule { exclude: false, base: PathBuf::from("/"), pattern };
        let selection = resolve(&[rule]).expect("a rule").selections.remove(0);
        let mut walk = Walk::new(&selection);
        let error = walk.next().expect("a step").expect_err("an error");
        assert!(walk.next().is_none());
        error
    };
    let file = root.path().join("file");
    assert!(matches!(first(file.clone()), WalkError::NotADirectory(path) if path == file));
    let none = root.path().join("none");
    assert!(matches!(first(none.clone()), WalkError::Missing(path) if path == none));
}

#[test]
fn a_tree_of_directories_is_empty() {
    let tree = tempfile::tempdir().expect("a temp dir");
    fs::create_dir_all(tree.path().join("a/b")).expect("directories");
    let selection = Selection::everything(tree.path());
    assert!(is_empty(&selection).expect("walked"));
    fs::write(tree.path().join("a/b/c"), "").expect("a file");
    assert!(!is_empty(&selection).expect("walked"));
}
