//! Items of a tar.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::PathBuf;

use filetime::FileTime;
use tar::EntryType;

use super::error::{Problem, ReleaseError};
use super::item::{ItemKind, ItemReader, ReleaseItem, Selection, Sink, shown};
use super::name;
use super::raw::{Bounded, Raw};
use super::sparse::{HoleReader, sparse_of};

/// Hands out the items; false where the sink ended it.
pub(super) fn extract<'a, E: From<ReleaseError>>(
    reader: Bounded<'a>,
    raw: &Raw<'a>,
    selection: &mut Selection,
    sink: &mut Sink<'_, E>,
) -> Result<bool, E> {
    let archive = raw.options().archive;
    let fail = |problem: Problem| E::from(problem.of(archive));
    let damaged = |error: io::Error| fail(raw.problem(error));
    let mut tar = tar::Archive::new(reader);
    let mut entries = tar.entries().map_err(damaged)?;
    loop {
        raw.expect_headers(true);
        let entry = entries.next().transpose().map_err(damaged)?;
        raw.expect_headers(false);
        let Some(mut entry) = entry else {
            break;
        };
        let packed = entry.size();
        if is_label(entry.header().entry_type()) {
            ItemReader::new(&mut entry, packed).drain().map_err(damaged)?;
            continue;
        }
        let holes = sparse_of(&mut entry).map_err(fail)?;
        let size = holes.as_ref().map_or(packed, |holes| holes.size);
        let name = holes.as_ref().map_or_else(|| entry.path_bytes(), |holes| Cow::Borrowed(&holes.name));
        // A map may be longer than the file is; neither may be a bomb.
        let path = selection.admit(&name, size.max(packed)).map_err(fail)?;
        let modified = modified(&mut entry);
        let mode = entry.header().mode().ok().map(|mode| mode & 0o7777);
        let kind = kind_of(&entry).map_err(fail)?;
        let Some(path) = path else {
            ItemReader::new(&mut entry, packed).drain().map_err(damaged)?;
            continue;
        };
        let link = link_of(&entry, kind, selection).map_err(fail)?;
        let mut content: Box<dyn Read + '_> =
            if holes.is_some() { Box::new(HoleReader::new(&mut entry, size)) } else { Box::new(&mut entry) };
        let mut reader = ItemReader::new(&mut content, if kind == Kind::File { size } else { 0 });
        let kind = match (kind, link) {
            (Kind::File, _) => ItemKind::File { size, reader: &mut reader },
            (Kind::Symlink, Some(target)) => ItemKind::Symlink { target },
            (Kind::Hardlink, Some(target)) => ItemKind::Hardlink { target },
            _ => ItemKind::Directory,
        };
        selection.count(&kind);
        let taken = sink(ReleaseItem { path, mode, modified, kind });
        raw.options().meter.add_items(1);
        let flow = match reader.failure.take() {
            Some(failure) => return Err(damaged(failure)),
            None => taken?,
        };
        if flow.is_break() {
            return Ok(false);
        }
        reader.drain().map_err(damaged)?;
    }
    if raw.ended() {
        return Err(damaged(io::Error::new(io::ErrorKind::UnexpectedEof, "its end mark is missing")));
    }
    // Behind the end mark: padding, and the checks of the compression.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
    io::copy(&mut raw.clone(), &mut io::sink()).map_err(damaged)?;
    Ok(true)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
}

/// What describes the archive or the entries after it, and is none itself.
fn is_label(kind: EntryType) -> bool {
    kind.is_pax_global_extensions() || kind.as_byte() == b'V'
}

fn kind_of<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Kind, Problem> {
    let refuse = |kind| Err(Problem::Unsupported { name: shown(&entry.path_bytes()), kind });
    match entry.header().entry_type() {
        EntryType::Directory => Ok(Kind::Directory),
        // Before folders had a type, they were files whose name ends in a slash.
        EntryType::Regular if entry.path_bytes().ends_with(b"/") => Ok(Kind::Directory),
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Ok(Kind::File),
        EntryType::Symlink => Ok(Kind::Symlink),
        EntryType::Link => Ok(Kind::Hardlink),
        EntryType::Char | EntryType::Block => refuse("a device"),
        EntryType::Fifo => refuse("a named pipe"),
        _ => refuse("an entry of unknown kind"),
    }
}

fn link_of<R: Read>(
    entry: &tar::Entry<'_, R>,
    kind: Kind,
    selection: &Selection,
) -> Result<Option<PathBuf>, Problem> {
    if !matches!(kind, Kind::Symlink | Kind::Hardlink) {
        return Ok(None);
    }
    let refuse = |kind| Problem::Unsupported { name: shown(&entry.path_bytes()), kind };
    let target = entry.link_name_bytes().filter(|target| !target.is_empty());
    let target = target.ok_or_else(|| refuse("a link without a target"))?;
    if kind == Kind::Hardlink {
        return selection.link_target(&target).map(Some);
    }
    symlink_target(&target).map(Some).ok_or_else(|| refuse("a link whose target cannot be written"))
}

/// A link's target as a path of this system, where it can be one.
pub(super) fn symlink_target(target: &[u8]) -> Option<PathBuf> {
    if target.contains(&0) || target.is_empty() || target.len() > name::MAX_NAME {
        return None;
    }
    name::to_path(target).ok()
}

/// The pax record has fractions and dates before 1970, the header only seconds.
fn modified<R: Read>(entry: &mut tar::Entry<'_, R>) -> Option<FileTime> {
    let record = entry.pax_extensions().ok().flatten().and_then(|mut records| {
        records.find_map(|record| {
            let record = record.ok().filter(|record| record.key_bytes() == b"mtime")?;
            parse_time(record.value().ok()?)
        })
    });
    let header = || i64::try_from(entry.header().mtime().ok()?).ok();
    record.or_else(|| header().map(|seconds| FileTime::from_unix_time(seconds, 0)))
}

fn parse_time(text: &str) -> Option<FileTime> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    // -1.25 is a quarter before -1, which is 0.75 after -2.
    Some(if seconds.starts_with('-') && nanoseconds > 0 {
        FileTime::from_unix_time(whole.checked_sub(1)?, 1_000_000_000 - nanoseconds)
    } else {
        FileTime::from_unix_time(whole, nanoseconds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_signs() {
        let check = |text: &str, expect: Option<(i64, u32)>| {
            let expect = expect.map(|(seconds, nanoseconds)| FileTime::from_unix_time(seconds, nanoseconds));
            assert_eq!(parse_time(text), expect, "{text}");
        };
        check("1350244992", Some((1_350_244_992, 0)));
        check("1350244992.023960108", Some((1_350_244_992, 23_960_108)));
        check("1.5", Some((1, 500_000_000)));
        check("1.1234567891", Some((1, 123_456_789)));
        check("-1.25", Some((-2, 750_000_000)));
        check("-3", Some((-3, 0)));
        check("x", None);
        check("1.x", None);
        check("", None);
    }
}
