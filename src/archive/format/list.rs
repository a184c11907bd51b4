//! The list behind the frames of an archive: a row for each entry of the tar stream, with the hash of each file.
//!
//! Rows are in the order of the stream, and say nothing that the stream does not: a reader of the stream can write the
//! same rows, and a restore compares its own with those of the archive by their SHA-256, in no memory. A reader of the
//! list alone knows what the archive holds, and where, without its frames.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::error::ArchiveError;
use super::tar_header::LONGEST_NAME;
use crate::domain::digest::Sha256Digest;
use crate::tree::walk::Modified;

/// Upper bound for the rows of a list, in bytes: an archive of a tree that needs more is written without one.
pub(crate) const LARGEST_LIST: u64 = 64 << 20;

/// Bytes of a row at most, beside its names.
pub(crate) const ROW_BYTES: u64 = 96;

/// Upper bound for the extents of a file.
pub(super) const MOST_EXTENTS: u64 = 1 << 12;

/// An entry of an archive, as its list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name in the tar stream, in bytes, without a slash at the end.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: RowKind,
    /// Its permissions.
    pub mode: u32,
    /// When it was modified.
    pub modified: Modified,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its length, in bytes.
        size: u64,
        /// The hash of its content.
        content: Sha256Digest,
        /// Where its content lies, in the order of the file; none if it is empty.
        extents: Vec<Extent>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, in bytes.
        target: Vec<u8>,
    },
    /// A further name of a file.
    HardLink {
        /// The name of that file in the tar stream, in bytes.
        target: Vec<u8>,
    },
}

/// Where bytes of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Which archive has them: 0 is the one with the list.
    pub segment: u64,
    /// Where they begin in the tar stream of that archive, in bytes.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
}

impl RowKind {
    /// A file whose content lies in the archive itself, from this offset of its tar stream.
    pub(crate) fn file(size: u64, content: Sha256Digest, offset: u64) -> Self {
        let all = Extent { segment: 0, offset, length: size };
        RowKind::File { size, content, extents: if size == 0 { Vec::new() } else { vec![all] } }
    }

    /// What stands for it in a row.
    pub(super) fn byte(&self) -> u8 {
        match self {
            RowKind::Directory => DIRECTORY,
            RowKind::File { .. } => FILE,
            RowKind::Symlink { .. } => SYMLINK,
            RowKind::HardLink { .. } => HARD_LINK,
        }
    }
}

pub(super) const DIRECTORY: u8 = 0;
pub(super) const FILE: u8 = 1;
pub(super) const SYMLINK: u8 = 2;
pub(super) const HARD_LINK: u8 = 3;

impl Row {
    /// Says what the content of a file is; nothing for another row.
    pub(crate) fn set_content(&mut self, hash: Sha256Digest) {
        if let RowKind::File { content, .. } = &mut self.kind {
            *content = hash;
        }
    }

    /// Appends the row.
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        out.push(self.kind.byte());
        text(out, &self.name);
        number(out, u64::from(self.mode));
        number(out, zigzag(self.modified.seconds));
        number(out, u64::from(self.modified.nanoseconds));
        match &self.kind {
            RowKind::Directory => {}
            RowKind::File { size, content, extents } => {
                number(out, *size);
                out.extend(content.0);
                number(out, extents.len() as u64);
                for extent in extents {
                    number(out, extent.segment);
                    number(out, extent.offset);
                    number(out, extent.length);
                }
            }
            RowKind::Symlink { target } | RowKind::HardLink { target } => text(out, target),
        }
    }
}

/// The hash of the rows that a stream must have: they are written again while it is read.
#[derive(Debug, Default)]
pub(crate) struct ExpectedList {
    hasher: Sha256,
    row: Vec<u8>,
}

impl ExpectedList {
    /// Adds the next row.
    pub(crate) fn push(&mut self, row: &Row) {
        self.row.clear();
        row.append(&mut self.row);
        self.hasher.update(&self.row);
    }

