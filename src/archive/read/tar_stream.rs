//! Entries of a tar stream, as this program and as others write them.
//!
//! Reads ustar, PAX and GNU long names; refuses what cannot be restored exactly (sparse maps, devices,
//! pipes, unknown kinds). Content is returned in slices of the decompressed frames.

use tar::{EntryType, Header};

use super::buffer::Slice;
use super::decode::{Source, StreamEnd};
use super::guard;
use crate::archive::format::error::ArchiveError;
use crate::archive::format::tar_header::{BLOCK, LONGEST_NAME, padding};
use crate::fs::mode;
use crate::tree::walk::Modified;

/// Upper bound for the PAX records of one entry, in bytes. Records that are not needed are skipped.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// Upper bound for the keys of PAX records that are needed, and for numbers and times in them, in bytes.
const LONGEST_WORD: u64 = 128;

/// Upper bound for the digits of a PAX record's length.
const MOST_DIGITS: u64 = 7;

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
    /// A stream of which nothing was read.
    pub(crate) fn new(source: S) -> Self {
        TarStream { source, current: None, read: 0 }
    }

    /// Bytes of the stream read so far.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// What the archive's end shows, after it.
    pub(crate) fn source_end(&self) -> StreamEnd {
        self.source.end()
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
            self.current = self.source.next()?;
            if self.current.is_none() {
                return Ok(None);
            }
        }
    }

    /// The next bytes of an entry's content, of which `left` remain: as many of them as one frame holds. An early end is an error.
    pub(crate) fn content(&mut self, left: u64) -> Result<Slice, ArchiveError> {
        match self.slice(left)? {
            Some(slice) => Ok(slice),
            None if self.read == 0 => Err(ArchiveError::damaged("it is empty")),
            None => Err(truncated()),
        }
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
                    self.records(size, &mut extensions)?;
                }
                EntryType::XGlobalHeader => {
                    let mut global = Extensions::default();
                    self.records(size, &mut global)?;
                    if global.path.is_some() || global.target.is_some() || global.size.is_some() {
                        return Err(ArchiveError::damaged("it gives one name or size to all entries"));
                    }
                }
                EntryType::GNULongName if extensions.path.is_none() => {
                    extensions.path = Some(self.long_name(size, "name")?);
                }
                EntryType::GNULongLink if extensions.target.is_none() => {
                    extensions.target = Some(self.long_name(size, "target")?);
                }
                _ => return entry(header, extensions).map(Some),
            }
        }
    }

    /// The name or link target in the content of a GNU header, which ends in a zero byte.
    fn long_name(&mut self, size: u64, what: &str) -> Result<Vec<u8>, ArchiveError> {
        let mut name = self.name(size.saturating_sub(1), what)?;
        if size > 0 {
            let mut last = [0];
            self.fill(&mut last)?;
            if last != [0] {
                name.extend(last);
                guard::check_length(&name, &name, what)?;
            }
        }
        self.pad(size)?;
        Ok(name)
    }

    /// Reads a name or link target of a declared length, which is checked before anything is allocated.
    fn name(&mut self, length: u64, what: &str) -> Result<Vec<u8>, ArchiveError> {
        let is_short = length <= LONGEST_NAME as u64;
        let name = self.bytes(if is_short { length } else { LONGEST_WORD })?;
        if is_short { Ok(name) } else { Err(guard::too_long(&name, what)) }
    }

    /// Reads so many bytes, of which the caller knows that they are few.
    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0; usize::try_from(length).expect("as long as a name")];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, mut length: u64) -> Result<(), ArchiveError> {
        while length > 0 {
            length -= self.content(length)?.len() as u64;
        }
        Ok(())
    }

    /// Reads PAX records: `length key=value\n`, one after another.
    fn records(&mut self, size: u64, extensions: &mut Extensions) -> Result<(), ArchiveError> {
        if size > LARGEST_EXTENSION {
            return Err(ArchiveError::damaged("an entry has absurdly long extensions"));
        }
        let mut left = size;
        while left > 0 {
            left -= self.record(left, extensions)?;
        }
        self.pad(size)
    }

    /// Reads the next record of at most so many bytes; returns its length.
    fn record(&mut self, most: u64, extensions: &mut Extensions) -> Result<u64, ArchiveError> {
        let digits = self.until(b' ', most.min(MOST_DIGITS + 1))?.ok_or_else(bad_record)?;
        let length = number(&digits).filter(|length| *length <= most).ok_or_else(bad_record)?;
        let behind =
            length.checked_sub(digits.len() as u64 + 1).filter(|left| *left > 0).ok_or_else(bad_record)?;
        let Some(key) = self.until(b'=', behind.min(LONGEST_WORD))? else {
            // Too long to be one that is needed, unless the record ended without one.
            let rest = behind.checked_sub(LONGEST_WORD + 1).ok_or_else(bad_record)?;
            self.skip(rest)?;
            return self.line_feed().map(|()| length);
        };
        let value = behind.checked_sub(key.len() as u64 + 2).ok_or_else(bad_record)?;
        match &key[..] {
            b"path" => extensions.path = Some(self.name(value, "name")?),
            b"linkpath" => extensions.target = Some(self.name(value, "target")?),
            b"size" => extensions.size = Some(number(&self.word(value)?).ok_or_else(bad_record)?),
            b"mtime" => extensions.modified = Some(parse_time(&self.word(value)?).ok_or_else(bad_record)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(ArchiveError::damaged("it has sparse maps, which are not supported"));
            }
            _ => self.skip(value)?,
        }
        self.line_feed().map(|()| length)
    }

    /// Reads a number or a time.
    fn word(&mut self, length: u64) -> Result<Vec<u8>, ArchiveError> {
        if length > LONGEST_WORD { Err(bad_record()) } else { self.bytes(length) }
    }

    /// Reads up to and including a separator; `None` if it is not among so many bytes, which are read then.
    fn until(&mut self, separator: u8, most: u64) -> Result<Option<Vec<u8>>, ArchiveError> {
        let mut before = Vec::new();
        for _ in 0..most {
            let mut byte = [0];
            self.fill(&mut byte)?;
            if byte == [separator] {
                return Ok(Some(before));
            }
            before.extend(byte);
        }
        Ok(None)
    }

    fn line_feed(&mut self) -> Result<(), ArchiveError> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        if byte == *b"\n" { Ok(()) } else { Err(bad_record()) }
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

