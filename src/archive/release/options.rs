//! What is read of a release archive, and within which bounds.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::checksum::Expected;
use crate::domain::event::Meter;
use crate::transport::source::SourceReader;

/// The bytes of an archive.
pub enum Input {
    /// A file, read from its start.
    File(File),
    /// Bytes as they come.
    Stream(Box<dyn Read + Send>),
}

impl From<SourceReader> for Input {
    fn from(reader: SourceReader) -> Self {
        match reader.into_file() {
            Ok(file) => Input::File(file),
            Err(reader) => Input::Stream(Box::new(reader)),
        }
    }
}

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Unpacked bytes of everything in the archive, headers included.
    pub bytes: u64,
    /// Entries of every kind.
    pub entries: u64,
}

impl Default for Limits {
    /// 64 GiB and four million entries: more than a CI cache can hold, less than a bomb.
    fn default() -> Self {
        Limits { bytes: 64 << 30, entries: 4_000_000 }
    }
}

/// How to read an archive.
#[derive(Clone, Copy)]
pub struct ExtractOptions<'a> {
    /// What errors call the archive: a path, or a URL without its secrets.
    pub archive: &'a str,
    /// Only what lies below this folder, with names relative to it; `None` is everything.
    pub subdir: Option<&'a str>,
    /// What the bytes of the archive must hash to.
    pub checksum: Option<&'a Expected>,
    /// Bounds against bombs.
    pub limits: Limits,
    /// Where a streamed zip is laid down while it is read.
    pub spool: &'a Path,
    /// Ends it.
    pub cancel: &'a CancellationToken,
    /// Turned by the archive's packed bytes and by its items.
    pub meter: &'a Meter,
}
