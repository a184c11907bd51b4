//! Entries of a tar stream, as this program and as others write them.
//!
//! Reads ustar, PAX and GNU long names; refuses what cannot be restored exactly (sparse maps, devices,
//! pipes, unknown kinds). Content is returned in slices of the decompressed frames.

use tar::{EntryType, Header};

use super::buffer::Slice;
use super::decode::{Source, Unit};
use super::guard;
use crate::archive::format::error::ArchiveError;
use crate::archive::format::tar_header::{BLOCK, padding};
use crate::fs::mode;
use crate::tree::walk::Modified;

/// Upper bound for the PAX records or the long name of one entry, in bytes.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// Upper bound for the zeros behind the end, in bytes: a record of the largest blocking factor in use.
const LONGEST_TAIL: u64 = 16 << 20;

/// An entry; its content follows in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    pub(crate) modified: Modified,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File { size: u64 },
    Directory,
    Symlink { target: Vec<u8> },
    HardLink { target: Vec<u8> },
}

/// Fields of PAX and GNU headers for the entry after them.
#[derive(Debug, Default)]
struct Extensions {
    pax: bool,
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<Modified>,
}

pub(crate) struct TarStream<S> {
    source: S,
    current: Option<Slice>,
    read: u64,
}

impl<S: Source> TarStream<S> {
    /// A stream of the source after its manifest, beginning with bytes that were already taken.
    pub(crate) fn starting_with(source: S, first: Option<Slice>) -> Self {
        TarStream { source, current: first, read: 0 }
    }

    /// Bytes of the stream read so far.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// Bytes of the archive, after its end.
    pub(crate) fn archive_bytes(&self) -> u64 {
        self.source.archive_bytes()
    }

    /// Up to this many contiguous bytes; `None` at the end of the stream.
    pub(crate) fn slice(&mut self, most: u64) -> Result<Option<Slice>, ArchiveError> {
        loop {
            if let Some(current) = &mut self.current {
                let length = current.len().min(usize::try_from(most).unwrap_or(usize::MAX));
                self.read += length as u64;
                if length < current.len() {
                    return Ok(Some(current.split_to(length)));
                }
                return Ok(self.current.take());
            }
            match self.source.next()? {
                None => return Ok(None),
                Some(Unit::Bytes(slice)) => self.current = Some(slice),
                Some(Unit::Manifest(_)) => {
                    return Err(ArchiveError::damaged("it has a manifest in its middle"));
                }
            }
        }
    }

    /// The next bytes of an entry's content.
    pub(crate) fn content(&mut self, left: u64) -> Result<Slice, ArchiveError> {
        self.slice(left)?.ok_or_else(truncated)
    }

    /// Skips the zeros that pad an entry's content.
    pub(crate) fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let mut zeros = [0; BLOCK];
        self.fill(&mut zeros[..padding(size)])
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let slice = self.content((bytes.len() - filled) as u64)?;
            bytes[filled..filled + slice.len()].copy_from_slice(&slice);
            filled += slice.len();
        }
        Ok(())
    }

    /// The next entry; `None` after the last, if only zeros follow.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block == [0; BLOCK] {
                if extensions.pax || extensions.path.is_some() || extensions.target.is_some() {
                    return Err(ArchiveError::damaged("an entry is missing after its extensions"));
                }
                return self.end().map(|()| None);
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header)?;
            let size = header.entry_size().map_err(malformed)?;
            match header.entry_type() {
                EntryType::XHeader => {
                    if std::mem::replace(&mut extensions.pax, true) {
                        return Err(ArchiveError::damaged("an entry has two PAX headers"));
                    }
                    let records = self.extension(size)?;
                    extensions.take_records(&records)?;
                }
                EntryType::XGlobalHeader => {
                    let records = self.extension(size)?;
                    let mut global = Extensions::default();
                    global.take_records(&records)?;
                    if global.path.is_some() || global.target.is_some() || global.size.is_some() {
                        return Err(ArchiveError::damaged("it gives one name or size to all entries"));
                    }
                }
                EntryType::GNULongName if extensions.path.is_none() => {
                    extensions.path = Some(without_zero(self.extension(size)?));
                }
                EntryType::GNULongLink if extensions.target.is_none() => {
                    extensions.target = Some(without_zero(self.extension(size)?));
                }
                _ => return entry(header, extensions).map(Some),
            }
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > LARGEST_EXTENSION {
            return Err(ArchiveError::damaged("an entry has absurdly long extensions"));
        }
        let mut bytes = vec![0; usize::try_from(size).expect("at most a mebibyte")];
        self.fill(&mut bytes)?;
        self.pad(size)?;
        Ok(bytes)
    }

    /// Reads what follows the first block of zeros: at least one more, and nothing else.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let mut second = [0; BLOCK];
        self.fill(&mut second)?;
        let mut tail = 0;
        let mut zeros = second == [0; BLOCK];
        while let Some(slice) = self.slice(u64::MAX)? {
            tail += slice.len() as u64;
            zeros = zeros && is_zero(&slice);
            if !zeros || tail > LONGEST_TAIL {
                break;
            }
        }
        if zeros && tail <= LONGEST_TAIL {
            Ok(())
        } else {
            Err(ArchiveError::damaged("something follows the end of its tar stream"))
        }
    }
}

/// Whether there are only zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

