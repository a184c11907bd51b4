//! Files written from a stream, in temporary places.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::cancel;
use super::path_error::PathError;

/// Bytes copied at once.
const CHUNK: usize = 256 << 10;

/// Writes everything the reader has into a new file.
///
/// A file that is there is an error: it may be an object of a store under another name.
pub(crate) fn write_file(
    path: &Path,
    reader: &mut dyn Read,
    cancel: &CancellationToken,
) -> Result<(), PathError> {
    let failed = PathError::on("write", path);
    let mut file = File::create_new(path).map_err(&failed)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        cancel::check(cancel).map_err(|cancelled| failed(cancelled.into()))?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count]).map_err(&failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Removes a file.
pub(crate) fn remove_file(path: &Path) -> Result<(), PathError> {
    fs::remove_file(path).map_err(PathError::on("remove", path))
}

/// Makes a directory and those above it, unless they are there.
pub(crate) fn make_directory(path: &Path) -> Result<(), PathError> {
    fs::create_dir_all(path).map_err(PathError::on("make", path))
}

/// Removes a directory that holds nothing; one that does, or that is not there, stays as it is.
pub(crate) fn remove_if_empty(path: &Path) {
    // Best effort: this only tidies up.
    let _ = fs::remove_dir(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_an_error_and_keeps_its_bytes_under_every_name() {
        let place = tempfile::tempdir().expect("a place");
        let (staged, object) = (place.path().join("staged"), place.path().join("object"));
        let write = |bytes: &[u8]| write_file(&staged, &mut &bytes[..], &CancellationToken::new());
        write(b"first").expect("a new file");
        fs::hard_link(&staged, &object).expect("linked");
        assert!(write(b"second").is_err());
        assert_eq!(fs::read(&object).expect("read"), b"first");
        fs::remove_file(&staged).expect("removed");
        write(b"second").expect("a new file");
        assert_eq!(fs::read(&object).expect("read"), b"first");
    }
}
