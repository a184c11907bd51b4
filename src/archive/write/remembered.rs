//! What the writer must remember until the end of an archive, bounded in one sum.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::archive::format::error::ArchiveError;
use crate::archive::read::entries::{Attributes, Spot};
use crate::archive::read::guard;
use crate::fs::cancel;
use crate::fs::open::Links;
use crate::fs::read;
use crate::tree::fingerprint::ContentDigest;
use crate::tree::walk::{Modified, mode_of};

/// Upper bound for what is remembered of an archive, in bytes, whatever it holds.
const MOST_BYTES: u64 = 64 << 20;

/// What a collection adds to the names in one of its elements, in bytes.
const ELEMENT: usize = 160;

/// What the digest of a linked file takes, in bytes.
const DIGEST: usize = 96;

/// The permission to search a directory: without it its owner cannot change what lies in it.
const SEARCH: u32 = 0o100;

/// A symbolic link that waits: its target and attributes.
pub(super) type Symlink = (Vec<u8>, Attributes);

/// What is remembered of directories and links.
#[derive(Debug, Default)]
pub(super) struct RememberedEntries {
    /// Bytes of all of it.
    bytes: u64,
    directories: RecordLog<2>,
    /// Directories that cannot be searched, with their modes, which are set last.
    closed: BTreeMap<PathBuf, u32>,
    /// Symbolic links of an archive that holds every name once.
    symlinks: RecordLog<3>,
    /// Symbolic links of other archives, where a later entry may replace one or join it.
    pub(super) replaceable: BTreeMap<PathBuf, Symlink>,
    hard_links: RecordLog<2>,
}

impl RememberedEntries {
    fn add(&mut self, bytes: usize) -> Result<(), ArchiveError> {
        self.bytes += bytes as u64;
        if self.bytes > MOST_BYTES {
            let unit = "bytes of names of directories and links that must be remembered";
            return Err(ArchiveError::Limit { limit: MOST_BYTES, unit });
        }
        Ok(())
    }

    /// A directory, at this path, whose attributes are set at the end. A later record of it counts.
    pub(super) fn directory(
        &mut self,
        spot: &Spot,
        path: &Path,
        attributes: Attributes,
    ) -> Result<(), ArchiveError> {
        if attributes.mode & SEARCH != 0 {
            self.closed.remove(path);
        } else if self.closed.insert(path.to_owned(), attributes.mode).is_none() {
            self.add(path.as_os_str().len() + ELEMENT)?;
        }
        let added = self.directories.push([&place(spot), &packed(attributes)]);
        self.add(added)
    }

    /// A symbolic link of an archive that holds every name once.
    pub(super) fn symlink(
        &mut self,
        spot: &Spot,
        target: &[u8],
        attributes: Attributes,
    ) -> Result<(), ArchiveError> {
        let added = self.symlinks.push([&place(spot), target, &packed(attributes)]);
        self.add(added)
    }

    /// A symbolic link that a later entry may replace; what replaces it takes no less.
    pub(super) fn replaceable(&mut self, path: PathBuf, symlink: Symlink) -> Result<(), ArchiveError> {
        self.add(path.as_os_str().len() + symlink.0.len() + ELEMENT)?;
        self.replaceable.insert(path, symlink);
        Ok(())
    }

    /// A further name of a file.
    pub(super) fn hard_link(&mut self, spot: &Spot, target: &Spot) -> Result<(), ArchiveError> {
        let added = self.hard_links.push([&place(spot), &place(target)]);
        self.add(added + DIGEST)
    }

    /// Every further name with the one that it joins, in their order.
    pub(super) fn hard_links(&self) -> impl Iterator<Item = Result<(Spot, Spot), ArchiveError>> {
        let mut records = self.hard_links.reader();
        std::iter::from_fn(move || {
            let [name, target] = records.next()?;
            Some(spot(name).and_then(|name| Ok((name, spot(target)?))))
        })
    }

    /// Every symbolic link of an archive that holds every name once, with its target, in their order.
    pub(super) fn symlinks(&self) -> impl Iterator<Item = Result<(Spot, Vec<u8>, Attributes), ArchiveError>> {
        let mut records: RecordReader<'_, 3> = self.symlinks.reader();
        std::iter::from_fn(move || {
            let [name, target, attributes] = records.next()?;
            Some(spot(name).map(|name| (name, target.clone(), unpacked(attributes))))
        })
    }

