//! Small text files, read whole.

use std::io;
use std::path::Path;

use super::open::Links;
use super::path_error::PathError;
use super::read::read_bounded;
use crate::domain::fault::Fault;

/// Reads a regular UTF-8 file of at most `limit` bytes; a byte order mark is dropped.
pub(crate) fn read(path: &Path, links: Links, limit: u64) -> Result<String, Fault> {
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

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("x.toml");
        let failure = |limit| read(&path, Links::Followed, limit).expect_err("refused").to_string();
        assert_eq!(failure(4), format!("`{}` does not exist", path.display()));
        std::fs::write(&path, "\u{feff}abc").expect("written");
        assert_eq!(read(&path, Links::Followed, 6).expect("short enough"), "abc");
        assert_eq!(failure(5), format!("`{}` is larger than 5 bytes", path.display()));
        std::fs::write(&path, b"\xff").expect("written");
        let error = failure(5);
        assert!(error.contains("x.toml"), "{error}");
    }
}
