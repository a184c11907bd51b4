//! Thin archives: every generation comes back exactly from the archives that it takes content from, and what is damaged, missing or
//! hostile is refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use cachekeep::archive::{
    self, ArchiveError, AssembleRequest, Base, Composite, Destination, Frames, Listing, Packed, Parent,
    SegmentRange, Unpacked,
};
use cachekeep::parts::Selection;
use filetime::FileTime;
use tokio_util::sync::CancellationToken;

use super::packing::{Random, meter, noise, pack, pack_request, plant, unpack, verify};
use super::sealed::{manifest_frame, rows, seal_with_list};
use cachekeep_test_support::tree::snapshot;

/// Archives by their number, which is the key that thin ones know them by.
#[derive(Default)]
struct Archives(Vec<Vec<u8>>);

fn read(archive: &[u8], parts: &[Range<u64>]) -> Vec<Bytes> {
    let at = |position: u64| usize::try_from(position).expect("in memory").min(archive.len());
    parts.iter().map(|part| Bytes::copy_from_slice(&archive[at(part.start)..at(part.end)])).collect()
}

impl Archives {
    fn of(root: &Path) -> Self {
        Archives(vec![pack(root).0])
    }

    fn listing(&self, index: usize) -> Result<Listing, ArchiveError> {
        let archive = &self.0[index];
        let listing =
            archive::read_listing(archive.len() as u64, |parts| Ok::<_, ArchiveError>(read(archive, parts)))?;
        listing.ok_or_else(|| ArchiveError::Damaged("no list".to_owned()))
    }

    fn numbers(listing: &Listing) -> Vec<usize> {
        listing.manifest.parents.iter().map(|parent| parent.key.parse().expect("a number")).collect()
    }

    fn frames(&self, listing: &Listing) -> Result<Vec<Frames>, ArchiveError> {
        let numbers = Self::numbers(listing);
        let parents = listing.manifest.parents.iter().zip(numbers);
        let frames = |(parent, number): (&Parent, usize)| {
            archive::read_frames(parent, |parts| Ok::<_, ArchiveError>(read(&self.0[number], parts)))
        };
        parents.map(frames).collect()
    }

    /// Saves a tree as a thin archive on an earlier one.
    fn save(&mut self, root: &Path, base: usize) -> Packed {
        let listing = self.listing(base).expect("a list");
        let frames = self.frames(&listing).expect("frames");
        let parent = Parent {
            key: base.to_string(),
            version: "v".to_owned(),
            archive_bytes: self.0[base].len() as u64,
            stream_bytes: listing.manifest.stream_bytes,
            digest: listing.digest.to_string(),
        };
        let selections = [Selection::everything(root)];
        let (request, cancel) = (pack_request(&selections, None), CancellationToken::new());
        let survey =
            archive::survey(&request, &cancel, &meter()).expect("surveyed").expect("not too many files");
        let base = Base { parent, listing: &listing, frames: &frames };
        let division = archive::divide(survey, &base).expect("divided");
        let mut bytes = Vec::new();
        let packed = archive::pack_thin(&request, division, &mut bytes, &cancel, &meter()).expect("packed");
        assert_eq!(packed.archive_bytes, bytes.len() as u64);
        self.0.push(bytes);
        packed
    }

    /// The bytes of ranges of an archive and its parents.
    fn bytes_of(&self, index: usize, listing: &Listing, ranges: Vec<SegmentRange>) -> Vec<u8> {
        let segments: Vec<usize> = std::iter::once(index).chain(Self::numbers(listing)).collect();
        ranges
            .into_iter()
            .flat_map(|part| read(&self.0[segments[part.segment]], &[part.range]).concat())
            .collect()
    }

    /// Restores an archive; says how many bytes were read of frames.
    fn restore(&self, index: usize, to: &Path, targets: &Path) -> Result<(Unpacked, usize), ArchiveError> {
        let listing = self.listing(index)?;
        let frames = self.frames(&listing)?;
        let composite = Composite::new(&listing, &frames)?;
        let cancel = CancellationToken::new();
        let present = archive::candidates(&composite, &[targets.to_owned()])?.proven(2, &cancel)?;
        let request = AssembleRequest {
            destinations: vec![Destination { prefix: ".cachekeep/c".to_owned(), directory: to.to_owned() }],
            workers: index % 3,
            present,
        };
        let mut bytes_read = 0;
        let open = |ranges| {
            let bytes = self.bytes_of(index, &listing, ranges);
            bytes_read = bytes.len();
            Cursor::new(bytes)
        };
        let unpacked = archive::assemble(request, &composite, open, &cancel, &meter())?;
        Ok((unpacked, bytes_read))
    }