    /// Every directory, with attributes that let its owner search it, in their order.
    pub(super) fn directories(&self) -> impl Iterator<Item = Result<(Spot, Attributes), ArchiveError>> {
        let mut records = self.directories.reader();
        std::iter::from_fn(move || {
            let [name, attributes] = records.next()?;
            let Attributes { mode, modified } = unpacked(attributes);
            Some(spot(name).map(|name| (name, Attributes { mode: mode | SEARCH, modified })))
        })
    }

    /// Every directory that its owner cannot search, with its mode, innermost first.
    pub(super) fn unsearchable_directories(&self) -> impl Iterator<Item = (&Path, u32)> {
        self.closed.iter().rev().map(|(path, mode)| (path.as_path(), *mode))
    }

    /// The digest of all further names, of files that are complete. One that its owner cannot read is left out: then the
    /// digest is that of no tree, and a save compares in vain.
    pub(super) fn digest_hard_links(
        &self,
        path: impl Fn(&Spot) -> PathBuf,
        cancel: &CancellationToken,
    ) -> Result<ContentDigest, ArchiveError> {
        let mut digest = ContentDigest::default();
        let state = RandomState::new();
        let mut known = HashMap::new();
        for link in self.hard_links() {
            let (name, target) = link?;
            let file =
                *known.entry(state.hash_one(place(&target))).or_insert_with(|| file(&path(&target), cancel));
            if cancel::is_cancelled(cancel) {
                return Err(ArchiveError::Cancelled);
            }
            if let Some((mode, content)) = file {
                digest.add_file(name.root, &name.relative, mode, &content);
            }
        }
        Ok(digest)
    }
}

/// Mode and SHA-256 of a file; `None` if it cannot be read.
fn file(path: &Path, cancel: &CancellationToken) -> Option<(u32, [u8; 32])> {
    let mode = mode_of(&std::fs::symlink_metadata(path).ok()?);
    Some((mode, read::sha256_of_file(path, Links::Refused, cancel).ok()?.0))
}

/// A place as bytes: the number of its root, and the path below it.
fn place(spot: &Spot) -> Vec<u8> {
    let root = u16::try_from(spot.root).expect("a cache has at most a thousand roots");
    [&root.to_be_bytes(), spot.relative.as_os_str().as_encoded_bytes()].concat()
}

fn spot(place: &[u8]) -> Result<Spot, ArchiveError> {
    let (root, relative) = place.split_first_chunk().expect("a place begins with its root");
    let relative =
        guard::os_name(relative).ok_or_else(|| ArchiveError::unsupported(relative, guard::NOT_UNICODE))?;
    Ok(Spot { root: u16::from_be_bytes(*root).into(), relative })
}

fn packed(attributes: Attributes) -> Vec<u8> {
    let mut bytes = attributes.mode.to_be_bytes().to_vec();
    if let Some(Modified { seconds, nanoseconds }) = attributes.modified {
        bytes.extend(seconds.to_be_bytes());
        bytes.extend(nanoseconds.to_be_bytes());
    }
    bytes
}

fn unpacked(bytes: &[u8]) -> Attributes {
    let number = |at: usize| bytes.get(at..at + 4).map(|four| four.try_into().expect("four bytes"));
    let word = |at: usize| number(at).map(u32::from_be_bytes);
    let modified = word(4).zip(word(8)).zip(word(12)).map(|((high, low), nanoseconds)| Modified {
        seconds: (u64::from(high) << 32 | u64::from(low)).cast_signed(),
        nanoseconds,
    });
    Attributes { mode: word(0).expect("a mode"), modified }
}

/// Records of `N` byte strings, in the order in which they were added, kept compactly: a field is stored as what it shares
/// with the same field of the record before, and the rest. Names of an archive that was packed in order take a fraction of
/// their length.
#[derive(Debug)]
struct RecordLog<const N: usize> {
    bytes: Vec<u8>,
    last: [Vec<u8>; N],
}

impl<const N: usize> Default for RecordLog<N> {
    fn default() -> Self {
        RecordLog { bytes: Vec::new(), last: [const { Vec::new() }; N] }
    }
}

impl<const N: usize> RecordLog<N> {
    /// Adds a record; returns how many bytes it takes.
    fn push(&mut self, record: [&[u8]; N]) -> usize {
        let before = self.bytes.len();
        for (last, field) in self.last.iter_mut().zip(record) {
            let shared = last.iter().zip(field).take_while(|(a, b)| a == b).count();
            let rest = &field[shared..];
            put_number(&mut self.bytes, shared);
            put_number(&mut self.bytes, rest.len());
            self.bytes.extend_from_slice(rest);
            last.truncate(shared);
            last.extend_from_slice(rest);
        }
        self.bytes.len() - before
    }

