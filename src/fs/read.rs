//! Files read to their end, in chunks, until the work is cancelled.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::cancel;
use super::open::{self, Links};
use crate::domain::digest::Sha256Digest;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Reads to the end in chunks and hands each to `take`. Returns the bytes read; the error holds a
/// [`Cancelled`](cancel::Cancelled) once the work is cancelled.
pub(crate) fn read_chunks(
    reader: &mut impl Read,
    cancel: &CancellationToken,
    mut take: impl FnMut(&[u8]),
) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        cancel::check(cancel)?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                take(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a regular file is at a path, a link followed; `false` where it cannot be told.
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file()
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
    read_chunks(&mut open::file(path, links)?, cancel, |bytes| hasher.update(bytes))?;
    Ok(Sha256Digest(hasher.finalize().into()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
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
}
