//! What is read of a release archive, and within which bounds.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::checksum::Expected;
use crate::archive::read::limits::Limits;
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

/// How to read an archive.
#[derive(Clone, Copy)]
pub struct ExtractOptions<'a> {
    /// What errors call the archive: a path, or a URL without its secrets.
    pub archive: &'a str,
    /// Only what lies below this directory of the archive, with names relative to it; `None` is everything.
    pub subdir: Option<&'a str>,
    /// What the bytes of the archive must hash to.
    pub checksum: Option<&'a Expected>,
    /// Upper bounds, against decompression bombs.
    pub limits: Limits,
    /// The directory for the nameless file that a streamed zip is copied to.
    pub spool: &'a Path,
    /// Ends the reading.
    pub cancel: &'a CancellationToken,
    /// Counts the packed bytes of the archive and its items.
    pub meter: &'a Meter,
}
