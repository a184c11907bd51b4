//! What the tests of archives share: a tree with everything in it, a listing that shows differences, and
//! packing and unpacking in memory.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use cachekeep::archive::{
    self, ArchiveError, Destination, Levels, Limits, PackRequest, Packed, Splitter, UnpackRequest, Unpacked,
    Verified,
};
use cachekeep::domain::event::{Meter, Phase};
use cachekeep::parts::Selection;
use filetime::FileTime;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

pub(crate) const LIMITS: Limits = Limits { bytes: 64 << 20, entries: 10_000 };

/// Packs the tree below a root.
pub(crate) fn pack(root: &Path) -> (Vec<u8>, Packed) {
    try_pack(&[Selection::everything(root)], None).expect("packed")
}

pub(crate) fn try_pack(
    selections: &[Selection],
    last: Option<&Path>,
) -> Result<(Vec<u8>, Packed), ArchiveError> {
    let mut bytes = Vec::new();
    let packed =
        archive::pack(&pack_request(selections, last), &mut bytes, &CancellationToken::new(), &meter())?;
    Ok((bytes, packed))
}

pub(crate) fn pack_request<'a>(selections: &'a [Selection], last: Option<&'a Path>) -> PackRequest<'a> {
    PackRequest { cache: "c", selections, last, workers: 2, levels: Levels::default(), producer: "test 1" }
}

pub(crate) fn meter() -> std::sync::Arc<Meter> {
    Meter::new("c", Phase::Save)
}

/// Unpacks an archive of one root into a directory.
pub(crate) fn unpack(bytes: impl Read + Send, directory: &Path) -> Result<Unpacked, ArchiveError> {
    let request = UnpackRequest {
        destinations: vec![Destination {
            prefix: ".cachekeep/c".to_owned(),
            directory: directory.to_owned(),
        }],
        workers: 2,
        foreign: LIMITS,
    };
    archive::unpack(request, Splitter::behind_manifest(bytes)?, &CancellationToken::new(), &meter())
}

pub(crate) fn verify(bytes: &[u8], workers: usize) -> Result<Verified, ArchiveError> {
    archive::verify(bytes, workers, LIMITS, &CancellationToken::new(), &meter())
}

/// Bytes that do not compress, the same every time.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(length).collect()
}

/// A small generator (xorshift64*), so that a seed gives the same cases for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }
}

/// Fills a directory with one of everything that a cache can hold.
pub(crate) fn plant(root: &Path) {
    let file = |name: &OsStr, content: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    };
    file("plain.txt".as_ref(), b"plain\n");
    file("empty".as_ref(), b"");
    file("a/deep/er/file".as_ref(), b"deep");
    file("block".as_ref(), &[7; 512]);
    file("noise".as_ref(), &noise(3_000_001, 5));
    file("large".as_ref(), &b"the quick brown fox jumps over the lazy dog\n".repeat(200_000));
    file("Ünïcödé/日本語.txt".as_ref(), b"unicode");
    file("a name/with  spaces".as_ref(), b"odd");
    file(format!("long/{}/{}", "d".repeat(200), "n".repeat(250)).as_ref(), b"long");
    file(format!("exactly/{}", "x".repeat(100 - ".cachekeep/c/exactly/".len())).as_ref(), b"100");
    file("mode/program".as_ref(), b"suid");
    file("mode/read-only".as_ref(), b"no");
    file("mode/owner-only".as_ref(), b"nothing");
    fs::create_dir_all(root.join("empty-directory/inside")).expect("a directory");
    fs::create_dir_all(root.join("read-only-directory")).expect("a directory");
    file("read-only-directory/file".as_ref(), b"kept");
    let mut gaps = vec![0; 1 << 20];
    gaps[300_000] = 1;
    file("gaps".as_ref(), &gaps);
    fs::hard_link(root.join("noise"), root.join("a/noise-again")).expect("a link");
    fs::hard_link(root.join("plain.txt"), root.join("zz-plain")).expect("a link");
    fs::hard_link(root.join("plain.txt"), root.join("mode/plain")).expect("a link");
    #[cfg(unix)]
    plant_of_unix(root);
    // Innermost first, because a change inside changes the time of a directory.
    let mut paths = list(root).into_iter().map(|line| line.path).collect::<Vec<_>>();
    paths.reverse();
    let times = [(1_700_000_000, 123_456_789), (0, 0), (-5, 250_000_000), (8_589_934_592, 0), (1, 1)];
    for (path, (seconds, nanoseconds)) in paths.iter().zip(times.iter().cycle()) {
        let time = FileTime::from_unix_time(*seconds, *nanoseconds);
        filetime::set_symlink_file_times(root.join(path), time, time).expect("a time");
    }
}

