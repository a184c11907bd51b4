//! Items of a zip.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use zip::result::ZipError;

use super::error::{Problem, ReleaseError};
use super::format::Format;
use super::item::{ItemKind, ItemReader, ReleaseItem, Selection, Sink, shown};
use super::name::MAX_NAME;
use super::raw::Raw;
use super::tar_items::symlink_target;

/// Hands out the items; false where the sink ended it. Reads the whole archive first, for its checksum; what
/// is no file is laid down on the way.
pub(super) fn extract<E: From<ReleaseError>>(
    prefix: Vec<u8>,
    file: Option<File>,
    raw: &Raw<'_>,
    selection: &mut Selection,
    sink: &mut Sink<'_, E>,
) -> Result<bool, E> {
    let archive = raw.options().archive;
    let fail = |problem: Problem| E::from(problem.of(archive));
    let file = lay_down(prefix, file, raw).map_err(fail)?;
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| fail(damaged(error)))?;
    for index in 0..zip.len() {
        if raw.options().cancel.is_cancelled() {
            return Err(fail(Problem::Cancelled));
        }
        let entry = zip.by_index(index).map_err(|error| fail(damaged(error)))?;
        let flow = take(entry, raw, selection, sink)?;
        if !flow {
            return Ok(false);
        }
    }
    Ok(true)
}

fn take<R: Read, E: From<ReleaseError>>(
    mut entry: zip::read::ZipFile<'_, R>,
    raw: &Raw<'_>,
    selection: &mut Selection,
    sink: &mut Sink<'_, E>,
) -> Result<bool, E> {
    let archive = raw.options().archive;
    let fail = |problem: Problem| E::from(problem.of(archive));
    let name = name_of(&entry);
    let size = entry.size();
    let Some(path) = selection.admit(&name, size).map_err(fail)? else {
        return Ok(true);
    };
    let mode = entry.unix_mode().map(|mode| mode & 0o7777);
    let (directory, symlink) = (entry.is_dir() || name.ends_with(b"/"), entry.is_symlink());
    let mut reader = ItemReader::new(&mut entry, if directory { 0 } else { size });
    let kind = if directory {
        ItemKind::Directory
    } else if symlink {
        let mut target = Vec::new();
        let limit = MAX_NAME as u64 + 1;
        (&mut reader).take(limit).read_to_end(&mut target).map_err(|error| fail(raw.problem(error)))?;
        let kind = "a link whose target cannot be written";
        let target = symlink_target(&target).ok_or_else(|| Problem::Unsupported { name: shown(&name), kind });
        ItemKind::Symlink { target: target.map_err(fail)? }
    } else {
        ItemKind::File { size, reader: &mut reader }
    };
    selection.count(&kind);
    // The zip's own dates are local times of an unknown place: none is better than a wrong one.
    let taken = sink(ReleaseItem { path, mode, modified: None, kind });
    raw.options().meter.add_items(1);
    let flow = match reader.failure.take() {
        Some(failure) => return Err(fail(raw.problem(failure))),
        None => taken?,
    };
    if flow.is_break() {
        return Ok(false);
    }
    if !directory {
        reader.drain().map_err(|error| fail(raw.problem(error)))?;
    }
    Ok(true)
}

/// Zips that were made on Windows by careless tools separate folders by backslashes.
fn name_of<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> Vec<u8> {
    let name = entry.name().map_or_else(|_| entry.name_raw().to_vec(), |name| name.as_bytes().to_vec());
    if entry.system() != zip::System::Unix && !name.contains(&b'/') {
        return name.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    }
    name
}

fn lay_down(prefix: Vec<u8>, file: Option<File>, raw: &Raw<'_>) -> Result<File, Problem> {
    let mut rest = Cursor::new(prefix).chain(raw.clone());
    let mut file = if let Some(file) = file {
        io::copy(&mut rest, &mut io::sink()).map_err(|error| raw.problem(error))?;
        file
    } else {
        let spool = raw.options().spool;
        let write = |reason| Problem::Write { path: spool.to_owned(), reason };
        let mut file = tempfile::tempfile_in(spool).map_err(write)?;
        copy(&mut rest, &mut file, raw, spool)?;
        file
    };
    file.seek(SeekFrom::Start(0)).map_err(Problem::Read)?;
    Ok(file)
}

/// A copy that tells a source that cannot be read from a disk that cannot be written.
fn copy(
    from: &mut impl Read,
    to: &mut impl io::Write,
    raw: &Raw<'_>,
    spool: &std::path::Path,
) -> Result<(), Problem> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(raw.problem(error)),
        };
        let written = to.write_all(&buffer[..count]);
        written.map_err(|reason| Problem::Write { path: spool.to_owned(), reason })?;
    }
}

fn damaged(error: ZipError) -> Problem {
    let reason = match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    };
    Problem::Damaged { format: Format::Zip, reason }
}
