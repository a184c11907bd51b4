//! Small text files, read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a text file was not read.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// It is not there.
    #[error("`{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// It is larger than such a file can be.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// It cannot be read or is not UTF-8.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl crate::domain::hint::Hint for TextError {}

/// Reads a UTF-8 file of at most `limit` bytes; a byte order mark is dropped.
pub fn read(path: &Path, limit: u64) -> Result<String, TextError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => TextError::Missing(path.to_owned()),
        _ => TextError::Unreadable { path: path.to_owned(), source },
    };
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > limit {
        return Err(TextError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_text_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("x.toml");
        assert!(matches!(read(&path, 4), Err(TextError::Missing(_))));
        std::fs::write(&path, "\u{feff}abc").expect("written");
        assert_eq!(read(&path, 6).expect("short enough"), "abc");
        assert!(matches!(read(&path, 5), Err(TextError::TooLarge { .. })));
        std::fs::write(&path, b"\xff").expect("written");
        let error = read(&path, 5).expect_err("not text").to_string();
        assert!(error.contains("x.toml"), "{error}");
    }
}
