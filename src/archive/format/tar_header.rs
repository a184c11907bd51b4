//! Headers of tar entries as this program writes them: ustar, with PAX records for what ustar cannot hold.
//!
//! Source: POSIX.1-2017, `pax`, "pax Interchange Format". Owners are not stored.

use std::borrow::Cow;
use std::io::{Cursor, Write as _};

use tar::{EntryType, Header};

use crate::tree::walk::Modified;

/// Bytes of a tar block: headers are one, content is padded to whole ones.
pub(crate) const BLOCK: usize = 512;

/// Upper bound for the name of an entry and for the target of a link, in bytes: no system that caches are made for has
/// longer paths.
pub(crate) const LONGEST_NAME: usize = 4096;

/// The end of a tar stream: two blocks of zeros.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest number in an octal field of twelve bytes.
const LARGEST_OCTAL: u64 = 0o777_7777_7777;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A file with this many bytes.
    File(u64),
    Directory,
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// Another name of the file with this name.
    HardLink(&'a [u8]),
}

/// Zeros needed after this many bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).expect("less than a block");
    if over == 0 { 0 } else { BLOCK - over }
}

/// What the header of an entry says beside its mode.
struct HeaderFields<'a> {
    entry_type: EntryType,
    /// Its name; that of a directory ends with a slash.
    name: Cow<'a, [u8]>,
    size: u64,
    target: &'a [u8],
    modified: Modified,
}

impl<'a> HeaderFields<'a> {
    fn new(name: &'a [u8], kind: Kind<'a>, modified: Modified) -> Self {
        let (entry_type, size, target) = match kind {
            Kind::File(size) => (EntryType::Regular, size, &[][..]),
            Kind::Symlink(target) => (EntryType::Symlink, 0, target),
            Kind::HardLink(target) => (EntryType::Link, 0, target),
            Kind::Directory => (EntryType::Directory, 0, &[][..]),
        };
        let name = match kind {
            Kind::Directory => Cow::Owned([name, b"/"].concat()),
            _ => Cow::Borrowed(name),
        };
        HeaderFields { entry_type, name, size, target, modified }
    }

    /// The PAX records for what ustar cannot hold, as keys and values.
    fn records(&self, mut take: impl FnMut(&str, &[u8])) {
        let beyond_field = |text: &[u8]| text.len() > 100 || !text.is_ascii();
        let (long_name, long_target) = (beyond_field(&self.name), beyond_field(self.target));
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        if (long_name && !is_text(&self.name)) || (long_target && !is_text(self.target)) {
            take("hdrcharset", b"BINARY");
        }
        if long_name {
            take("path", &self.name);
        }
        if long_target {
            take("linkpath", self.target);
        }
        if self.size > LARGEST_OCTAL {
            take("size", self.size.to_string().as_bytes());
        }
        if self.modified.nanoseconds != 0 || octal_seconds(self.modified).is_none() {
            decimal(self.modified, |text| take("mtime", text));
        }
    }
}

/// How many bytes [`append`] appends.
pub(crate) fn length(name: &[u8], kind: Kind<'_>, modified: Modified) -> usize {
    let mut records = 0;
    HeaderFields::new(name, kind, modified).records(|key, value| records += record_length(key, value));
    if records == 0 { BLOCK } else { 2 * BLOCK + records + padding(records as u64) }
}

