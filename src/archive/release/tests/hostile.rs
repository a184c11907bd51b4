//! Archives that are cut off, flipped, or made to hurt.

use proptest::prelude::*;

use super::*;

#[test]
fn whatever_is_cut_off_is_noticed() {
    let setting = Setting::new(None);
    for (format, bytes) in formats(RELEASE) {
        // The two blocks of zeros at the end of a plain tar may lose all but one block.
        let end = if format == Format::Tar { bytes.len() - 1024 } else { bytes.len() };
        // Cutting off the last of several whole members is noticed by the tar inside, a skippable frame is not.
        let end = if format == Format::TarZstd { end - 14 } else { end };
        for cut in (0..end).step_by(if end > 2_000 { 37 } else { 1 }).chain([end - 1]) {
            let result = setting.list_bytes(&bytes[..cut]);
            assert!(result.is_err(), "{format} of {} cut to {cut}", bytes.len());
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_the_checksum_differs() {
    let mut setting = Setting::new(None);
    for (format, bytes) in formats(RELEASE) {
        let digest = Sha256Digest::of(&bytes).to_string();
        setting.checksum = Some(Expected::new(Algorithm::Sha256, &digest).expect("a hash"));
        for position in (0..bytes.len()).step_by(bytes.len().div_ceil(300)) {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << (position % 8);
            let good = setting.list_bytes(&flipped).is_ok_and(|(_, extracted)| extracted.checksum_ok());
            assert!(!good, "{format} at {position}");
        }
    }
}

#[test]
fn hostile_entries_are_refused() {
    let setting = Setting::new(Some("top"));
    let check = |name: &str, kind: EntryType, content: &[u8], expect: &str| {
        let tar = tar_of(&[("top/x", EntryType::Regular, b"x"), (name, kind, content)]);
        assert_eq!(
            setting.refusal(&tar),
            format!("the archive: the archive is refused: `{expect}"),
            "{name}"
        );
    };
    let file = EntryType::Regular;
    check("../evil", file, b"x", "../evil` has `..` in its name");
    check("top/../../evil", file, b"x", "top/../../evil` has `..` in its name");
    check("/etc/passwd", file, b"x", "/etc/passwd` is absolute");
    check("/etc", EntryType::Directory, b"", "/etc` is absolute");
    check("top/device", EntryType::Char, b"", "top/device` is a device");
    check("other/device", EntryType::Block, b"", "other/device` is a device");
    check("top/pipe", EntryType::Fifo, b"", "top/pipe` is a pipe");
    check("top/what", EntryType::new(b'Q'), b"", "top/what` is of a kind that no cache holds");
    check(
        "top/h",
        EntryType::Link,
        b"../../etc/passwd",
        "top/h` is a hard link to something outside the cache",
    );
    check("top/h", EntryType::Link, b"/etc/passwd", "top/h` is a hard link to something outside the cache");
    let outside = "top/h` is a hard link to something outside the cache";
    check("top/h", EntryType::Link, b"other/x", outside);
    check("top/s", EntryType::Symlink, b"", "top/s` is a link to nothing");
    let name = vec![b'a'; 4097];
    let long = tar_of(&[("././@LongLink", EntryType::GNULongName, &name), ("top/x", file, b"x")]);
    let refusal = setting.refusal(&long);
    assert!(refusal.ends_with("a` has a name of more than 4096 bytes"), "{refusal}");
    for name in ["../evil", "/evil", "a/../../evil"] {
        let refusal = setting.refusal(&zip_of(&[(name, file, b"x")]));
        assert!(refusal.starts_with("the archive: the archive is refused: "), "{refusal}");
    }
}

#[test]
fn bombs_are_bounded() {
    let mut setting = Setting::new(None);
    let zeros = vec![0; 8 << 20];
    let large = "the archive: the archive is refused: it holds more than 4194304 bytes";
    for (format, bytes) in formats(&[("zeros", EntryType::Regular, &zeros)]) {
        assert_eq!(setting.refusal(&bytes), large, "{format}");
    }
    // Behind the end mark of the tar.
    let trailing = [tar_of(RELEASE), zeros.clone()].concat();
    assert_eq!(setting.refusal(&gzip(&trailing)), large);
    // A file of holes, much larger than the archive.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_path("holes").expect("short");
    header.set_size(0);
    let gnu = header.as_gnu_mut().expect("made as one");
    gnu.set_real_size(1 << 60);
    gnu.sparse[0].set_offset(1 << 60);
    gnu.sparse[0].set_length(0);
    header.set_cksum();
    let mut sparse = header.as_bytes().to_vec();
    sparse.extend([0; 1024]);
    assert!(!setting.refusal(&sparse).is_empty());
    // A name of eight million letters and more.
    setting.limits.bytes = 1 << 30;
    let name = vec![b'a'; (8 << 20) + 10];
    let long = tar_of(&[("././@LongLink", EntryType::GNULongName, &name), ("a", EntryType::Regular, b"")]);
    assert_eq!(
        setting.refusal(&gzip(&long)),
        format!(
            "the archive: the archive is refused: it holds more than {} bytes of headers of one entry",
            8 << 20
        )
    );
    setting.limits.entries = 9;
    let names: Vec<_> = (0..10).map(|number| format!("directory {number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), EntryType::Directory, &b""[..])).collect();
    for (format, bytes) in formats(&many) {
        assert_eq!(
            setting.refusal(&bytes),
            "the archive: the archive is refused: it holds more than 9 entries",
            "{format}"
        );
    }
}

proptest! {
    #[test]
    fn mutilated_archives_never_panic_nor_hang(
        format in 0usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = formats(RELEASE).swap_remove(format).1;
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let directory = tempfile::tempdir().expect("a temp directory");
        let setting = Setting::new(None);
        let _ = setting.with(|options| unpack_tree(stream(&bytes), options, directory.path()));
        let _ = setting.list_lossy(&bytes);
    }
}
