//! Archives that were damaged, or made to do harm, are refused or give the identical tree; and nothing
//! outside of the destination is ever touched.

use std::fs;
use std::path::Path;

use cachekeep::archive::ArchiveError;
use tar::{EntryType, Header};

use crate::archive::packing::{
    LIMITS, Random, assert_same_tree, frame_ends, list, noise, pack, plant, unpack, verify,
};

/// How many random cases; more with `CACHEKEEP_TEST_CASES`.
#[expect(clippy::disallowed_methods, reason = "a test may be asked for more cases")]
fn cases(normal: usize) -> usize {
    std::env::var("CACHEKEEP_TEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(normal)
}

/// A place to unpack to, with a neighbor that must stay as it is.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("outside")).expect("a directory");
        fs::write(directory.path().join("outside/victim"), "untouched").expect("a file");
        fs::create_dir(directory.path().join("target")).expect("a directory");
        Place { directory }
    }

    fn target(&self) -> std::path::PathBuf {
        self.directory.path().join("target")
    }

    fn assert_outside_untouched(&self) {
        let names: Vec<_> = list(self.directory.path())
            .into_iter()
            .map(|line| line.path)
            .filter(|path| !path.starts_with("target"))
            .collect();
        assert_eq!(names, ["", "outside", "outside/victim"].map(Path::new));
        let victim = self.directory.path().join("outside/victim");
        assert_eq!(fs::read_to_string(&victim).expect("read"), "untouched");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(victim).expect("facts")), 1);
    }
}

/// An entry of a tar stream, written without the care that a library takes.
fn entry(kind: u8, name: &[u8], target: &[u8], size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let fields = header.as_ustar_mut().expect("ustar");
    fields.name[..name.len()].copy_from_slice(name);
    fields.linkname[..target.len()].copy_from_slice(target);
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &[u8]) -> Vec<u8> {
    entry(b'0', name, b"", 4, b"evil")
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = entries.concat();
    stream.extend([0; 1024]);
    zstd::encode_all(&stream[..], 1).expect("zstd")
}

fn check(entries: &[Vec<u8>], expect: &str) {
    let place = Place::new();
    let error = unpack(&archive(entries)[..], &place.target()).expect_err(expect).to_string();
    assert!(error.contains(expect), "`{error}` does not say `{expect}`");
    place.assert_outside_untouched();
}

#[test]
fn names_that_leave_the_root_are_refused() {
    check(&[file(b"../outside/victim")], "has `..` in its name");
    check(&[file(b".cachekeep/c/../../../outside/x")], "has `..` in its name");
    check(&[file(b"/tmp/cachekeep-evil")], "is absolute");
    check(&[file(b"outside")], "lies outside the cache");
    check(&[file(b".cachekeep/d/x")], "lies outside the cache");
    check(&[file(b".cachekeep")], "is in the way of the cache");
    check(&[entry(b'2', b".cachekeep/c", b"/tmp", 0, b"")], "is a link in the place of a root of the cache");
    check(&[file(b".cachekeep/c/x"), file(b".cachekeep/c")], "is in the archive twice");
    check(&[file(b".cachekeep/c"), file(b".cachekeep/c/x")], "is in the archive twice");
    let records = b"26 path=.cachekeep/c/../x\n";
    let pax = entry(b'x', b"p", b"", records.len() as u64, records);
    check(&[pax, file(b".cachekeep/c/x")], "has `..` in its name");
    let long = entry(b'L', b"l", b"", 16, b".cachekeep/../x\0");
    check(&[long, file(b".cachekeep/c/x")], "has `..` in its name");
}

#[test]
fn nothing_is_written_through_a_link() {
    let link = |name: &[u8], target: &[u8]| entry(b'2', name, target, 0, b"");
    let (there, up) = (b".cachekeep/c/l", b"../outside");
    for order in [0, 1] {
        let mut entries = vec![link(there, up), file(b".cachekeep/c/l/victim")];
        entries.rotate_left(order);
        check(&entries, "is in the archive twice, as different things");
        let mut entries = vec![link(there, up), link(b".cachekeep/c/l/x", b"anything")];
        entries.rotate_left(order);
        check(&entries, "is in the archive twice, as different things");
        let mut entries = vec![link(there, up), entry(b'5', b".cachekeep/c/l", b"", 0, b"")];
        entries.rotate_left(order);
        check(&entries, "is in the archive twice, as different things");
        let mut entries = vec![link(there, b"../outside/victim"), file(there)];
        entries.rotate_left(order);
        check(&entries, "is in the archive twice, as different things");
    }
    let kept = file(b".cachekeep/c/f");
    let hard = entry(b'1', b".cachekeep/c/l/x", b".cachekeep/c/f", 0, b"");
    check(&[kept, link(there, up), hard], "is in the archive twice, as different things");
    check(&[file(b".cachekeep/c/f"), file(b".cachekeep/c/f/g")], "is in the archive twice");
}