/// Appends the header of an entry, after a PAX header if it needs one.
pub(crate) fn append(out: &mut Vec<u8>, name: &[u8], kind: Kind<'_>, mode: u32, modified: Modified) {
    let fields = HeaderFields::new(name, kind, modified);
    let mut records = Vec::new();
    fields.records(|key, value| record(&mut records, key, value));
    if !records.is_empty() {
        let mut header = header(b"PaxHeaders/cachekeep", b"", EntryType::XHeader);
        header.set_size(records.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        out.extend(header.as_bytes());
        out.extend(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
    let mut header = header(&fields.name, fields.target, fields.entry_type);
    header.set_size(fields.size);
    header.set_mode(mode);
    header.set_mtime(octal_seconds(modified).unwrap_or(0));
    header.set_cksum();
    out.extend(header.as_bytes());
}

fn header(name: &[u8], target: &[u8], entry_type: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_uid(0);
    header.set_gid(0);
    let fields = header.as_ustar_mut().expect("made as ustar");
    let copy = |field: &mut [u8], bytes: &[u8]| {
        let length = bytes.len().min(field.len());
        field[..length].copy_from_slice(&bytes[..length]);
    };
    copy(&mut fields.name, name);
    copy(&mut fields.linkname, target);
    header
}

/// Whole seconds; `None` if an octal field cannot hold them.
fn octal_seconds(modified: Modified) -> Option<u64> {
    u64::try_from(modified.seconds).ok().filter(|seconds| *seconds <= LARGEST_OCTAL)
}

/// One record: its own length in decimal, a space, `key=value`, a line feed.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let end = out.len() + record_length(key, value);
    out.extend((end - out.len()).to_string().as_bytes());
    out.push(b' ');
    out.extend(key.as_bytes());
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
    debug_assert_eq!(out.len(), end);
}

/// Bytes of a record, those of its length included.
fn record_length(key: &str, value: &[u8]) -> usize {
    let digits = |number: usize| number.checked_ilog10().map_or(1, |log| log as usize + 1);
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    length
}

/// Seconds with their fraction, which counts away from zero: half a second before 1970 is `-0.5`. Both passes over a tree want
/// it for every file, so it takes no memory.
fn decimal(modified: Modified, take: impl FnOnce(&[u8])) {
    let nanoseconds = i128::from(modified.seconds) * 1_000_000_000 + i128::from(modified.nanoseconds);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (whole, part) =
        (nanoseconds.unsigned_abs() / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    let mut text = Cursor::new([0; 40]);
    let written = match part {
        0 => write!(text, "{sign}{whole}"),
        _ => write!(text, "{sign}{whole}.{part:09}"),
    };
    written.expect("a sign, 19 digits, a point and 9 digits");
    let length = usize::try_from(text.position()).expect("at most 40");
    take(&text.get_ref()[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let check = |value: &[u8], expect: &[u8]| {
            let mut out = Vec::new();
            record(&mut out, "path", value);
            assert!(out.starts_with(expect), "{}", out.escape_ascii());
            let length: usize = std::str::from_utf8(&out)
                .expect("text")
                .split(' ')
                .next()
                .expect("a length")
                .parse()
                .expect("digits");
            assert_eq!(length, out.len());
        };
        check(b"a", b"9 path=a\n");
        check(b"ab", b"11 path=ab\n");
        check(b"", b"8 path=\n");
        for length in 80..120 {
            check(&vec![b'x'; length], b"");
        }
    }

    #[test]
    fn times_before_1970_count_away_from_zero() {
        let check = |seconds, nanoseconds, expect: &str| {
            decimal(Modified { seconds, nanoseconds }, |text| assert_eq!(text, expect.as_bytes()));
        };
        check(1, 5, "1.000000005");
        check(-1, 500_000_000, "-0.500000000");
        check(-2, 0, "-2");
        check(i64::MIN, 1, "-9223372036854775807.999999999");
    }

    fn kind() -> impl Strategy<Value = (u8, Vec<u8>, u64)> {
        let text = proptest::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..130);
        (0..4_u8, text, prop_oneof![0..10_u64, (LARGEST_OCTAL - 1)..=(LARGEST_OCTAL + 1), any::<u64>()])
    }

    proptest! {
        #[test]
        fn lengths_are_those_of_the_headers(
            name in proptest::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..130),
            (kind, target, size) in kind(),
            seconds in prop_oneof![Just(0), Just(-1), any::<i64>()],
            nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_u32],
        ) {
            let kind = match kind {
                0 => Kind::File(size),
                1 => Kind::Directory,
                2 => Kind::Symlink(&target),
                _ => Kind::HardLink(&target),
            };
            let modified = Modified { seconds, nanoseconds };
            let mut out = Vec::new();
            append(&mut out, &name, kind, 0o644, modified);
            prop_assert_eq!(length(&name, kind, modified), out.len());
        }
    }

    #[test]
    fn a_plain_entry_needs_one_block() {
        let mut out = Vec::new();
        append(&mut out, b"a/b", Kind::File(5), 0o644, Modified { seconds: 7, nanoseconds: 0 });
        assert_eq!(out.len(), BLOCK);
        append(&mut out, b"a/b", Kind::File(5), 0o644, Modified { seconds: 7, nanoseconds: 1 });
        assert_eq!(out.len(), 4 * BLOCK);
    }
}
