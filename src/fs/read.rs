//! Files read to their end, in chunks, until the work is cancelled.

#![expect(clippy::disallowed_methods, reason = "files are opened here to be read")]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::cancel;
use crate::domain::digest::Sha256Digest;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// Reads to the end in chunks and hands each to `take`. Returns the bytes read; the error holds a
/// [`Cancelled`](cancel::Cancelled) once the work is cancelled.
pub fn read_chunks(
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

/// The SHA-256 of a file's contents; a link is followed.
pub fn sha256_of_file(path: &Path, cancel: &CancellationToken) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256::new();
    read_chunks(&mut File::open(path)?, cancel, |bytes| hasher.update(bytes))?;
    Ok(Sha256Digest(hasher.finalize().into()))
}