    fn verify(&self, index: usize) -> Result<(), ArchiveError> {
        let listing = self.listing(index)?;
        let frames = self.frames(&listing)?;
        let composite = Composite::new(&listing, &frames)?;
        let open = |ranges| Cursor::new(self.bytes_of(index, &listing, ranges));
        composite.verify(false, open, 1, &CancellationToken::new())
    }
}

fn nothing() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn write(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, content).expect("a file");
}

/// Two hundred files of some kilobytes, and a large one.
fn sample() -> (tempfile::TempDir, Archives) {
    let from = nothing();
    for index in 0..200 {
        write(from.path(), &format!("d{}/f{index}", index % 7), &noise(3_000, 1_000 + 2 * index));
    }
    write(from.path(), "large", &noise(9_000_000, 999));
    #[cfg(unix)]
    std::os::unix::fs::symlink("large", from.path().join("link")).expect("a link");
    let archives = Archives::of(from.path());
    (from, archives)
}

/// Changes a tree as a build does: files are written, added, removed, renamed, copied, touched.
fn change(root: &Path, random: &mut Random) {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a listing").flatten() {
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    for turn in 0..12 {
        let path = files[random.below(files.len())].clone();
        if !path.exists() {
            continue;
        }
        let beside = path.with_file_name(format!("made-{turn}-{}", random.below(1000)));
        match random.below(8) {
            0 => fs::write(&path, noise(random.below(20_000), random.next())).expect("written"),
            1 => fs::write(&beside, noise(random.below(20_000), random.next())).expect("written"),
            2 => fs::remove_file(&path).expect("removed"),
            3 => fs::rename(&path, &beside).expect("renamed"),
            4 => drop(fs::copy(&path, &beside).expect("copied")),
            5 => fs::hard_link(&path, &beside).expect("linked"),
            6 => {
                let time = FileTime::from_unix_time(1_500_000_000 + i64::from(turn), 123_456_789);
                filetime::set_file_mtime(&path, time).expect("touched");
            }
            _ => set_mode(&path),
        }
    }
}

/// Changes a mode, where files have modes.
fn set_mode(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("a mode");
    }
    #[cfg(not(unix))]
    assert!(path.exists());
}

#[test]
fn every_generation_comes_back_exactly() {
    let from = nothing();
    plant(from.path());
    let mut archives = Archives::of(from.path());
    let mut random = Random(20_261_128);
    for generation in 1..=14 {
        change(from.path(), &mut random);
        let packed = archives.save(from.path(), generation - 1);
        assert!(packed.manifest.parents.len() <= 8, "{generation}");
        assert_eq!(packed.manifest.parents[0].key, "0", "the base comes first");
        archives.verify(generation).expect("sound");
        let to = nothing();
        let (unpacked, _) = archives.restore(generation, to.path(), Path::new("/nowhere")).expect("restored");
        assert_eq!(snapshot(to.path()), snapshot(from.path()), "{generation}");
        // What a restore digests is what a full archive of the same tree gives.
        let (full, packed) = pack(from.path());
        let again = nothing();
        assert_eq!(unpack(&full[..], again.path()).expect("unpacked").content, unpacked.content);
        assert_eq!(packed.manifest.counts, unpacked.counts);
        // With the tree itself as the target nothing but empty ranges is needed.
        let to = nothing();
        let (_, bytes_read) = archives.restore(generation, to.path(), from.path()).expect("restored");
        assert_eq!(bytes_read, 0);
        assert_eq!(snapshot(to.path()), snapshot(from.path()), "{generation}");
    }
}

#[test]
fn what_changed_alone_is_stored() {
    let (from, mut archives) = sample();
    let full = archives.0[0].len();
    for index in 0..200 {
        let path = from.path().join(format!("d{}/f{index}", index % 7));
        filetime::set_file_mtime(path, FileTime::from_unix_time(1_600_000_000, index)).expect("touched");
    }
    archives.save(from.path(), 0);
    // The list and little else: times are in it.
    assert!(archives.0[1].len() < 200 * 64 + 2_000, "{}", archives.0[1].len());
    write(from.path(), "d3/f3", &noise(3_000, 77_777));
    fs::copy(from.path().join("d3/f3"), from.path().join("copy")).expect("a copy");
    archives.save(from.path(), 1);
    let grown = archives.0[2].len() - archives.0[1].len();
    assert!((3_000..4_500).contains(&grown), "a content is stored once: {grown} of {full}");
}

