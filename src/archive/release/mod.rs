//! Release archives: reading what somebody else packed, as a stream of checked items.
//!
//! Tar, plain or compressed by gzip, zstd or xz, is read from front to end as it comes. Zip keeps its index at
//! its end, with modes and links only there: it is read from a file, and a stream of it is first laid down in
//! a nameless file in [`ExtractOptions::spool`], which the system removes whatever happens to the process.
//! (The extraction that trusts the local headers of a zip stream would miss links and modes, and could be shown
//! other names than the index has.)
//!
//! Whatever the archive holds: names that leave the tree are refused, devices and fifos too, sizes and counts
//! are bounded, and memory does not grow with the archive (a zip's index excepted: some 200 bytes an entry).

mod checksum;
mod error;
mod format;
mod item;
mod name;
mod raw;
mod sparse;
mod tar_items;
mod tree;
mod zip_items;

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use tokio_util::sync::CancellationToken;

pub use checksum::{ChecksumOutcome, Expected};
pub use error::{Problem, ReleaseError};
pub use format::Format;
pub use item::{ItemKind, ReleaseItem};
pub use name::{MAX_NAME, NameError};
pub use tree::{Unpacked, unpack_tree};

use crate::domain::event::Meter;
use crate::transport::source::SourceReader;
use raw::Raw;

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

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// How it was packed.
    pub format: Format,
    /// Items handed out.
    pub items: u64,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// Whether everything was read; false where the sink ended it.
    pub complete: bool,
    /// The checksum's result; `None` where none was asked for or not everything was read.
    pub checksum: Option<ChecksumOutcome>,
}

impl Extracted {
    /// Whether the archive's bytes are those that were expected, as far as anything was expected.
    pub fn checksum_ok(&self) -> bool {
        self.checksum.as_ref().is_none_or(ChecksumOutcome::ok)
    }
}

/// Takes items one by one; `Break` ends the extraction early.
pub type Sink<'s, E> = dyn FnMut(ReleaseItem<'_>) -> Result<ControlFlow<()>, E> + 's;

/// Reads an archive of any [`Format`], found by its bytes and not by its name, and hands out its items in
/// their order. The rest of the stream is read to its end, so that compression checks and checksum cover all
/// of it.
///
/// A checksum that differs is told in the result and is no error here: what a content-addressed cache takes is
/// verified piece by piece. When reading fails, the sink's own error about it is replaced by the true one.
pub fn extract<E: From<ReleaseError>>(
    input: Input,
    options: &ExtractOptions<'_>,
    sink: &mut Sink<'_, E>,
) -> Result<Extracted, E> {
    let fail = |problem: Problem| E::from(problem.of(options.archive));
    let mut seen = item::Selection::new(options).map_err(fail)?;
    let (file, stream): (Option<File>, Box<dyn Read>) = match input {
        Input::File(file) => {
            let again = file.try_clone().map_err(|error| fail(Problem::Read(error)))?;
            (Some(again), Box::new(file))
        }
        Input::Stream(stream) => (None, stream),
    };
    let raw = Raw::new(stream, options);
    let opened = format::open(&raw).map_err(fail)?;
    let format = opened.format;
    let complete = match opened.body {
        format::Body::Tar(reader) => tar_items::extract(reader, &raw, &mut seen, sink)?,
        format::Body::Zip(prefix) => zip_items::extract(prefix, file, &raw, &mut seen, sink)?,
    };
    if complete {
        seen.check_subdir().map_err(fail)?;
    }
    let checksum = if complete { raw.finish() } else { None };
    Ok(Extracted { format, items: seen.items, bytes: seen.bytes, complete, checksum })
}

#[cfg(test)]
mod tests;
