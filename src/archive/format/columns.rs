//! The rows of a list as they are stored: each field in a column of its own, since names compress beside names and hashes do
//! not compress at all, and as what differs from the row before. Stored like this, a row of a small file takes 37 bytes, of which 32 are
//! its hash; row after row it takes 50.
//!
//! ```text
//! stored   number of hashes, hashes, zstd frame of: the lengths of six columns, the columns
//! names    of each row: kind, how many bytes its name shares with the one before, the rest of the name, target of a link
//! modes, nanoseconds (32 bits, little-endian), sizes of files
//! seconds  of each row: the difference to the row before, zigzag
//! extents  of each file: their number; of each: segment, zigzag difference between its offset and the end of the one before, that end
//!          rounded up to 512, and its length unless it is the last one of the file, which has the rest
//! ```
//!
//! Each piece begins anew: before its first row there is an empty name, second 0 and the end 0.

use super::error::ArchiveError;
use super::list::{
    self, Extent, Fields, MOST_EXTENTS, Row, RowKind, number, text, unreadable, unzigzag, zigzag,
};
use super::tar_header::{BLOCK, LONGEST_NAME};
use crate::domain::digest::Sha256Digest;
use crate::tree::walk::Modified;

/// Names compress at any level.
const LEVEL: i32 = 3;

/// Upper bound for the columns of a piece, and for its rows, in bytes.
const LARGEST: usize = 2 << 20;

const COLUMNS: usize = 6;

/// Columns that are written.
#[derive(Debug, Default)]
pub(super) struct Columns {
    names: Vec<u8>,
    modes: Vec<u8>,
    seconds: Vec<u8>,
    nanoseconds: Vec<u8>,
    sizes: Vec<u8>,
    extents: Vec<u8>,
    hashes: Vec<[u8; 32]>,
    before: Before,
}

/// What differences are made to.
#[derive(Debug, Default)]
struct Before {
    name: Vec<u8>,
    seconds: i64,
    /// The block behind the last extent.
    end: u64,
}

impl Before {
    fn set_end(&mut self, offset: u64, length: u64) {
        let end = offset.wrapping_add(length);
        self.end = end.checked_next_multiple_of(BLOCK as u64).unwrap_or(end);
    }
}

impl Columns {
    /// Adds the next row.
    pub(super) fn push(&mut self, row: &Row) {
        self.names.push(row.kind.byte());
        let pairs = row.name.iter().zip(&self.before.name);
        let shared = pairs.take_while(|(one, other)| one == other).count();
        number(&mut self.names, shared as u64);
        text(&mut self.names, &row.name[shared..]);
        self.before.name.clone_from(&row.name);
        if let RowKind::Symlink { target } | RowKind::HardLink { target } = &row.kind {
            text(&mut self.names, target);
        }
        number(&mut self.modes, u64::from(row.mode));
        number(&mut self.seconds, zigzag(row.modified.seconds.wrapping_sub(self.before.seconds)));
        self.before.seconds = row.modified.seconds;
        self.nanoseconds.extend(row.modified.nanoseconds.to_le_bytes());
        if let RowKind::File { size, content, extents } = &row.kind {
            number(&mut self.sizes, *size);
            self.hashes.push(content.0);
            self.push_extents(extents);
        }
    }

    fn push_extents(&mut self, extents: &[Extent]) {
        number(&mut self.extents, extents.len() as u64);
        for (index, extent) in extents.iter().enumerate() {
            number(&mut self.extents, extent.segment);
            let difference = extent.offset.wrapping_sub(self.before.end).cast_signed();
            number(&mut self.extents, zigzag(difference));
            if index + 1 < extents.len() {
                number(&mut self.extents, extent.length);
            }
            self.before.set_end(extent.offset, extent.length);
        }
    }

    /// The columns as they are stored.
    pub(super) fn store(&self) -> Result<Vec<u8>, ArchiveError> {
        self.store_as(&self.whole())
    }

    /// All columns but the hashes, behind their lengths.
    fn whole(&self) -> Vec<u8> {
        let columns: [&[u8]; COLUMNS] =
            [&self.names, &self.modes, &self.seconds, &self.nanoseconds, &self.sizes, &self.extents];
        let mut whole = Vec::new();
        for column in columns {
            number(&mut whole, column.len() as u64);
        }
        whole.extend(columns.concat());
        whole
    }

    fn store_as(&self, whole: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let mut stored = Vec::new();
        number(&mut stored, self.hashes.len() as u64);
        stored.extend(self.hashes.as_flattened());
        stored.extend(zstd::bulk::compress(whole, LEVEL).map_err(ArchiveError::Worker)?);
        Ok(stored)
    }
}

