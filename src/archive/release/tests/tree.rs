//! Whole trees, honest and hostile.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;

fn unpack(setting: &Setting, bytes: &[u8], directory: &Path) -> Result<Extracted, Fault> {
    setting.with(|options| unpack_tree(stream(bytes), options, directory))
}

/// Files and symbolic links below a directory.
fn census(directory: &Path) -> (usize, usize) {
    let mut found = (0, 0);
    for entry in std::fs::read_dir(directory).expect("readable") {
        let entry = entry.expect("readable");
        let kind = entry.file_type().expect("readable");
        if kind.is_dir() {
            let below = census(&entry.path());
            found = (found.0 + below.0, found.1 + below.1);
        } else {
            found = (found.0 + usize::from(kind.is_file()), found.1 + usize::from(kind.is_symlink()));
        }
    }
    found
}

#[test]
fn a_tree_has_its_modes_dates_and_links() {
    let setting = Setting::new(Some("top/data"));
    let directory = tempfile::tempdir().expect("a temp directory");
    let extracted = unpack(&setting, &gzip(&tar_of(RELEASE)), directory.path()).expect("unpacked");
    assert_eq!((extracted.items, census(directory.path())), (5, (3, 1)));
    let at = |name: &str| directory.path().join(name);
    let metadata = |name: &str| at(name).symlink_metadata().expect(name);
    assert_eq!(std::fs::read(at("CID/one")).expect("a file"), b"the first object");
    assert_eq!(metadata("CID/one").permissions().mode() & 0o7777, 0o640);
    for name in ["CID/one", "CID/empty", "none", "link"] {
        assert_eq!(metadata(name).mtime(), 1_700_000_000, "{name}");
    }
    assert_eq!(metadata("again").ino(), metadata("CID/one").ino());
    assert_eq!(std::fs::read_link(at("link")).expect("a link"), Path::new("CID/one"));
    assert_eq!(metadata("none").permissions().mode() & 0o777, 0o755);
    assert!(!at("README").exists());
}

#[test]
fn nothing_is_written_through_links_nor_over_directories() {
    let setting = Setting::new(None);
    let outside = tempfile::tempdir().expect("a temp directory");
    let target = outside.path().as_os_str().as_encoded_bytes();
    let (file, directory, link) = (EntryType::Regular, EntryType::Directory, EntryType::Symlink);
    let check = |entries: TarEntries<'_>, expect: &str| {
        let dir = tempfile::tempdir().expect("a temp directory");
        let error = unpack(&setting, &tar_of(entries), dir.path()).expect_err(expect);
        assert_eq!(error.to_string(), format!("the archive: the archive is refused: {expect}"));
        assert_eq!(std::fs::read_dir(outside.path()).expect("readable").count(), 0);
    };
    let through = "`l` is in the archive twice, as different things";
    check(&[("l", link, target), ("l/x", file, b"x")], through);
    check(&[("l", link, target), ("l/x", directory, b"")], through);
    check(&[("l", link, b"."), ("l/x", EntryType::Link, b"l")], through);
    let twice = "`d` is in the archive twice, as different things";
    check(&[("d/x", file, b"x"), ("d", link, target)], twice);
    check(&[("d/x", file, b"x"), ("d", file, b"")], twice);
    check(&[("f", file, b"x"), ("f/x", file, b"")], "`f/x` is in the archive twice");
    check(&[("f", file, b"x"), ("f", directory, b"")], "`f` is in the archive twice");
    let late = "`h` is a hard link to a file that the archive does not hold";
    check(&[("h", EntryType::Link, b"x"), ("x", file, b"")], late);
    check(&[("d", directory, b""), ("h", EntryType::Link, b"d")], late);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let setting = Setting::new(None);
    let (file, link) = (EntryType::Regular, EntryType::Symlink);
    let entries: TarEntries<'_> = &[
        ("a", file, b"old"),
        ("a", file, b"new"),
        ("b", file, b"old"),
        ("b", link, b"a"),
        ("c", link, b"a"),
        ("c", file, b"new"),
        ("d", EntryType::Link, b"b"),
        ("a", EntryType::Link, b"a"),
    ];
    let dir = tempfile::tempdir().expect("a temp directory");
    unpack(&setting, &tar_of(entries), dir.path()).expect("unpacked");
    assert_eq!(census(dir.path()), (2, 2));
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect(name);
    assert_eq!(
        (read("a"), read("b"), read("c"), read("d")),
        ("new".into(), "new".into(), "new".into(), "new".into())
    );
}

#[test]
fn a_tree_is_refused_where_the_checksum_differs() {
    let mut setting = Setting::new(None);
    setting.checksum = Some(Expected::new(Algorithm::Md5, &"0".repeat(32)).expect("a hash"));
    let dir = tempfile::tempdir().expect("a temp directory");
    let error = unpack(&setting, &tar_of(RELEASE), dir.path()).expect_err("differs");
    assert!(error.to_string().ends_with(&format!("expected {}", "0".repeat(32))), "{error}");
}

#[test]
fn files_with_holes_of_gnu_tar_come_out_whole_and_keep_their_holes() {
    let dir = tempfile::tempdir().expect("a temp directory");
    let hole = dir.path().join("hole");
    let file = std::fs::File::create(&hole).expect("a file");
    for (at, bytes) in [(1 << 20, &b"one"[..]), (2 << 20, b"two")] {
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, at).expect("written");
    }
    file.set_len(3 << 20).expect("longer");
    let pack = |form: &[&str]| {
        let mut tar = std::process::Command::new("tar");
        tar.args(form).args(["-S", "-cf", "-", "-C"]).arg(dir.path()).arg("hole").output()
    };
    for form in [&["--format=gnu"][..], &["--format=posix"]] {
        let Some(packed) = pack(form).ok().filter(|packed| packed.status.success()) else {
            return; // The system has another tar.
        };
        let out = tempfile::tempdir().expect("a temp directory");
        unpack(&Setting::new(None), &packed.stdout, out.path()).expect("unpacked");
        let unpacked = out.path().join("hole");
        assert!(
            std::fs::read(&unpacked).expect("a file") == std::fs::read(&hole).expect("a file"),
            "{form:?}"
        );
        let blocks = unpacked.symlink_metadata().expect("a file").blocks();
        assert!(blocks * 512 < 2 << 20, "{form:?}: {blocks} blocks");
    }
}
