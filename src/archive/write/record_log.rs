//! Records that are kept until the end of an archive, compactly: a field is stored as what it shares with the same field of
//! the record before, and the rest. Names of an archive that was packed in order take a fraction of their length.

/// Records of `N` byte strings, in the order in which they were added.
#[derive(Debug)]
pub(super) struct RecordLog<const N: usize> {
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
    pub(super) fn push(&mut self, record: [&[u8]; N]) -> usize {
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
    pub(super) fn reader(&self) -> RecordReader<'_, N> {
        RecordReader { bytes: &self.bytes, current: [const { Vec::new() }; N] }
    }
}

/// Reads records one after another.
pub(super) struct RecordReader<'a, const N: usize> {
    bytes: &'a [u8],
    current: [Vec<u8>; N],
}

impl<const N: usize> RecordReader<'_, N> {
    /// The next record; `None` after the last.
    pub(super) fn next(&mut self) -> Option<&[Vec<u8>; N]> {
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