fn bad_record() -> ArchiveError {
    ArchiveError::damaged("PAX records do not parse")
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
    use crate::archive::format::frame::Splitter;

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

    /// A header, and its content filled up to a block.
    fn block(kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::new(kind));
        header.as_ustar_mut().expect("ustar").name[0] = b'n';
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        let mut bytes = [header.as_bytes(), content].concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// The first entry of a stream.
    fn first(stream: &[u8]) -> Result<Entry, ArchiveError> {
        let archive = zstd::bulk::compress(stream, 1).expect("zstd");
        let cancel = tokio_util::sync::CancellationToken::new();
        let source = super::super::decode::Inline::new(Splitter::behind_manifest(&archive[..])?, &cancel)?;
        TarStream::new(source).next_entry().map(|entry| entry.expect("an entry"))
    }

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let digits = (1..9).find(|digits| (rest + digits).to_string().len() == *digits).expect("a length");
        [format!("{} {key}=", rest + digits).as_bytes(), value, b"\n"].concat()
    }

    fn with_records(records: &[u8]) -> Result<Entry, ArchiveError> {
        first(&[block(b'x', records.len() as u64, records), block(b'0', 0, b"")].concat())
    }

    #[test]
    fn records_must_have_the_length_that_they_state() {
        let check = |records: &[u8], expect: Option<&[u8]>| {
            let name = with_records(records).ok().map(|entry| entry.name);
            assert_eq!(name.as_deref(), expect, "{}", records.escape_ascii());
        };
        check(b"10 path=a\n", Some(b"a"));
        check(b"11 path=\xff=\n12 atime=1\n", None);
        check(b"11 path=\xff=\n11 atime=1\n", Some(b"\xff="));
        check(b"", Some(b"n"));
        for bad in [
            &b"8 path=a\n"[..],
            b"11 path=a\n",
            b"10 path=a ",
            b"10path=a\n",
            b"2 ",
            b"3 \n",
            b"4 a\n",
            b"0 a=b\n",
            b"00000010 path=a\n",
            b"+10 path=a\n",
        ] {
            check(bad, None);
        }
        check(b"99999999999999999999 path=a\n", None);
        check(b"22 GNU.sparse.major=1\n", None);
    }

    #[test]
    fn records_that_are_not_needed_are_skipped_whatever_they_hold() {
        let check = |before: &[u8]| {
            let records = [before, &record("path", b"found"), &record("mtime", b"-2")].concat();
            let entry = with_records(&records).expect("an entry");
            assert_eq!((&entry.name[..], entry.modified.seconds), (&b"found"[..], -2));
        };
        check(&record("SCHILY.xattr.user.large", &vec![b'\n'; 900_000]));
        check(&record(&"key".repeat(2000), b"10 path=other\n"));
        let keyless = 129;
        check(&[format!("{} ", keyless + 5).as_bytes(), &vec![b'k'; keyless], b"\n"].concat());
        let short = [b"105 ".to_vec(), vec![b'k'; 100], b"\n".to_vec()].concat();
        assert!(with_records(&short).is_err());
        let size = record("size", &[b'0'; 129]);
        assert!(with_records(&size).is_err());
    }

    #[test]
    fn names_and_targets_of_too_many_bytes_are_refused_by_the_length_that_they_declare() {
        let long = vec![b'n'; LONGEST_NAME];
        let check = |stream: Vec<u8>, what: &str| {
            let error = first(&stream).expect_err("refused").to_string();
            assert!(error.ends_with(&format!("has a {what} of more than 4096 bytes")), "{error}");
            assert!(error.len() < 300, "{error}");
        };
        let pax = |key, value: &[u8]| {
            let records = record(key, value);
            [block(b'x', records.len() as u64, &records), block(b'2', 0, b"")].concat()
        };
        let gnu = |kind, name: &[u8]| [block(kind, name.len() as u64, name), block(b'0', 0, b"")].concat();
        check(pax("path", &[&long[..], b"n"].concat()), "name");
        check(pax("linkpath", &[&long[..], b"n"].concat()), "target");
        check(gnu(b'L', &[&long[..], b"n\0"].concat()), "name");
        check(gnu(b'L', &[&long[..], b"n"].concat()), "name");
        check(gnu(b'K', &[&long[..], b"n\0"].concat()), "target");
        // Declared, and never there.
        check(block(b'L', 1 << 40, &long), "name");
        check(block(b'K', (1 << 33) - 1, &long), "target");
        assert_eq!(first(&gnu(b'L', &[&long[..], b"\0"].concat())).expect("an entry").name, long);
        assert_eq!(first(&gnu(b'L', &long)).expect("an entry").name, long);
        assert_eq!(first(&gnu(b'L', b"")).expect("an entry").name, b"");
        let both = [record("path", &long), record("linkpath", &long)].concat();
        let entry = first(&[block(b'x', both.len() as u64, &both), block(b'2', 0, b"")].concat());
        let entry = entry.expect("an entry");
        assert_eq!((&entry.name, entry.kind), (&long, EntryKind::Symlink { target: long.clone() }));
    }
}