#[test]
fn what_is_present_is_not_read() {
    let (from, mut archives) = sample();
    let target = nothing();
    archives.restore(0, target.path(), Path::new("/nowhere")).expect("restored");
    write(from.path(), "d3/f3", &noise(3_000, 77_777));
    write(from.path(), "new", &noise(5_000, 88_888));
    archives.save(from.path(), 0);
    let to = nothing();
    let (_, bytes_read) = archives.restore(1, to.path(), target.path()).expect("restored");
    assert!((8_000..12_000).contains(&bytes_read), "{bytes_read}");
    // What is as it should be is linked; the target is what a restore replaces.
    #[cfg(unix)]
    {
        let names =
            |name| std::os::unix::fs::MetadataExt::nlink(&fs::metadata(to.path().join(name)).expect("there"));
        assert_eq!((names("d0/f0"), names("new")), (2, 1));
    }
    drop(target);
    assert_eq!(snapshot(to.path()), snapshot(from.path()));
    // Equal in size and time, and another content: it is read.
    let target = to;
    let path = target.path().join("d0/f0");
    let time = FileTime::from_last_modification_time(&fs::metadata(&path).expect("there"));
    fs::write(&path, noise(3_000, 4_711)).expect("written");
    filetime::set_file_mtime(&path, time).expect("a time");
    let to = nothing();
    archives.restore(1, to.path(), target.path()).expect("restored");
    drop(target);
    assert_eq!(snapshot(to.path()), snapshot(from.path()));
}

#[test]
fn parents_that_are_hardly_needed_are_left_behind() {
    let (from, mut archives) = sample();
    for generation in 1..=12_u64 {
        write(from.path(), &format!("own-{generation}"), &noise(4_000, 10_000 + 2 * generation));
        if generation == 3 {
            write(from.path(), "own-2", &noise(4_000, 20_000));
        }
        archives.save(from.path(), usize::try_from(generation - 1).expect("small"));
    }
    let parents = |index: usize| Archives::numbers(&archives.listing(index).expect("a list"));
    assert_eq!(parents(2), [0, 1]);
    // Nothing of the second one is in the tree any more.
    assert_eq!(parents(3), [0, 1]);
    assert_eq!(parents(9), [0, 1, 3, 4, 5, 6, 7, 8]);
    // Of more than eight the base alone stays, and all else is packed again.
    assert_eq!(parents(10), [0]);
    assert_eq!(parents(12), [0, 10, 11]);
    let to = nothing();
    archives.restore(12, to.path(), Path::new("/nowhere")).expect("restored");
    assert_eq!(snapshot(to.path()), snapshot(from.path()));
}

#[test]
fn a_parent_that_is_another_one_is_refused() {
    let (from, mut archives) = sample();
    write(from.path(), "d3/f3", &noise(3_000, 77_777));
    archives.save(from.path(), 0);
    let to = nothing();
    let other = Archives::of(from.path()).0.remove(0);
    archives.0[0] = other;
    let error = archives.restore(1, to.path(), Path::new("/nowhere")).expect_err("a refusal");
    assert!(error.is_damage(), "{error}");
    assert_eq!(fs::read_dir(to.path()).expect("a listing").count(), 0);
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    let from = nothing();
    for index in 0..5 {
        write(from.path(), &format!("f{index}"), &noise(200, index));
    }
    let mut archives = Archives::of(from.path());
    write(from.path(), "f2", &noise(150, 99));
    fs::hard_link(from.path().join("f2"), from.path().join("same")).expect("a link");
    archives.save(from.path(), 0);
    let expect = snapshot(from.path());
    // Making and removing files is slow on Windows.
    let step = if cfg!(windows) { 7 } else { 1 };
    for damaged in 0..2 {
        let mut refused = 0;
        for byte in (0..archives.0[damaged].len()).step_by(step) {
            let sound = archives.0[damaged][byte];
            archives.0[damaged][byte] ^= 1 << (byte % 8);
            let to = nothing();
            match archives.restore(1, to.path(), Path::new("/nowhere")) {
                Ok(_) => assert_eq!(snapshot(to.path()), expect, "byte {byte} of {damaged}"),
                Err(_) => refused += 1,
            }
            archives.0[damaged][byte] = sound;
        }
        assert!(refused > 200 / step, "{refused} of {damaged}");
    }
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    let (from, mut archives) = sample();
    write(from.path(), "d3/f3", &noise(3_000, 77_777));
    archives.save(from.path(), 0);
    let whole = archives.0[1].clone();
    for length in (0..whole.len()).step_by(whole.len() / 97) {
        archives.0[1] = whole[..length].to_vec();
        let to = nothing();
        assert!(archives.restore(1, to.path(), Path::new("/nowhere")).is_err(), "{length}");
    }
}

