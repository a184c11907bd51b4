//! Items of a zip.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use zip::ZipReadOptions;
use zip::read::Config;
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::error::named;
use super::format::Format;
use super::item::{Head, ItemReader, Kind, Sink, WantedItems};
use super::raw::Raw;
use crate::archive::format::error::ArchiveError;
use crate::archive::format::tar_header::LONGEST_NAME;
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::fs::mode;

/// Upper bound for what is read to find the central directory, in bytes: a search remembers what it meets.
const MAX_END: u64 = 16 << 20;

/// A zip, of which only so much may be read as long as there is a bound.
struct ZipReader {
    inner: BufReader<File>,
    left: Rc<Cell<Option<u64>>>,
}

impl Read for ZipReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(left) = self.left.get() {
            let left = left.checked_sub(count as u64);
            let endless = || io::Error::new(io::ErrorKind::InvalidData, "its central directory is not found");
            self.left.set(Some(left.ok_or_else(endless)?));
        }
        Ok(count)
    }
}

impl Seek for ZipReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Hands out the items; false if the sink ended the extraction. Reads the whole archive first, for its checksum, and
/// copies a stream to a file on the way.
pub(super) fn extract(
    prefix: Vec<u8>,
    file: Option<File>,
    raw: &Raw<'_>,
    selection: &mut WantedItems<'_>,
    sink: &mut Sink<'_>,
) -> Result<bool, Fault> {
    let fail = |error| named(raw.options().archive, error);
    let file = to_file(prefix, file, raw).map_err(fail)?;
    let contents = file.try_clone().map_err(|error| fail(ArchiveError::Input(error)))?;
    let damaged = |error| fail(damaged(error));
    // The central directory is read entry by entry: an index of it would grow with the archive.
    let bound = Rc::new(Cell::new(Some(MAX_END)));
    let reader = ZipReader { inner: BufReader::new(file), left: Rc::clone(&bound) };
    let mut zip = ZipIterable::try_new(reader, Config::default()).map_err(damaged)?;
    bound.set(None);
    let contents = ZipReader { inner: BufReader::new(contents), left: bound };
    let mut entries = zip.files_with_reader(contents, ZipReadOptions::new()).map_err(damaged)?;
    while let Some(entry) = entries.next() {
        if cancel::is_cancelled(raw.options().cancel) {
            return Err(fail(ArchiveError::Cancelled));
        }
        let mut entry = entry.map_err(damaged)?;
        let Some(head) = head_of(&mut entry, raw, selection).map_err(fail)? else { continue };
        let is_file = matches!(head.kind, Kind::File { .. });
        let content: &mut dyn Read = if is_file { &mut entry } else { &mut io::empty() };
        if !selection.hand_out(head, content, raw, sink)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An entry before its content; `None` if it is not wanted.
fn head_of<R: Read>(
    entry: &mut zip::read::ZipFile<'_, R>,
    raw: &Raw<'_>,
    selection: &mut WantedItems<'_>,
) -> Result<Option<Head>, ArchiveError> {
    let name = name_of(entry);
    let size = entry.size();
    let Some(path) = selection.admit(&name, size)? else { return Ok(None) };
    let mode = entry.unix_mode().map(|mode| mode & mode::PERMISSIONS);
    let kind = if entry.is_dir() || name.ends_with(b"/") {
        Kind::Directory
    } else if entry.is_symlink() {
        let mut target = Vec::new();
        let most = LONGEST_NAME as u64 + 1;
        let read = ItemReader::new(entry, size).take(most).read_to_end(&mut target);
        read.map_err(|error| raw.error(&error))?;
        WantedItems::symlink(&name, target)?
    } else {
        Kind::File { size }
    };
    // The dates of a zip are local times of an unknown time zone: no date is better than a wrong one.
    Ok(Some(Head { path, mode, modified: None, kind }))
}

/// The name of an entry. Some tools on Windows separate directories by backslashes.
fn name_of<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> Vec<u8> {
    let name = entry.name().map_or_else(|_| entry.name_raw().to_vec(), |name| name.as_bytes().to_vec());
    if entry.system() != zip::System::Unix && !name.contains(&b'/') {
        return name.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    }
    name
}

/// The archive as a file: the one that is read, or a nameless copy of a stream.
fn to_file(prefix: Vec<u8>, file: Option<File>, raw: &Raw<'_>) -> Result<File, ArchiveError> {
    let mut rest = Cursor::new(prefix).chain(raw.clone());
    let mut file = if let Some(file) = file {
        io::copy(&mut rest, &mut io::sink()).map_err(|error| raw.error(&error))?;
        file
    } else {
        let spool = raw.options().spool;
        let mut file =
            tempfile::tempfile_in(spool).map_err(ArchiveError::write("create a file in", spool))?;
        copy(&mut rest, &mut file, raw, spool)?;
        file
    };
    file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Input)?;
    Ok(file)
}

/// A copy that distinguishes a source that cannot be read from a disk that cannot be written.
fn copy(
    from: &mut impl Read,
    to: &mut impl io::Write,
    raw: &Raw<'_>,
    spool: &Path,
) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(raw.error(&error)),
        };
        to.write_all(&buffer[..count]).map_err(ArchiveError::write("write a file in", spool))?;
    }
}

fn damaged(error: ZipError) -> ArchiveError {
    let reason = match error {
        ZipError::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    ArchiveError::damaged(format!("{}: {reason}", Format::Zip))
}