    /// Reads the records from the first on.
    fn reader(&self) -> RecordReader<'_, N> {
        RecordReader { bytes: &self.bytes, current: [const { Vec::new() }; N] }
    }
}

/// Reads records one after another.
struct RecordReader<'a, const N: usize> {
    bytes: &'a [u8],
    current: [Vec<u8>; N],
}

impl<const N: usize> RecordReader<'_, N> {
    /// The next record; `None` after the last.
    fn next(&mut self) -> Option<&[Vec<u8>; N]> {
        for field in &mut self.current {
            let shared = take_number(&mut self.bytes)?;
            let length = take_number(&mut self.bytes)?;
            let (rest, after) = self.bytes.split_at_checked(length)?;
            field.truncate(shared);
            field.extend_from_slice(rest);
            self.bytes = after;
        }
        Some(&self.current)
    }
}

/// Appends a number, seven bits a byte, the lowest first.
fn put_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(root: usize, name: &str) -> Spot {
        Spot { root, relative: PathBuf::from(name) }
    }

    const PLAIN: Attributes = Attributes { mode: 0o755, modified: None };

    #[test]
    fn attributes_read_back_as_they_were() {
        for modified in
            [None, Some((0, 0)), Some((-1, 999_999_999)), Some((i64::MIN, 1)), Some((i64::MAX, 2))]
        {
            let modified = modified.map(|(seconds, nanoseconds)| Modified { seconds, nanoseconds });
            let read = unpacked(&packed(Attributes { mode: 0o1755, modified }));
            assert_eq!((read.mode, read.modified), (0o1755, modified));
        }
    }

    #[test]
    fn all_that_is_remembered_counts_to_one_sum() {
        let mut remembered = RememberedEntries::default();
        let target = vec![b't'; 4000];
        let mut kept = 0_u32;
        let error = loop {
            let name = format!("{}{kept}", kept % 10).repeat(500);
            let before = remembered.bytes;
            let added = match kept % 4 {
                0 => remembered.directory(&at(0, &name), Path::new(&name), Attributes { mode: 0, ..PLAIN }),
                1 => remembered.symlink(&at(0, &name), &target, PLAIN),
                2 => remembered.replaceable(PathBuf::from(&name), (target.clone(), PLAIN)),
                _ => remembered.hard_link(&at(0, &name), &at(1, "x")),
            };
            assert!(remembered.bytes > before, "{kept}");
            kept += 1;
            if let Err(error) = added {
                break error;
            }
        };
        assert!(kept > 1000, "{kept}");
        assert!(
            error.to_string().contains("more than 67108864 bytes of names of directories and links"),
            "{error}"
        );
    }

    #[test]
    fn closed_directories_are_closed_last_and_innermost_first() {
        let mut remembered = RememberedEntries::default();
        for (name, mode) in [("a/b", 0), ("a", 0o600), ("c", 0), ("c", 0o711)] {
            let attributes = Attributes { mode, modified: None };
            remembered.directory(&at(0, name), Path::new(name), attributes).expect("little");
        }
        let opened = remembered.directories().map(|directory| {
            let (spot, attributes) = directory.expect("a place");
            (spot.relative, attributes.mode)
        });
        let closed = remembered.unsearchable_directories().map(|(path, mode)| (path.to_owned(), mode));
        let steps: Vec<_> = opened.chain(closed).collect();
        let expect = [("a/b", 0o100), ("a", 0o700), ("c", 0o100), ("c", 0o711), ("a/b", 0), ("a", 0o600)];
        assert_eq!(steps, expect.map(|(name, mode)| (PathBuf::from(name), mode)));
    }

    proptest! {
        #[test]
        fn records_read_back_as_they_were_added(
            records in proptest::collection::vec(("[ab/]{0,200}", any::<Vec<u8>>()), 0..40),
        ) {
            let mut log = RecordLog::<2>::default();
            for (name, value) in &records {
                log.push([name.as_bytes(), value]);
            }
            let mut reader = log.reader();
            for (name, value) in &records {
                let [read_name, read_value] = reader.next().expect("a record");
                prop_assert_eq!((&read_name[..], &read_value[..]), (name.as_bytes(), &value[..]));
            }
            prop_assert!(reader.next().is_none());
        }
    }

    #[test]
    fn neighbors_take_little_more_than_what_differs() {
        let mut log = RecordLog::<2>::default();
        let directory = "a/long/path/".repeat(40);
        let mut name = |index: u32| log.push([format!("{directory}{index:03}").as_bytes(), b"same"]);
        assert_eq!(name(0), 2 + 1 + directory.len() + 3 + 2 + 4);
        assert_eq!(name(1), 2 + 1 + 1 + 2);
    }
}