/// The thin archive of a small tree, with other rows and with another manifest.
fn forged(change: impl Fn(&mut Vec<u8>), manifest: impl Fn(&mut serde_json::Value)) -> Archives {
    let from = nothing();
    for name in ["aaaaaa", "bbbbbb", "cccccc"] {
        write(from.path(), name, name.repeat(90).as_bytes());
    }
    let mut archives = Archives::of(from.path());
    write(from.path(), "dddddd", b"new");
    archives.save(from.path(), 0);
    let thin = archives.0.pop().expect("a thin archive");
    let listing = {
        archives.0.push(thin.clone());
        archives.listing(1).expect("a list")
    };
    let mut json = serde_json::to_value(&listing.manifest).expect("JSON");
    manifest(&mut json);
    let mut raw = rows(&thin);
    change(&mut raw);
    let stream = zstd::decode_all(&thin[..]).expect("zstd");
    let json = serde_json::to_vec(&json).expect("JSON");
    let frame = manifest_frame(&[&b"cachekeep manifest\n"[..], &json].concat());
    archives.0[1] = seal_with_list(&frame, &stream, &raw);
    archives
}

fn replace(bytes: &mut [u8], what: &[u8], with: &[u8]) {
    let at = bytes.windows(what.len()).position(|window| window == what).expect("it is there");
    bytes[at..at + with.len()].copy_from_slice(with);
}

#[test]
fn hostile_lists_are_refused() {
    let restore = |archives: &Archives| {
        let (to, outside) = (nothing(), nothing());
        let inside = outside.path().join("root");
        fs::create_dir(&inside).expect("a directory");
        let result = archives.restore(1, to.path(), Path::new("/nowhere"));
        assert_eq!(fs::read_dir(outside.path()).expect("a listing").count(), 1);
        result
    };
    restore(&forged(|_| {}, |_| {})).expect("what is not changed is good");
    let check = |what: &[u8], with: &[u8], expect: &str| {
        let error = restore(&forged(|rows| replace(rows, what, with), |_| {})).expect_err(expect);
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(b"c/aaaaaa", b"c/../../", "..");
    check(b"c/aaaaaa", b"x/aaaaaa", "lies outside the cache");
    check(b".cachekeep/c/aaaaaa", b"/cachekeep/c/aaaaaa", "is absolute");
    check(b"aaaaaa", b"bbbbbb", "is in the archive twice");
    // The size of a file, which its extents then contradict.
    check(b"aaaaaa\xA4\x03", b"aaaaaa\xA4\x84", "does not");
    // Rows of five bytes each, which take a hundred in memory.
    let error = restore(&forged(|rows| rows.extend([0; 5].repeat(10_000)), |_| {})).expect_err("refused");
    assert!(error.to_string().contains("more entries than its manifest"), "{error}");
}

#[test]
fn a_thin_archive_is_no_archive_of_its_own() {
    let (from, mut archives) = sample();
    write(from.path(), "d3/f3", &noise(3_000, 77_777));
    archives.save(from.path(), 0);
    let to = nothing();
    let error = unpack(&archives.0[1][..], to.path()).expect_err("a refusal");
    assert!(error.to_string().contains("takes content from other archives"), "{error}");
    assert!(verify(&archives.0[1], 1).is_err());
    // Other programs see the new contents, as a tar archive.
    let stream = zstd::decode_all(&archives.0[1][..]).expect("zstd");
    let mut names = BTreeMap::new();
    for entry in tar::Archive::new(&stream[..]).entries().expect("tar") {
        let entry = entry.expect("an entry");
        names.insert(entry.path().expect("a name").into_owned(), entry.size());
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [(".cachekeep/c/d3/f3".into(), 3_000)]);
}