#[test]
fn hard_links_only_join_files_of_the_archive() {
    let hard = |target: &[u8]| entry(b'1', b".cachekeep/c/h", target, 0, b"");
    check(&[hard(b"../outside/victim")], "is a hard link to something outside the cache");
    check(&[hard(b"/etc/passwd")], "is a hard link to something outside the cache");
    check(&[hard(b".cachekeep")], "is a hard link to something outside the cache");
    check(&[hard(b".cachekeep/c/none")], "is a hard link to a file that the archive does not hold");
    check(&[hard(b".cachekeep/c/h")], "is a hard link to a file that the archive does not hold");
    check(&[hard(b".cachekeep/c")], "is a hard link to a file that the archive does not hold");
    let link = entry(b'2', b".cachekeep/c/l", b"../outside/victim", 0, b"");
    check(&[link, hard(b".cachekeep/c/l")], "is a hard link to a file that the archive does not hold");
    let link = entry(b'2', b".cachekeep/c/l", b"../outside", 0, b"");
    check(&[link, hard(b".cachekeep/c/l/victim")], "is a hard link to a file that the archive does not hold");
}

#[test]
fn what_no_cache_holds_is_refused() {
    let of_kind = |kind: u8| [entry(kind, b".cachekeep/c/x", b"", 0, b"")];
    check(&of_kind(b'3'), "is a device");
    check(&of_kind(b'4'), "is a device");
    check(&of_kind(b'6'), "is a pipe");
    check(&of_kind(b'S'), "is stored with a sparse map");
    for kind in [b'7', b'V', b'D', b'Z', 200] {
        check(&of_kind(kind), "is of a kind that no cache holds");
    }
    check(&of_kind(b'2'), "is a link to nothing");
    check(&[entry(b'5', b".cachekeep/c/x", b"", 4, b"evil")], "has content, but is not a file");
    let records = b"22 GNU.sparse.major=1\n";
    check(&[entry(b'x', b"p", b"", 22, records), file(b".cachekeep/c/x")], "sparse maps");
    let records = b"18 path=elsewhere\n";
    check(&[entry(b'g', b"p", b"", 18, records), file(b".cachekeep/c/x")], "one name or size to all");
    let pax = entry(b'x', b"p", b"", 0, b"");
    check(&[pax.clone(), pax.clone(), file(b".cachekeep/c/x")], "two PAX headers");
    check(&[pax], "missing after its extensions");
}

#[test]
fn absurd_sizes_and_bombs_are_stopped() {
    check(&[entry(b'0', b".cachekeep/c/x", b"", u64::MAX >> 1, b"")], "it holds more than 67108864 bytes");
    check(&[entry(b'0', b".cachekeep/c/x", b"", 1 << 20, b"")], "its tar stream ends in the middle");
    check(&[entry(b'x', b"p", b"", 1 << 40, b"")], "absurdly long extensions");
    let many: Vec<_> = (0..=LIMITS.entries).map(|i| file(format!(".cachekeep/c/{i}").as_bytes())).collect();
    check(&many, "it holds more than 10000 entries");
    // 128 MiB of zeros in a few kilobytes, as one file and as what follows the end.
    let zeros = vec![0; 128 << 20];
    let mut stream = entry(b'0', b".cachekeep/c/x", b"", zeros.len() as u64, b"");
    stream.extend(&zeros);
    check(&[stream], "it holds more than 67108864 bytes");
    check(&[file(b".cachekeep/c/x"), zeros], "something follows the end of its tar stream");
    check(&[file(b".cachekeep/c/x"), vec![0; 1024], vec![1; 512]], "something follows the end");
}

#[test]
fn later_entries_replace_earlier_ones_only_in_archives_of_others() {
    let place = Place::new();
    let again = entry(b'0', b".cachekeep/c/x", b"", 3, b"new");
    unpack(&archive(&[file(b".cachekeep/c/x"), again])[..], &place.target()).expect("unpacked");
    assert_eq!(fs::read(place.target().join("x")).expect("read"), b"new");
    place.assert_outside_untouched();
}

#[test]
fn a_destination_that_is_not_empty_is_left_alone() {
    let place = Place::new();
    fs::write(place.target().join("x"), "kept").expect("a file");
    let error = unpack(&archive(&[file(b".cachekeep/c/x")])[..], &place.target()).expect_err("a refusal");
    assert!(error.to_string().starts_with("cannot unpack into"), "{error}");
    assert_eq!(fs::read(place.target().join("x")).expect("read"), b"kept");
}

