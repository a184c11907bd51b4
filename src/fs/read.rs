//! Files read to their end: in chunks, until the work is cancelled, or whole where they are small.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::cancel;
use super::open::{self, AccessTime, Links};
use super::path_error::PathError;
use crate::domain::digest::Sha256Digest;
use crate::domain::fault::Fault;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// The contents of a reader in chunks. An error holds a [`Cancelled`](cancel::Cancelled) once the work is cancelled.
pub(crate) struct FileChunks<'a, R> {
    reader: R,
    cancel: &'a CancellationToken,
    buffer: Vec<u8>,
}

impl<'a, R: Read> FileChunks<'a, R> {
    /// The contents from here to the end.
    pub(crate) fn of(reader: R, cancel: &'a CancellationToken) -> Self {
        FileChunks { reader, cancel, buffer: vec![0; CHUNK] }
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            cancel::check(self.cancel)?;
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => return Ok(Some(&self.buffer[..count])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a regular file is at a path, a link followed; `false` where it cannot be told.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether something is at a path, a link not followed.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a directory is at a path, a link followed; the error is that of a path that cannot be looked at.
pub(crate) fn is_directory(path: &Path) -> io::Result<bool> {
    path.metadata().map(|found| found.is_dir())
}

/// The length of a file in bytes, a link followed.
pub(crate) fn length(path: &Path) -> io::Result<u64> {
    path.metadata().map(|found| found.len())
}

/// Reads a regular file of at most `limit` bytes. The error of a larger one is [`io::ErrorKind::InvalidData`].
pub(crate) fn read_bounded(path: &Path, links: Links, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open::file(path, links)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("it is larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

/// Reads a file that others may have put there: a regular file, not through a link, of at most `limit` bytes.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_bounded(path, Links::Refused, limit)
}

/// The SHA-256 of a regular file's contents.
pub(crate) fn sha256_of_file(
    path: &Path,
    links: Links,
    cancel: &CancellationToken,
) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256::new();
    let file = open::file(path, links)?;
    let _unread = AccessTime::of(&file);
    let mut chunks = FileChunks::of(&file, cancel);
    while let Some(bytes) = chunks.next()? {
        hasher.update(bytes);
    }
    Ok(Sha256Digest(hasher.finalize().into()))
}

/// Reads a regular UTF-8 file of at most `limit` bytes; a byte order mark is dropped.
pub(crate) fn text(path: &Path, links: Links, limit: u64) -> Result<String, Fault> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Fault::environment(format!("`{}` does not exist", path.display())),
        io::ErrorKind::InvalidData => {
            Fault::environment(format!("`{}` is larger than {limit} bytes", path.display()))
        }
        _ => PathError::on("read", path)(source).into(),
    };
    let text = String::from_utf8(read_bounded(path, links, limit).map_err(failed)?)
        .map_err(|_| failed(io::Error::other("it is not UTF-8 text")))?;
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("file"), "12345").expect("written");
        symlink(at("file"), at("link")).expect("linked");
        symlink("/dev/zero", at("endless")).expect("linked");
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.is_ok_and(|status| status.success()), "a pipe");
        assert_eq!(read_regular(&at("file"), 5).expect("read"), b"12345");
        for name in ["link", "endless", "pipe", "missing", "."] {
            assert!(read_regular(&at(name), 5).is_err(), "{name}");
        }
        assert!(read_regular(&at("file"), 4).is_err(), "too large");
        assert!(read_regular(Path::new("/dev/zero"), 5).is_err(), "a device");
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("x.toml");
        let failure = |limit| text(&path, Links::Followed, limit).expect_err("refused").to_string();
        assert_eq!(failure(4), format!("`{}` does not exist", path.display()));
        std::fs::write(&path, "\u{feff}abc").expect("written");
        assert_eq!(text(&path, Links::Followed, 6).expect("short enough"), "abc");
        assert_eq!(failure(5), format!("`{}` is larger than 5 bytes", path.display()));
        std::fs::write(&path, b"\xff").expect("written");
        let error = failure(5);
        assert!(error.contains("x.toml"), "{error}");
    }
}
