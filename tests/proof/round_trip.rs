//! What is saved is what is restored, by the binary and by GNU tar.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use filetime::FileTime;

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::scale::{is_full, pick, tell};
use cachekeep_test_support::skip;
use cachekeep_test_support::tree::{Snapshot, snapshot};

const SPARSE: &str = "sparse.img";
const GIANT: u64 = 9 << 30;

fn write(path: PathBuf, contents: &[u8]) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(&path, contents).expect("a file");
    path
}

/// One of everything.
fn odd(root: &Path) {
    for mode in [0o400, 0o444, 0o600, 0o644, 0o755, 0o777, 0o711, 0o641, 0o270] {
        let path = write(root.join(format!("modes/{mode:o}")), b"x");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }
    let times = [
        (0, 0),
        (0, 1),
        (1_234_567_890, 999_999_999),
        (-1, 1),
        (-86_400 * 365, 5),
        (1 << 32, 7),
        (5_000_000_000, 0),
    ];
    for (index, (seconds, nanoseconds)) in times.into_iter().enumerate() {
        let path = write(root.join(format!("times/{index}")), b"x");
        filetime::set_file_mtime(path, FileTime::from_unix_time(seconds, nanoseconds)).expect("a time");
    }
    odd_names(root);
    let deep = (0..40).fold(root.join("deep"), |path, level| path.join(format!("{level:030}")));
    write(deep.join("bottom"), b"far down");
    fs::create_dir_all(root.join("empty/inside/of/empty")).expect("directories");
    write(root.join("empty.txt"), b"");
    links(root);
    // What may not be written to holds something, too, and its time is that from before.
    write(root.join("closed/file"), b"x");
    fs::set_permissions(root.join("closed"), Permissions::from_mode(0o555)).expect("a mode");
    fs::create_dir(root.join("open")).expect("a directory");
    fs::set_permissions(root.join("open"), Permissions::from_mode(0o777)).expect("a mode");
    filetime::set_file_mtime(root.join("empty"), FileTime::from_unix_time(42, 424_242_424)).expect("a time");
    forest::sparse(&root.join(SPARSE), GIANT);
}

fn odd_names(root: &Path) {
    let names: &[&[u8]] = &[
        "ä e\u{301} 日本 🦀".as_bytes(),
        b"not \xff\xfe UTF-8",
        b"new\nline",
        b"-dash",
        b"back\\slash",
        b"trailing dot.",
        b" spaces ",
        b"quote\"'",
        b"glob*?[x]",
        b"=equals=1",
        &[b'n'; 255],
    ];
    for name in names {
        write(root.join("names").join(OsStr::from_bytes(name)), name);
    }
}

fn links(root: &Path) {
    let one = write(root.join("links/one"), b"three names");
    fs::hard_link(&one, root.join("links/two")).expect("a hard link");
    fs::hard_link(&one, root.join("empty/inside/three")).expect("a hard link");
    for (index, target) in [b"one".as_slice(), b"no such", b"../..", b"/etc/hostname", &[b't'; 3000], b"\xff"]
        .into_iter()
        .enumerate()
    {
        symlink(OsStr::from_bytes(target), root.join(format!("links/to-{index}"))).expect("a link");
    }
    filetime::set_symlink_file_times(
        root.join("links/to-0"),
        FileTime::zero(),
        FileTime::from_unix_time(1_000_000_000, 123_456_789),
    )
    .expect("a time");
}

fn many(root: &Path, count: u64) {
    for index in 0..count {
        let directory = root.join(format!("many/{:03}", index / 250));
        if index % 250 == 0 {
            fs::create_dir_all(&directory).expect("a directory");
        }
        fs::write(directory.join(format!("{index}")), index.to_le_bytes().repeat(16)).expect("a file");
    }
}

#[track_caller]
fn assert_same(found: &Snapshot, expected: &Snapshot) {
    let differs = |path: &&String| found.get(*path) != expected.get(*path);
    let paths: Vec<_> = expected.keys().chain(found.keys()).filter(differs).take(10).collect();
    for path in &paths {
        assert_eq!(found.get(*path), expected.get(*path), "{path}, and {} more at least", paths.len() - 1);
    }
}

/// Opens directories that are closed to their owner, so that the tree can be removed.
fn open_up(path: &Path) {
    let _ = fs::set_permissions(path.join("closed"), Permissions::from_mode(0o755));
}

#[test]
fn what_was_saved_is_restored_exactly_and_gnu_tar_agrees() {
    let job = Job::new(ONE_CACHE);
    let out = job.out();
    odd(&out);
    let count = pick(5_000, 100_000);
    many(&out, count);
    let tree = snapshot(&out);
    let saving = Instant::now();
    let saved = job.run("1", &["save", "--required"]).success();
    let saving = saving.elapsed();
    assert_eq!(field(&saved, "save/save-result"), "saved", "{}", saved.stderr);
    let original = job.project.path("original");
    fs::rename(&out, &original).expect("moved away");
    let restoring = Instant::now();
    job.run("1", &["restore", "--required", "--fail-on-miss"]).success();
    tell(&format!(
        "round trip: {} paths with {count} small files and a sparse one of {GIANT} bytes: save {saving:.1?}, restore {:.1?}",
        tree.len(),
        restoring.elapsed()
    ));
    assert_same(&snapshot(&out), &tree);
    let inode = |name: &str| fs::metadata(out.join(name)).expect("a file").ino();
    assert_eq!(inode("links/one"), inode("links/two"));
    assert_eq!(inode("links/one"), inode("empty/inside/three"));
    let blocks = fs::metadata(out.join(SPARSE)).expect("a file").blocks();
    assert!(blocks * 512 < 16 << 20, "the holes are holes again, not {blocks} blocks");
    gnu_tar_agrees(&job, &original, tree);
    open_up(&out);
    open_up(&original);
}

fn gnu_tar_agrees(job: &Job, original: &Path, mut tree: Snapshot) {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let is_gnu = Command::new("tar")
        .arg("--version")
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("GNU tar"));
    if !is_gnu || !has("zstd") {
        return skip("gnu_tar_agrees", "there is no GNU tar or no zstd");
    }
    let (entry, place) = (job.entries().remove(0), job.project.path("by-tar"));
    fs::create_dir(&place).expect("a directory");
    let tar = |arguments: &[&str]| {
        let mut command = Command::new("tar");
        command.arg("--zstd").arg("-xpf").arg(&entry).arg("-C").arg(&place).args(arguments);
        command
    };
    // It would write every zero of the sparse file.
    let output = tar(&["--exclude", SPARSE]).output().expect("tar starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tree.remove(SPARSE);
    let by_tar = place.join(".cachekeep/out");
    assert_same(&snapshot(&by_tar), &tree);
    open_up(&by_tar);
    if is_full() {
        let member = format!(".cachekeep/out/{SPARSE}");
        let mut extracting =
            tar(&["-O", &member]).stdout(std::process::Stdio::piped()).spawn().expect("tar starts");
        let compared = Command::new("cmp")
            .arg("-")
            .arg(original.join(SPARSE))
            .stdin(extracting.stdout.take().expect("a pipe"))
            .status()
            .expect("cmp starts");
        assert!(compared.success() && extracting.wait().expect("it ends").success());
    }
    tell("round trip: GNU tar unpacks the same tree");
}
