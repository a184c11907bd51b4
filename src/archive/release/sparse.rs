//! Files with holes in pax form, as GNU tar and the tar of macOS and Windows write them (version 1.0): a map of
//! decimal lines in front of the data, filled up to a block.

use std::io::{self, Read};

use crate::archive::format::error::ArchiveError;

/// Segments of one file: more than file systems make on their own, and 16 MiB of memory.
const MAX_SEGMENTS: u64 = 1 << 20;

const BLOCK: u64 = 512;

/// A file with holes, as the records in front of its entry describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    /// The name of the file; the entry itself has a made-up name.
    pub(super) name: Vec<u8>,
    /// The file's size, holes included.
    pub(super) size: u64,
}

/// Reads the records of an entry; `None` if the file has no holes.
pub(super) fn sparse_of<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Option<Sparse>, ArchiveError> {
    let (mut name, mut size, mut version, mut any) = (None, None, (None, None), false);
    for record in entry.pax_extensions().ok().flatten().into_iter().flatten().flatten() {
        let Some(key) = record.key_bytes().strip_prefix(b"GNU.sparse.") else {
            continue;
        };
        any = true;
        let number = || record.value().ok().and_then(|text| text.parse::<u64>().ok());
        match key {
            b"name" => name = Some(record.value_bytes().to_vec()),
            b"realsize" => size = number(),
            b"major" => version.0 = number(),
            b"minor" => version.1 = number(),
            _ => {}
        }
    }
    match (any, name, size, version) {
        (false, ..) => Ok(None),
        (true, Some(name), Some(size), (Some(1), Some(0))) => Ok(Some(Sparse { name, size })),
        _ => Err(ArchiveError::refused(&entry.path_bytes(), "is stored with an outdated sparse map")),
    }
}

/// The content of such a file, holes as zeros.
pub(super) struct HoleReader<R> {
    inner: R,
    size: u64,
    position: u64,
    /// Begin and end of the data, in order; read with the first byte of content.
    segments: Option<std::vec::IntoIter<(u64, u64)>>,
    current: Option<(u64, u64)>,
}

impl<R: Read> HoleReader<R> {
    pub(super) fn new(inner: R, size: u64) -> Self {
        HoleReader { inner, size, position: 0, segments: None, current: None }
    }

    fn read_map(&mut self) -> io::Result<Vec<(u64, u64)>> {
        let mut taken = 0;
        let count = read_number(&mut self.inner, &mut taken)?;
        if count > MAX_SEGMENTS {
            return Err(damaged());
        }
        let mut segments = Vec::new();
        let mut last = 0;
        for _ in 0..count {
            let begin = read_number(&mut self.inner, &mut taken)?;
            let length = read_number(&mut self.inner, &mut taken)?;
            let end = begin.checked_add(length).filter(|end| begin >= last && *end <= self.size);
            last = end.ok_or_else(damaged)?;
            segments.push((begin, last));
        }
        let padding = taken.next_multiple_of(BLOCK) - taken;
        let skipped = io::copy(&mut (&mut self.inner).take(padding), &mut io::sink())?;
        if skipped == padding { Ok(segments) } else { Err(damaged()) }
    }
}

impl<R: Read> Read for HoleReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.segments.is_none() {
            let mut segments = self.read_map()?.into_iter();
            self.current = segments.next();
            self.segments = Some(segments);
        }
        while self.current.is_some_and(|(_, end)| end <= self.position) {
            self.current = self.segments.as_mut().and_then(Iterator::next);
        }
        let (hole_until, data_until) = self.current.unwrap_or((self.size, self.size));
        let in_hole = self.position < hole_until;
        let left = (if in_hole { hole_until } else { data_until }) - self.position;
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = if in_hole {
            buffer[..count].fill(0);
            count
        } else {
            self.inner.read(&mut buffer[..count])?
        };
        self.position += count as u64;
        Ok(count)
    }
}

fn read_number(reader: &mut impl Read, taken: &mut u64) -> io::Result<u64> {
    let mut number: u64 = 0;
    let mut digits = 0;
    loop {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        *taken += 1;
        match byte[0] {
            b'\n' if digits > 0 => return Ok(number),
            digit @ b'0'..=b'9' => {
                let next = number.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
                number = next.ok_or_else(damaged)?;
                digits += 1;
            }
            _ => return Err(damaged()),
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the map of a file's holes is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(map: &str, data: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let mut packed = map.as_bytes().to_vec();
        packed.resize(packed.len().next_multiple_of(512), 0);
        packed.extend_from_slice(data);
        let mut bytes = Vec::new();
        HoleReader::new(&packed[..], size).read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn holes_are_zeros() {
        let check = |map: &str, data: &[u8], expect: &[u8]| {
            assert_eq!(read(map, data, expect.len() as u64).expect(map), expect, "{map:?}");
        };
        check("1\n0\n3\n", b"abc", b"abc");
        check("2\n2\n2\n7\n0\n", b"ab", b"\0\0ab\0\0\0");
        check("3\n0\n1\n3\n1\n5\n1\n", b"abc", b"a\0\0b\0c");
        check("1\n4\n0\n", b"", b"\0\0\0\0");
        check("0\n", b"", b"");
    }

    #[test]
    fn maps_that_contradict_themselves_are_refused() {
        for map in [
            "",
            "1\n",
            "x\n",
            "\n",
            "1\n0\n9\n",
            "2\n2\n1\n1\n1\n",
            "1\n18446744073709551615\n1\n",
            "9999999\n",
        ] {
            assert!(read(map, b"abcdefghi", 4).is_err(), "{map:?}");
        }
        assert!(read("99999999999999999999\n", b"", 4).is_err());
    }
}
