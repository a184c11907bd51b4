//! The log of a merge: what was added to the target and what was opened up, written before it is done.
//!
//! What a merge replaces lies in the leased directory and tells by itself; what it adds would leave no trace. With the log a merge
//! that cannot be completed is taken back, by the process that began it or by the next start.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use crate::fs::open::{self, Links};
use crate::fs::path_error::PathError;
use crate::fs::read::read_regular;

/// The log's name in the leased directory.
const LOG: &str = "undo";

/// Upper bound for a log, in bytes.
const MAX_LOG: u64 = 1 << 30;

/// One thing that is about to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Something is renamed to a name that is free.
    Added(PathBuf),
    /// An empty directory is removed.
    Emptied(PathBuf),
    /// A directory gets another mode for a while; this is its own.
    Opened(PathBuf, u32),
}

/// The log, open for appending.
pub(super) struct UndoLog {
    path: PathBuf,
    file: Option<File>,
}

impl UndoLog {
    /// The log of a leased directory. No file is made before the first note.
    pub(super) fn of(temp: &Path) -> Self {
        UndoLog { path: temp.join(LOG), file: None }
    }

    /// Whether anything was noted.
    pub(super) fn exists(temp: &Path) -> bool {
        temp.join(LOG).symlink_metadata().is_ok()
    }

    /// Appends a note. When it returns, a kill of this process cannot undo it any more.
    pub(super) fn note(&mut self, deed: &Deed) -> Result<(), PathError> {
        let mut record = encode(deed);
        // Names have no zero bytes.
        record.push(0);
        self.append(&record).map_err(PathError::on("write", &self.path))
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open::file_with(
                File::options().append(true).create(true),
                &self.path,
                Links::Refused,
            )?),
        };
        file.write_all(record)
    }

    /// All notes, the last one first. A note that was cut short was not acted on.
    pub(super) fn backwards(temp: &Path) -> Result<Vec<Deed>, PathError> {
        let path = temp.join(LOG);
        let bytes = match read_regular(&path, MAX_LOG) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes.map_err(PathError::on("read", &path))?,
        };
        let mut records: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        records.pop();
        Ok(records.into_iter().rev().filter_map(decode).collect())
    }
}

fn encode(deed: &Deed) -> Vec<u8> {
    let (mut record, path) = match deed {
        Deed::Added(path) => (b"a".to_vec(), path),
        Deed::Emptied(path) => (b"e".to_vec(), path),
        Deed::Opened(path, mode) => (format!("o{mode:06o}").into_bytes(), path),
    };
    record.extend_from_slice(path.as_os_str().as_encoded_bytes());
    record
}

/// `None` for what no merge has written.
fn decode(record: &[u8]) -> Option<Deed> {
    match record.split_first()? {
        (b'a', path) => Some(Deed::Added(relative(path)?)),
        (b'e', path) => Some(Deed::Emptied(relative(path)?)),
        (b'o', rest) => {
            let (mode, path) = rest.split_at_checked(6)?;
            let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
            Some(Deed::Opened(relative(path)?, mode))
        }
        _ => None,
    }
}

/// A path that stays below the directory that it counts from.
fn relative(bytes: &[u8]) -> Option<PathBuf> {
    let path = PathBuf::from(text(bytes)?);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere names are Unicode")]
fn text(bytes: &[u8]) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec()))
}

/// Archives hold no other names here.
#[cfg(not(unix))]
fn text(bytes: &[u8]) -> Option<OsString> {
    Some(String::from_utf8(bytes.to_vec()).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_back_from_the_last_to_the_first() {
        let place = tempfile::tempdir().expect("a place");
        assert!(!UndoLog::exists(place.path()));
        assert_eq!(UndoLog::backwards(place.path()).expect("read"), []);
        let deeds = [
            Deed::Added("a/b\nc".into()),
            Deed::Opened("d".into(), 0o555),
            Deed::Emptied("e e/f".into()),
            Deed::Opened(PathBuf::new(), 0o1777),
        ];
        for half in deeds.chunks(2) {
            // A later start appends to the same log.
            let mut log = UndoLog::of(place.path());
            for deed in half {
                log.note(deed).expect("noted");
            }
        }
        let mut backwards = deeds.to_vec();
        backwards.reverse();
        assert_eq!(UndoLog::backwards(place.path()).expect("read"), backwards);
        let mut cut = UndoLog::of(place.path());
        cut.append(b"ahalf").expect("written");
        assert_eq!(UndoLog::backwards(place.path()).expect("read"), backwards, "half a note");
    }

    #[test]
    fn no_note_leads_out_of_the_target() {
        for record in
            [&b"a../x"[..], b"a/etc/passwd", b"ax/../../y", b"o000755../x", b"o8", b"z", b"", b"o99999x"]
        {
            assert_eq!(decode(record), None, "{}", record.escape_ascii());
        }
    }
}
