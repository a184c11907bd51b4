//! Small text files, read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::path_error::PathError;
use crate::domain::fault::Fault;

/// Reads a UTF-8 file of at most `limit` bytes; a byte order mark is dropped.
pub(crate) fn read(path: &Path, limit: u64) -> Result<String, Fault> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Fault::environment(format!("`{}` does not exist", path.display())),
        _ => PathError::on("read", path)(source).into(),
    };
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > limit {
        return Err(Fault::environment(format!("`{}` is larger than {limit} bytes", path.display())));
    }
    Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("x.toml");
        let failure = |limit| read(&path, limit).expect_err("refused").to_string();
        assert_eq!(failure(4), format!("`{}` does not exist", path.display()));
        std::fs::write(&path, "\u{feff}abc").expect("written");
        assert_eq!(read(&path, 6).expect("short enough"), "abc");
        assert_eq!(failure(5), format!("`{}` is larger than 5 bytes", path.display()));
        std::fs::write(&path, b"\xff").expect("written");
        let error = failure(5);
        assert!(error.contains("x.toml"), "{error}");
    }
}