    /// The SHA-256 of all rows.
    pub(crate) fn digest(self) -> Sha256Digest {
        Sha256Digest(self.hasher.finalize().into())
    }
}

/// Reads the rows of a list, each within its bounds.
pub(crate) struct Rows<R> {
    fields: Fields<R>,
}

impl<R: Read> Rows<R> {
    /// Rows of a decompressed list.
    pub(crate) fn new(input: R) -> Self {
        Rows { fields: Fields { input } }
    }

    fn row(&mut self) -> Result<Option<Row>, ArchiveError> {
        let mut kind = [0];
        if self.fields.input.read(&mut kind).map_err(ArchiveError::Input)? == 0 {
            return Ok(None);
        }
        let name = self.fields.text()?;
        let mode = u32::try_from(self.fields.number()?).map_err(|_| unreadable())?;
        let seconds = unzigzag(self.fields.number()?);
        let nanoseconds = self.fields.number()?;
        let nanoseconds = u32::try_from(nanoseconds).ok().filter(|it| *it < 1_000_000_000);
        let nanoseconds = nanoseconds.ok_or_else(unreadable)?;
        let kind = match kind[0] {
            DIRECTORY => RowKind::Directory,
            FILE => self.file()?,
            SYMLINK => RowKind::Symlink { target: self.fields.text()? },
            HARD_LINK => RowKind::HardLink { target: self.fields.text()? },
            _ => return Err(unreadable()),
        };
        Ok(Some(Row { name, kind, mode, modified: Modified { seconds, nanoseconds } }))
    }

    fn file(&mut self) -> Result<RowKind, ArchiveError> {
        let size = self.fields.number()?;
        let mut content = [0; 32];
        self.fields.fill(&mut content)?;
        let count = self.fields.number()?;
        if count > MOST_EXTENTS {
            return Err(unreadable());
        }
        let (mut extents, mut held) = (Vec::new(), 0_u64);
        for _ in 0..count {
            let extent = Extent {
                segment: self.fields.number()?,
                offset: self.fields.number()?,
                length: self.fields.number()?,
            };
            held = held.checked_add(extent.length).ok_or_else(unreadable)?;
            extent.offset.checked_add(extent.length).ok_or_else(unreadable)?;
            extents.push(extent);
        }
        if held != size {
            return Err(unreadable());
        }
        Ok(RowKind::File { size, content: Sha256Digest(content), extents })
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Row, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

/// Reads numbers and texts, each within its bounds.
#[derive(Debug)]
pub(super) struct Fields<R> {
    input: R,
}

impl<R: Read> Fields<R> {
    pub(super) fn byte(&mut self) -> Result<u8, ArchiveError> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    pub(super) fn text(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= LONGEST_NAME);
        let mut text = vec![0; length.ok_or_else(unreadable)?];
        self.fill(&mut text)?;
        Ok(text)
    }

    /// A number of seven bits a byte, the lowest first; the shortest form alone is read, so that a row has one.
    pub(super) fn number(&mut self) -> Result<u64, ArchiveError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits || (shift > 0 && byte == 0) {
                return Err(unreadable());
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(unreadable())
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => unreadable(),
            _ => ArchiveError::Input(error),
        })
    }
}

impl<'a> Fields<&'a [u8]> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Fields { input }
    }

    /// The next so many bytes.
    pub(super) fn slice(&mut self, length: u64) -> Result<&'a [u8], ArchiveError> {
        let length = usize::try_from(length).map_err(|_| unreadable())?;
        let (slice, rest) = self.input.split_at_checked(length).ok_or_else(unreadable)?;
        self.input = rest;
        Ok(slice)
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.input
    }
}

pub(super) fn unreadable() -> ArchiveError {
    ArchiveError::damaged("its list does not parse")
}

pub(super) fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len() as u64);
    out.extend(text);
}

pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Small numbers of either sign as small ones without.
pub(super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(bytes: &[u8]) -> Result<Vec<Row>, ArchiveError> {
        Rows::new(bytes).collect()
    }

    pub(in super::super) fn row() -> impl Strategy<Value = Row> {
        let name = proptest::collection::vec(any::<u8>(), 0..60);
        (kind(), any::<u32>(), any::<i64>(), 0..1_000_000_000_u32, name).prop_map(
            |(kind, mode, seconds, nanoseconds, name)| Row {
                name,
                kind,
                mode,
                modified: Modified { seconds, nanoseconds },
            },
        )
    }

    fn parts() -> impl Strategy<Value = RowKind> {
        let part = (0..10_u64, 0..u64::MAX / 2, 1..u64::MAX / 16);
        (any::<[u8; 32]>(), proptest::collection::vec(part, 1..5)).prop_map(|(content, parts)| {
            let extents =
                parts.into_iter().map(|(segment, offset, length)| Extent { segment, offset, length });
            let extents: Vec<Extent> = extents.collect();
            let size = extents.iter().map(|extent| extent.length).sum();
            RowKind::File { size, content: Sha256Digest(content), extents }
        })
    }

    fn kind() -> impl Strategy<Value = RowKind> {
        let text = || proptest::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            Just(RowKind::Directory),
            (0..u64::MAX / 2, any::<[u8; 32]>(), 0..u64::MAX / 2)
                .prop_map(|(size, content, offset)| RowKind::file(size, Sha256Digest(content), offset)),
            parts(),
            text().prop_map(|target| RowKind::Symlink { target }),
            text().prop_map(|target| RowKind::HardLink { target }),
        ]
    }

    proptest! {
        #[test]
        fn rows_come_back(written in proptest::collection::vec(row(), 0..20)) {
            let mut bytes = Vec::new();
            for row in &written {
                row.append(&mut bytes);
            }
            prop_assert_eq!(rows(&bytes).expect("readable"), written);
        }

        #[test]
        fn other_bytes_are_refused_or_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // What is read is written as the same bytes: a row has one form.
            if let Ok(rows) = rows(&bytes) {
                let mut again = Vec::new();
                for row in &rows {
                    row.append(&mut again);
                }
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn a_row_has_the_bytes_of_the_format() {
        let row = Row {
            name: b"a/b".to_vec(),
            kind: RowKind::file(300, Sha256Digest([7; 32]), 512),
            mode: 0o644,
            modified: Modified { seconds: -1, nanoseconds: 5 },
        };
        let mut bytes = Vec::new();
        row.append(&mut bytes);
        let expect =
            [&[FILE, 3][..], b"a/b", &[0xA4, 3, 1, 5, 0xAC, 2], &[7; 32], &[1, 0, 0x80, 4, 0xAC, 2]].concat();
        assert_eq!(bytes, expect);
    }

    #[test]
    fn absurd_rows_are_refused() {
        let check = |bytes: &[u8]| assert!(rows(bytes).is_err(), "{bytes:?}");
        check(&[9, 0, 0, 0, 0]);
        // A name of 4 097 bytes, and one of which the end is missing.
        check(&[DIRECTORY, 0x81, 0x20]);
        check(&[DIRECTORY, 4, b'a']);
        // A number in two bytes that needs one, and one of more than 64 bits.
        check(&[DIRECTORY, 0x80, 0, 0, 0, 0]);
        check(&[DIRECTORY, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0]);
        let file = |extents: &[u8]| [&[FILE, 1, b'a', 0, 0, 0, 5][..], &[0; 32], extents].concat();
        check(&file(&[1, 0, 0, 4]));
        check(&file(&[2, 0, 0, 4, 0, 0, 2]));
        check(&file(&[0xFF, 0xFF, 0xFF, 0x7F]));
        assert!(rows(&file(&[2, 0, 0, 4, 1, 9, 1])).is_ok());
    }
}