/// What not every system can hold: names of any bytes, symbolic links and modes.
#[cfg(unix)]
fn plant_of_unix(root: &Path) {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fs::create_dir(root.join("raw")).expect("a directory");
    for name in [&b"\xff\xfe\x80name"[..], b"new\nline and  spaces "] {
        fs::write(root.join("raw").join(OsStr::from_bytes(name)), "raw").expect("a file");
    }
    for (target, name) in [
        ("plain.txt", "link"),
        ("nowhere/at/all", "dangling"),
        ("/etc/passwd", "absolute-link"),
        ("a/deep", "directory-link"),
        ("../../..", "a/upward"),
        (&"t".repeat(300), "long-target"),
    ] {
        symlink(target, root.join(name)).expect("a link");
    }
    symlink(OsStr::from_bytes(b"\xffraw"), root.join("raw-target")).expect("a link");
    for (name, mode) in [
        ("mode/program", 0o711),
        ("mode/read-only", 0o444),
        ("mode/owner-only", 0o400),
        ("empty-directory", 0o777),
        ("read-only-directory", 0o555),
        ("plain.txt", 0o640),
    ] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
}

/// What is known of one path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) path: PathBuf,
    pub(crate) what: String,
}

/// Everything about a tree that an archive keeps, by path.
pub(crate) fn list(root: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    collect(root, Path::new(""), &mut lines, &mut HashMap::new());
    lines
}

fn collect(root: &Path, relative: &Path, lines: &mut Vec<Line>, names: &mut HashMap<u64, PathBuf>) {
    let full = root.join(relative);
    let metadata = fs::symlink_metadata(&full).expect("facts");
    let kind = metadata.file_type();
    let Inode { number, links, mode } = Inode::of(&metadata);
    let content = if kind.is_symlink() {
        let target = fs::read_link(&full).expect("a target");
        format!("link {}", target.as_os_str().as_encoded_bytes().escape_ascii())
    } else if kind.is_dir() {
        "directory".to_owned()
    } else if links > 1 && names.contains_key(&number) {
        format!("same as {}", names[&number].display())
    } else {
        names.insert(number, relative.to_owned());
        let digest = if metadata.len() > 1 << 30 {
            "huge".to_owned()
        } else {
            data_encoding::HEXLOWER.encode(&Sha256::digest(fs::read(&full).expect("content")))
        };
        format!("file of {} {digest} {links}", metadata.len())
    };
    let mode = if kind.is_symlink() { 0 } else { mode };
    let time = FileTime::from_last_modification_time(&metadata);
    let what = format!("{content} {mode:o} {}.{:09}", time.unix_seconds(), time.nanoseconds());
    lines.push(Line { path: relative.to_owned(), what });
    if kind.is_dir() {
        let mut children: Vec<_> =
            fs::read_dir(&full).expect("listed").map(|entry| entry.expect("an entry").file_name()).collect();
        children.sort();
        for child in children {
            collect(root, &relative.join(child), lines, names);
        }
    }
}

/// What std knows of an inode on Unix alone.
struct Inode {
    number: u64,
    links: u64,
    mode: u32,
}

impl Inode {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Inode { number: metadata.ino(), links: metadata.nlink(), mode: metadata.mode() & 0o7777 }
    }

    #[cfg(not(unix))]
    fn of(_: &fs::Metadata) -> Self {
        Inode { number: 0, links: 1, mode: 0 }
    }
}

/// Fails with the lines that differ.
pub(crate) fn assert_same_tree(expected: &Path, found: &Path) {
    let (expected, found) = (list(expected), list(found));
    let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let extra: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "expected {missing:#?}\nfound {extra:#?}");
}

/// The length of each frame of an archive, from its seek table.
pub(crate) fn frame_ends(archive: &[u8]) -> Vec<usize> {
    let footer = &archive[archive.len() - 9..];
    let count = u32::from_le_bytes(footer[..4].try_into().expect("four")) as usize;
    let table = &archive[archive.len() - 9 - count * 8..archive.len() - 9];
    let mut end = 0;
    let mut ends: Vec<usize> = table
        .chunks(8)
        .map(|entry| {
            end += u32::from_le_bytes(entry[..4].try_into().expect("four")) as usize;
            end
        })
        .collect();
    ends.push(archive.len());
    ends
}