#[test]
fn data_that_is_no_archive_is_refused() {
    let check = |bytes: &[u8], expect: &str| {
        let place = Place::new();
        for error in [
            unpack(bytes, &place.target()).expect_err(expect).to_string(),
            verify(bytes, 0).expect_err(expect).to_string(),
        ] {
            assert!(error.contains(expect), "`{error}` does not say `{expect}`");
        }
    };
    check(b"", "it is empty");
    check(b"abc", "it ends in the middle");
    check(b"not an archive at all", "no zstd frame at byte 0");
    check(&zstd::encode_all(&b""[..], 1).expect("zstd"), "it is empty");
    check(&zstd::encode_all(&[1; 512][..], 1).expect("zstd"), "a header does not parse");
    check(&0x184D_2A57_u32.to_le_bytes(), "it ends in the middle");
    check(&[0x57, 0x2A, 0x4D, 0x18, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3], "it ends in the middle");
}

/// Frames of every kind: several of data, and entries of every kind.
fn sample() -> (tempfile::TempDir, Vec<u8>) {
    let from = tempfile::tempdir().expect("a directory");
    plant(from.path());
    let (bytes, _) = pack(from.path());
    (from, bytes)
}

/// A sample of one small frame, so that every byte of it can be tried.
fn small_sample() -> (tempfile::TempDir, Vec<u8>) {
    let from = tempfile::tempdir().expect("a directory");
    fs::write(from.path().join("a"), noise(300, 3)).expect("a file");
    fs::create_dir(from.path().join("d")).expect("a directory");
    fs::write(from.path().join("d/text"), "some text ".repeat(100)).expect("a file");
    #[cfg(unix)]
    std::os::unix::fs::symlink("a", from.path().join("l")).expect("a link");
    fs::hard_link(from.path().join("a"), from.path().join("d/h")).expect("a link");
    let (bytes, _) = pack(from.path());
    (from, bytes)
}

#[test]
fn a_truncated_archive_is_refused() {
    let (_from, bytes) = sample();
    let mut random = Random(11);
    let mut ends = frame_ends(&bytes);
    ends.pop();
    ends.extend((0..50).map(|_| random.below(bytes.len())));
    ends.extend(bytes.len() - 30..bytes.len());
    for end in ends {
        let place = Place::new();
        let error = unpack(&bytes[..end], &place.target()).expect_err("a refusal");
        assert!(matches!(error, ArchiveError::Damaged(_)), "{end}: {error}");
        assert!(matches!(verify(&bytes[..end], 0), Err(ArchiveError::Damaged(_))), "{end}");
    }
    let (_from, bytes) = small_sample();
    for end in 0..bytes.len() {
        assert!(matches!(verify(&bytes[..end], 0), Err(ArchiveError::Damaged(_))), "{end}");
    }
}

#[test]
fn frames_that_are_missing_doubled_or_swapped_are_refused() {
    let (_from, bytes) = sample();
    let mut ends = vec![0];
    ends.extend(frame_ends(&bytes));
    let frames: Vec<&[u8]> = ends.windows(2).map(|window| &bytes[window[0]..window[1]]).collect();
    assert!(frames.len() > 8);
    let check = |frames: &[&[u8]]| {
        assert!(verify(&frames.concat(), 2).is_err());
    };
    for at in 0..frames.len() {
        let mut without = frames.clone();
        without.remove(at);
        // Without manifest, digest and table it would be another program's archive, but not with either.
        check(&without);
        let mut doubled = frames.clone();
        doubled.insert(at, frames[at]);
        check(&doubled);
        if at > 0 {
            let mut swapped = frames.clone();
            swapped.swap(at - 1, at);
            check(&swapped);
        }
    }
    check(&[&bytes, b"x"]);
    check(&[&bytes, &bytes]);
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing() {
    let (from, bytes) = small_sample();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(_) = verify(&flipped, 0) else { continue };
        let place = Place::new();
        unpack(&flipped[..], &place.target()).expect("what verifies unpacks");
        assert_same_tree(from.path(), &place.target());
    }
}

#[test]
fn random_flipped_bits_are_refused_or_change_nothing() {
    let (from, bytes) = sample();
    let mut random = Random(0x5EED);
    let mut refused = 0;
    let cases = cases(300);
    for _ in 0..cases {
        let bit = random.below(bytes.len() * 8);
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let place = Place::new();
        match unpack(&flipped[..], &place.target()) {
            Ok(_) => assert_same_tree(from.path(), &place.target()),
            Err(_) => refused += 1,
        }
        place.assert_outside_untouched();
    }
    assert_eq!(refused, cases, "a digest misses no bit");
}
