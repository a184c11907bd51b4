//! Whole trees, honest and hostile.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;

fn unpack(setting: &Setting, bytes: &[u8], folder: &Path) -> Result<Unpacked, ReleaseError> {
    setting.with(|options| unpack_tree(stream(bytes), options, folder))
}

#[test]
fn a_tree_has_its_modes_dates_and_links() {
    let setting = Setting::new(Some("top/data"));
    let folder = tempfile::tempdir().expect("a temp directory");
    let unpacked = unpack(&setting, &gzip(&tar_of(RELEASE)), folder.path()).expect("unpacked");
    assert_eq!((unpacked.files, unpacked.symlinks), (3, 1));
    let at = |name: &str| folder.path().join(name);
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
fn nothing_is_written_through_links_nor_over_folders() {
    let setting = Setting::new(None);
    let outside = tempfile::tempdir().expect("a temp directory");
    let target = outside.path().as_os_str().as_encoded_bytes();
    let (file, folder, link) = (EntryType::Regular, EntryType::Directory, EntryType::Symlink);
    let check = |entries: Entries<'_>, expect: &str| {
        let dir = tempfile::tempdir().expect("a temp directory");
        let error = unpack(&setting, &tar_of(entries), dir.path()).expect_err(expect);
        assert_eq!(error.to_string(), format!("the archive: refused entry {expect}"));
        assert_eq!(std::fs::read_dir(outside.path()).expect("readable").count(), 0);
    };
    let through = "`l/x`: it would be written through a link";
    check(&[("l", link, target), ("l/x", file, b"x")], through);
    check(&[("l", link, target), ("l/x", folder, b"")], through);
    check(&[("l", link, b"."), ("l/x", EntryType::Link, b"l")], through);
    check(&[("d/x", file, b"x"), ("d", link, target)], "`d`: a folder of this name came before");
    check(&[("d/x", file, b"x"), ("d", file, b"")], "`d`: a folder of this name came before");
    let needed = "`f`: a file came before where a folder is needed";
    check(&[("f", file, b"x"), ("f/x", file, b"")], needed);
    check(&[("f", file, b"x"), ("f", folder, b"")], needed);
    let late = "`h`: a hard link to a file that did not come before it";
    check(&[("h", EntryType::Link, b"x"), ("x", file, b"")], late);
    check(&[("d", folder, b""), ("h", EntryType::Link, b"d")], late);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let setting = Setting::new(None);
    let (file, link) = (EntryType::Regular, EntryType::Symlink);
    let entries: Entries<'_> = &[
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
    let unpacked = unpack(&setting, &tar_of(entries), dir.path()).expect("unpacked");
    assert_eq!((unpacked.files, unpacked.symlinks), (2, 2));
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
