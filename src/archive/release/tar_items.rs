//! Items of a tar.

use std::io::{self, Read};

use tar::EntryType;

use super::error::named;
use super::item::{Head, ItemReader, Kind, Sink, WantedItems};
use super::raw::{Bounded, Raw};
use super::sparse::{HoleReader, Sparse, sparse_of};
use crate::archive::format::error::ArchiveError;
use crate::archive::read::tar_stream::{parse_time, refusal};
use crate::domain::fault::Fault;
use crate::fs::mode;
use crate::tree::walk::Modified;

/// Hands out the items; false if the sink ended the extraction.
pub(super) fn extract<'a>(
    reader: Bounded<'a>,
    raw: &Raw<'a>,
    selection: &mut WantedItems<'_>,
    sink: &mut Sink<'_>,
) -> Result<bool, Fault> {
    let damaged = |error: io::Error| named(raw.options().archive, raw.error(&error));
    let mut tar = tar::Archive::new(reader);
    let mut entries = tar.entries().map_err(damaged)?;
    loop {
        raw.expect_headers(true);
        let entry = entries.next().transpose().map_err(damaged)?;
        raw.expect_headers(false);
        let Some(entry) = entry else { break };
        if !take(entry, raw, selection, sink)? {
            return Ok(false);
        }
    }
    if raw.ended() {
        return Err(damaged(io::Error::new(io::ErrorKind::UnexpectedEof, "its end mark is missing")));
    }
    // Behind the end mark: padding, and the checks of the compression.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
    io::copy(&mut raw.clone(), &mut io::sink()).map_err(damaged)?;
    Ok(true)
}

/// Hands out one entry, or skips it.
fn take<R: Read>(
    mut entry: tar::Entry<'_, R>,
    raw: &Raw<'_>,
    selection: &mut WantedItems<'_>,
    sink: &mut Sink<'_>,
) -> Result<bool, Fault> {
    let fail = |error| named(raw.options().archive, error);
    let packed = entry.size();
    let (head, holes) = if is_label(entry.header().entry_type()) {
        (None, None)
    } else {
        let holes = sparse_of(&mut entry).map_err(fail)?;
        (head_of(&mut entry, holes.as_ref(), selection).map_err(fail)?, holes)
    };
    let Some(head) = head else {
        let skipped = ItemReader::new(&mut entry, packed).drain();
        return skipped.map(|()| true).map_err(|error| fail(raw.error(&error)));
    };
    match holes {
        Some(holes) => selection.hand_out(head, &mut HoleReader::new(&mut entry, holes.size), raw, sink),
        None => selection.hand_out(head, &mut entry, raw, sink),
    }
}

/// An entry before its content; `None` if it is not wanted.
fn head_of<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    holes: Option<&Sparse>,
    selection: &mut WantedItems<'_>,
) -> Result<Option<Head>, ArchiveError> {
    let packed = entry.size();
    let size = holes.map_or(packed, |holes| holes.size);
    let name = holes.map_or_else(|| entry.path_bytes().into_owned(), |holes| holes.name.clone());
    // A sparse map may be longer than its file; neither may be larger than allowed.
    let path = selection.admit(&name, size.max(packed))?;
    let kind = entry.header().entry_type();
    if !is_restored(kind) {
        return Err(ArchiveError::refused(&name, refusal(kind)));
    }
    let Some(path) = path else { return Ok(None) };
    let target = || entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    let kind = match kind {
        EntryType::Symlink => WantedItems::symlink(&name, target())?,
        EntryType::Link => selection.hard_link(&name, &target())?,
        EntryType::Directory => Kind::Directory,
        // Before directories had a type, they were files whose name ends in a slash.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        _ => Kind::File { size },
    };
    let mode = entry.header().mode().ok().map(|mode| mode & mode::PERMISSIONS);
    Ok(Some(Head { path, mode, modified: modified(entry), kind }))
}

fn is_restored(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Directory
            | EntryType::Regular
            | EntryType::Continuous
            | EntryType::GNUSparse
            | EntryType::Symlink
            | EntryType::Link
    )
}

/// Whether an entry describes the archive or the entries after it.
fn is_label(kind: EntryType) -> bool {
    kind.is_pax_global_extensions() || kind.as_byte() == b'V'
}

/// The PAX record has fractions and dates before 1970, the header only seconds.
fn modified<R: Read>(entry: &mut tar::Entry<'_, R>) -> Option<Modified> {
    let record = entry.pax_extensions().ok().flatten().and_then(|mut records| {
        records.find_map(|record| {
            let record = record.ok().filter(|record| record.key_bytes() == b"mtime")?;
            parse_time(record.value_bytes())
        })
    });
    let header = || i64::try_from(entry.header().mtime().ok()?).ok();
    record.or_else(|| header().map(|seconds| Modified { seconds, nanoseconds: 0 }))
}
