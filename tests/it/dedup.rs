//! `dedup`: equal files share their bytes, on file systems of their own and by hard links.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use cachekeep_test_support::project::Project;
use cachekeep_test_support::skip;
use cachekeep_test_support::tree::snapshot;
use cachekeep_test_support::volume::Volume;

/// Trees of a run each, and files in each.
const TREES: usize = 8;
const FILES: usize = 20;

/// The full number of trees with `CACHEKEEP_PROOF=full`.
fn trees() -> usize {
    if std::env::var("CACHEKEEP_PROOF").as_deref() == Ok("full") { 100 } else { TREES }
}

/// Output trees of which all files but one in twenty are equal.
fn lay(root: &Path, trees: usize) {
    let noise = |seed: usize| -> Vec<u8> {
        let mut state = seed as u64 + 1;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()[6]
        };
        (0..64 << 10).map(next).collect()
    };
    for tree in 0..trees {
        let directory = root.join(format!("run-{tree}"));
        fs::create_dir_all(&directory).expect("a tree");
        for file in 0..FILES {
            let seed = if file == 0 { 1_000 + tree } else { file };
            fs::write(directory.join(format!("f{file}")), noise(seed)).expect("a file");
        }
    }
}

fn field(document: &serde_json::Value, name: &str) -> u64 {
    document[name].as_u64().unwrap_or_else(|| panic!("no {name}: {document}"))
}

/// Shares the trees of a volume made by this program, and writes to one.
fn on(make: &str, megabytes: u64) {
    let project = Project::new("");
    let place = project.path("volume");
    let image = project.path("image");
    let Some(volume) = Volume::in_file(&image, megabytes << 20, make, &place) else {
        return skip::skip(make, "only root on Linux mounts volumes, and the program must be installed");
    };
    lay(&place, trees());
    rustix::fs::sync();
    let (tree, before) = (snapshot(&place), volume.used().bytes);
    let all = ["dedup", "--json", place.to_str().expect("text")];
    let dry = project.run(&[&all[..], &["--dry-run"]].concat()).success().json();
    assert_eq!(snapshot(&place), tree, "a dry run changes nothing");
    let ran = project.run(&all).success();
    let document = ran.json();
    let expect = ((trees() - 1) * (FILES - 1)) as u64;
    assert_eq!(field(&document, "shared"), expect, "{}", ran.stderr);
    assert_eq!(field(&dry, "shared"), expect);
    assert_eq!(field(&document, "shared-bytes"), expect << 16);
    rustix::fs::sync();
    assert_eq!(snapshot(&place), tree, "contents, modes and times are kept, and each is a file of its own");
    let after = volume.used().bytes;
    let whole = (trees() * FILES) as u64 * (64 << 10);
    let saved = before.saturating_sub(after);
    let _ = writeln!(
        std::io::stderr(),
        "PROOF {make}: {whole} bytes of files, {before} used before, {after} after"
    );
    assert!(saved * 10 >= (expect << 16) * 9, "{make}: {before} before, {after} after");

    let written = place.join("run-3/f5");
    OpenOptions::new()
        .write(true)
        .open(&written)
        .and_then(|mut file| file.write_all(b"changed"))
        .expect("written");
    let name = "run-3/f5";
    let others = |mut tree: std::collections::BTreeMap<String, String>| {
        assert!(tree.remove(name).is_some(), "{tree:?}");
        tree
    };
    assert_eq!(others(snapshot(&place)), others(tree), "a write to one changes no other");
    assert!(project.temporary_things().is_empty());
}

#[test]
fn output_trees_share_their_bytes_on_xfs() {
    on("mkfs.xfs", 1_024);
}

#[test]
fn output_trees_share_their_bytes_on_btrfs() {
    on("mkfs.btrfs", 1_024);
}

#[test]
fn hard_links_are_made_where_nothing_else_differs_and_never_through_links() {
    let project = Project::new("");
    let text = "x".repeat(5_000);
    for name in ["one/a", "one/b", "two/a", "two/mode", "elsewhere/a"] {
        let path = project.write(name, &text);
        let time =
            fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000));
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_times(time)).expect("touched");
    }
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(project.path("two/mode"), fs::Permissions::from_mode(0o755)).expect("set");
    project.write("two/time", &text);
    project.write("two/small", "x");
    std::os::unix::fs::symlink(project.path("elsewhere"), project.path("one/link")).expect("linked");
    std::os::unix::fs::symlink(project.path("elsewhere/a"), project.path("one/file-link")).expect("linked");
    let (one, two) = (project.path("one").display().to_string(), project.path("two").display().to_string());

    let ran = project.run(&["dedup", "--hard-links", "--json", &one, &two]).success();
    let document = ran.json();
    assert_eq!(field(&document, "shared"), 2, "{}", ran.stderr);
    assert_eq!(document["left"]["metadata"], 2, "{}", ran.stderr);
    let inode = |name: &str| fs::metadata(project.path(name)).expect(name).ino();
    assert_eq!((inode("one/a"), inode("one/b")), (inode("two/a"), inode("two/a")));
    assert!(["two/mode", "two/time", "elsewhere/a"].iter().all(|other| inode(other) != inode("one/a")));
    assert_eq!(fs::metadata(project.path("two/mode")).expect("there").mode() & 0o777, 0o755);
    assert!(fs::symlink_metadata(project.path("one/file-link")).expect("there").is_symlink());
    assert!(project.temporary_things().is_empty());

    let again = project.run(&["dedup", "--hard-links", "--json", &one, &two, &one]).success().json();
    assert_eq!(field(&again, "shared"), 0, "names of one file are shared already");
    let link = project.path("one/link").display().to_string();
    let refused = project.run(&["dedup", &link]).code(2);
    assert!(refused.stderr.contains("is a link"), "{}", refused.stderr);
    project.run(&["dedup", "no-such-directory"]).code(2);
}

#[test]
fn a_volume_without_reflinks_is_said_with_the_cure() {
    let project = Project::new("");
    let Some(_volume) = Volume::mount(&project.path("volume"), "size=8m") else {
        return skip::skip("no reflinks", "only root on Linux mounts volumes");
    };
    let before = lay_two(&project);
    let place = project.path("volume").display().to_string();
    let ran = project.run(&["dedup", &place]).code(1);
    assert!(
        ran.stderr.contains("the volume has none") && ran.stderr.contains("--hard-links"),
        "{}",
        ran.stderr
    );
    assert_eq!(snapshot(&project.path("volume")), before);
    assert!(project.temporary_things().is_empty());
}

fn lay_two(project: &Project) -> cachekeep_test_support::tree::Snapshot {
    lay(&project.path("volume"), 2);
    snapshot(&project.path("volume"))
}