/// The rows in stored columns, one after the other.
pub(crate) fn rows(stored: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let mut stored = Fields::new(stored);
    let hashes = stored.number()?.checked_mul(32).ok_or_else(unreadable)?;
    let hashes = Fields::new(stored.slice(hashes)?);
    let whole = zstd::bulk::decompress(stored.rest(), LARGEST)
        .map_err(|error| ArchiveError::damaged(format!("its list does not decompress: {error}")))?;
    let mut whole = Fields::new(&whole[..]);
    let mut lengths = [0; COLUMNS];
    for length in &mut lengths {
        *length = whole.number()?;
    }
    let mut columns = [&[][..]; COLUMNS];
    for (column, length) in columns.iter_mut().zip(lengths) {
        *column = whole.slice(length)?;
    }
    let [names, modes, seconds, nanoseconds, sizes, extents] = columns.map(Fields::new);
    let before = Before::default();
    let mut reading = Reading { names, modes, seconds, nanoseconds, sizes, extents, hashes, before };
    let mut rows = Vec::new();
    while !reading.names.rest().is_empty() {
        reading.row()?.append(&mut rows);
        // A few bytes may stand for a long name.
        if rows.len() > LARGEST {
            return Err(unreadable());
        }
    }
    // A piece that holds nothing costs its reader something.
    if rows.is_empty() {
        return Err(unreadable());
    }
    let is_read = |column: &Fields<&[u8]>| column.rest().is_empty();
    let Reading { modes, seconds, nanoseconds, sizes, extents, hashes, .. } = &reading;
    if [modes, seconds, nanoseconds, sizes, extents, hashes, &whole].into_iter().all(is_read) {
        Ok(rows)
    } else {
        Err(unreadable())
    }
}

/// Columns that are read.
struct Reading<'a> {
    names: Fields<&'a [u8]>,
    modes: Fields<&'a [u8]>,
    seconds: Fields<&'a [u8]>,
    nanoseconds: Fields<&'a [u8]>,
    sizes: Fields<&'a [u8]>,
    extents: Fields<&'a [u8]>,
    hashes: Fields<&'a [u8]>,
    before: Before,
}