fn truncated() -> ArchiveError {
    ArchiveError::damaged("its tar stream ends in the middle")
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn malformed(error: std::io::Error) -> ArchiveError {
    ArchiveError::damaged(format!("a header does not parse: {error}"))
}

fn check_sum(header: &Header) -> Result<(), ArchiveError> {
    let bytes = header.as_bytes();
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum();
    if header.cksum().map_err(malformed)? == sum + 8 * u32::from(b' ') {
        Ok(())
    } else {
        Err(ArchiveError::damaged("the checksum of a header does not match"))
    }
}

fn without_zero(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

fn entry(header: &Header, extensions: Extensions) -> Result<Entry, ArchiveError> {
    let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let size = match extensions.size {
        Some(size) => size,
        None => header.entry_size().map_err(malformed)?,
    };
    let target = || -> Result<Vec<u8>, ArchiveError> {
        let written = header.link_name_bytes().map(std::borrow::Cow::into_owned);
        let target = extensions.target.clone().or(written).unwrap_or_default();
        guard::check_target(&target).map_err(|reason| ArchiveError::refused(&name, reason))?;
        Ok(target)
    };
    let kind = match header.entry_type() {
        EntryType::Regular if name.ends_with(b"/") => EntryKind::Directory,
        EntryType::Regular => EntryKind::File { size },
        EntryType::Directory => EntryKind::Directory,
        EntryType::Symlink => EntryKind::Symlink { target: target()? },
        EntryType::Link => EntryKind::HardLink { target: target()? },
        other => {
            let reason = match other {
                EntryType::GNUSparse => "is stored with a sparse map, which is not supported",
                other => refusal(other),
            };
            return Err(ArchiveError::refused(&name, reason));
        }
    };
    if !matches!(kind, EntryKind::File { .. }) && size != 0 {
        return Err(ArchiveError::refused(&name, "has content, but is not a file"));
    }
    if size > i64::MAX as u64 {
        return Err(ArchiveError::refused(&name, "has an absurd size"));
    }
    let modified = match extensions.modified {
        Some(modified) => modified,
        None => Modified { seconds: header.mtime().map_err(malformed)?.cast_signed(), nanoseconds: 0 },
    };
    let mode = header.mode().map_err(malformed)? & mode::PERMISSIONS;
    Ok(Entry { name, kind, mode, modified })
}

/// Why an entry of a type that is not restored is refused.
pub(crate) fn refusal(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Char | EntryType::Block => "is a device",
        EntryType::Fifo => "is a pipe",
        _ => "is of a kind that no cache holds",
    }
}

impl Extensions {
    /// Takes PAX records: `length key=value\n`, one after another.
    fn take_records(&mut self, mut records: &[u8]) -> Result<(), ArchiveError> {
        let bad = || ArchiveError::damaged("PAX records do not parse");
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let digits = &records[..space];
            if digits.is_empty() || digits.len() > 7 || !digits.iter().all(u8::is_ascii_digit) {
                return Err(bad());
            }
            let length: usize = text(digits).and_then(|digits| digits.parse().ok()).ok_or_else(bad)?;
            if length <= space + 1 || length > records.len() {
                return Err(bad());
            }
            let (record, rest) = records.split_at(length);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.size = Some(number(value).ok_or_else(bad)?),
                b"mtime" => self.modified = Some(parse_time(value).ok_or_else(bad)?),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(ArchiveError::damaged("it has sparse maps, which are not supported"));
                }
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    text(value).filter(|_| digits)?.parse().ok()
}

/// Seconds with an optional fraction, which counts away from zero; beyond nanoseconds it is cut.
pub(crate) fn parse_time(value: &[u8]) -> Option<Modified> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(number(parts.next()?)?).ok()?;
    let mut nanoseconds = 0;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for place in 0..9 {
            nanoseconds = nanoseconds * 10 + fraction.get(place).map_or(0, |digit| u32::from(digit - b'0'));
        }
    }
    Some(match (negative, nanoseconds) {
        (false, _) => Modified { seconds, nanoseconds },
        (true, 0) => Modified { seconds: -seconds, nanoseconds },
        (true, _) => Modified { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_as_they_are_written() {
        let check = |value: &str, expect: Option<(i64, u32)>| {
            let expect = expect.map(|(seconds, nanoseconds)| Modified { seconds, nanoseconds });
            assert_eq!(parse_time(value.as_bytes()), expect, "{value}");
        };
        check("1", Some((1, 0)));
        check("1.5", Some((1, 500_000_000)));
        check("1.0000000019", Some((1, 1)));
        check("1350244992", Some((1_350_244_992, 0)));
        check("1350244992.023960108", Some((1_350_244_992, 23_960_108)));
        check("1.1234567891", Some((1, 123_456_789)));
        check("-1.25", Some((-2, 750_000_000)));
        check("-0.500000000", Some((-1, 500_000_000)));
        check("-2", Some((-2, 0)));
        check("-9223372036854775807.999999999", Some((i64::MIN, 1)));
        for bad in ["", "x", "-", ".5", "1.x", "9223372036854775808", "+1", "1e3"] {
            check(bad, None);
        }
    }

    #[test]
    fn records_must_have_the_length_that_they_state() {
        let check = |records: &[u8], expect: Option<&[u8]>| {
            let mut extensions = Extensions::default();
            let path = extensions.take_records(records).ok().map(|()| extensions.path.unwrap_or_default());
            assert_eq!(path.as_deref(), expect, "{}", records.escape_ascii());
        };
        check(b"10 path=a\n", Some(b"a"));
        check(b"11 path=\xff=\n12 atime=1\n", None);
        check(b"11 path=\xff=\n11 atime=1\n", Some(b"\xff="));
        check(b"", Some(b""));
        for bad in
            [&b"8 path=a\n"[..], b"11 path=a\n", b"10 path=a ", b"10path=a\n", b"2 ", b"3 \n", b"0 a=b\n"]
        {
            check(bad, None);
        }
        check(b"99999999999999999999 path=a\n", None);
        check(b"22 GNU.sparse.major=1\n", None);
    }
}