impl Reading<'_> {
    fn row(&mut self) -> Result<Row, ArchiveError> {
        let kind = self.names.byte()?;
        let name = self.name()?;
        let mode = u32::try_from(self.modes.number()?).map_err(|_| unreadable())?;
        self.before.seconds = self.before.seconds.wrapping_add(unzigzag(self.seconds.number()?));
        let mut nanoseconds = [0; 4];
        self.nanoseconds.fill(&mut nanoseconds)?;
        let nanoseconds = u32::from_le_bytes(nanoseconds);
        let kind = match kind {
            list::DIRECTORY => RowKind::Directory,
            list::FILE => self.file()?,
            list::SYMLINK => RowKind::Symlink { target: self.names.text()? },
            list::HARD_LINK => RowKind::HardLink { target: self.names.text()? },
            _ => return Err(unreadable()),
        };
        Ok(Row { name, kind, mode, modified: Modified { seconds: self.before.seconds, nanoseconds } })
    }

    fn name(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let shared = usize::try_from(self.names.number()?).ok();
        let shared = shared.filter(|shared| *shared <= self.before.name.len()).ok_or_else(unreadable)?;
        self.before.name.truncate(shared);
        self.before.name.extend(self.names.text()?);
        if self.before.name.len() > LONGEST_NAME {
            return Err(unreadable());
        }
        Ok(self.before.name.clone())
    }

    fn file(&mut self) -> Result<RowKind, ArchiveError> {
        let size = self.sizes.number()?;
        let mut content = [0; 32];
        self.hashes.fill(&mut content)?;
        let count = self.extents.number()?;
        if count > MOST_EXTENTS {
            return Err(unreadable());
        }
        let (mut extents, mut left) = (Vec::new(), size);
        for number in 1..=count {
            let segment = self.extents.number()?;
            let difference = unzigzag(self.extents.number()?);
            let offset = self.before.end.wrapping_add(difference.cast_unsigned());
            let length = if number < count { self.extents.number()? } else { left };
            left = left.checked_sub(length).ok_or_else(unreadable)?;
            self.before.set_end(offset, length);
            extents.push(Extent { segment, offset, length });
        }
        Ok(RowKind::File { size, content: Sha256Digest(content), extents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::format::list::{Rows, tests::row};
    use proptest::prelude::*;

    /// A row whose name often shares something with that of another.
    fn related_row() -> impl Strategy<Value = Row> {
        let name = proptest::collection::vec(b'a'..b'c', 0..6);
        (row(), name).prop_map(|(row, name)| Row { name, ..row })
    }

    /// Rows in columns, and one after the other.
    fn both_forms(rows: &[Row]) -> (Columns, Vec<u8>) {
        let (mut columns, mut one_by_one) = (Columns::default(), Vec::new());
        for row in rows {
            columns.push(row);
            row.append(&mut one_by_one);
        }
        (columns, one_by_one)
    }

    proptest! {
        #[test]
        fn rows_come_back(written in proptest::collection::vec(prop_oneof![row(), related_row()], 1..20)) {
            let (columns, one_by_one) = both_forms(&written);
            let read = rows(&columns.store().expect("stored")).expect("readable");
            prop_assert_eq!(&read, &one_by_one);
            prop_assert_eq!(Rows::new(&read[..]).collect::<Result<Vec<_>, _>>().expect("readable"), written);
        }

        #[test]
        fn other_columns_are_refused_or_read_without_harm(
            written in proptest::collection::vec(row(), 1..5),
            flipped in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let (columns, one_by_one) = both_forms(&written);
            let mut whole = columns.whole();
            let at = flipped.index(whole.len());
            whole[at] ^= 1_u8 << bit;
            if let Ok(read) = rows(&columns.store_as(&whole).expect("stored")) {
                prop_assert_ne!(read, one_by_one);
            }
        }
    }

    #[test]
    fn columns_have_the_bytes_of_the_format() {
        let file = |name: &[u8], seconds, offset| Row {
            name: name.to_vec(),
            kind: RowKind::file(300, Sha256Digest([7; 32]), offset),
            mode: 0o644,
            modified: Modified { seconds, nanoseconds: 5 },
        };
        let mut columns = Columns::default();
        columns.push(&file(b"a/b", -1, 512));
        columns.push(&file(b"a/cd", 1, 1536));
        let stored = columns.store().expect("stored");
        let (hashes, whole) = stored[1..].split_at(64);
        assert_eq!((stored[0], hashes), (2, &[7; 64][..]));
        let whole = zstd::bulk::decompress(whole, 200).expect("a frame");
        let lengths = [11, 4, 2, 8, 4, 8];
        let columns: [&[u8]; COLUMNS] = [
            b"\x01\0\x03a/b\x01\x02\x02cd",
            &[0xA4, 3, 0xA4, 3],
            &[1, 4],
            &[5, 0, 0, 0, 5, 0, 0, 0],
            &[0xAC, 2, 0xAC, 2],
            &[1, 0, 0x80, 8, 1, 0, 0x80, 8],
        ];
        assert_eq!(whole, [&lengths[..], &columns.concat()].concat());
    }

    #[test]
    fn what_is_behind_the_last_row_is_refused() {
        let mut columns = Columns::default();
        let directory = Row {
            name: b"a".to_vec(),
            kind: RowKind::Directory,
            mode: 0o755,
            modified: Modified { seconds: 1, nanoseconds: 0 },
        };
        columns.push(&directory);
        assert!(rows(&columns.store().expect("stored")).is_ok());
        columns.hashes.push([0; 32]);
        assert!(rows(&columns.store().expect("stored")).is_err());
        columns.hashes.clear();
        columns.extents.push(0);
        assert!(rows(&columns.store().expect("stored")).is_err());
    }

    #[test]
    fn rows_that_become_much_longer_than_their_columns_are_refused() {
        let directory = |name: Vec<u8>| Row {
            name,
            kind: RowKind::Directory,
            mode: 0o755,
            modified: Modified { seconds: 1, nanoseconds: 0 },
        };
        let mut columns = Columns::default();
        for _ in 0..LARGEST / LONGEST_NAME {
            columns.push(&directory(vec![b'a'; LONGEST_NAME]));
        }
        assert!(columns.store().expect("stored").len() < LONGEST_NAME);
        assert!(rows(&columns.store().expect("stored")).is_err());
    }

    #[test]
    fn a_name_is_no_longer_than_names_may_be() {
        let names = |shared: u64| {
            let mut columns = Columns::default();
            columns.names.extend([0, 0]);
            text(&mut columns.names, &[b'a'; LONGEST_NAME]);
            columns.names.push(0);
            number(&mut columns.names, shared);
            text(&mut columns.names, b"b");
            columns.modes.extend([1, 1]);
            columns.seconds.extend([0, 0]);
            columns.nanoseconds.extend([0; 8]);
            rows(&columns.store().expect("stored"))
        };
        let longest = LONGEST_NAME as u64;
        assert!(names(longest - 1).is_ok());
        assert!(names(longest).is_err());
        assert!(names(longest + 1).is_err());
    }
}
