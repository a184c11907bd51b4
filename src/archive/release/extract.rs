//! Release archives of any format, read item by item.

use std::fs::File;
use std::io::Read;

use super::checksum::ChecksumOutcome;
use super::error::{Problem, ReleaseError};
use super::format::Format;
use super::item::{self, Sink};
use super::open::{self, Body};
use super::options::{ExtractOptions, Input};
use super::raw::Raw;
use super::{tar_items, zip_items};

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
    let opened = open::open(&raw).map_err(fail)?;
    let format = opened.format;
    let complete = match opened.body {
        Body::Tar(reader) => tar_items::extract(reader, &raw, &mut seen, sink)?,
        Body::Zip(prefix) => zip_items::extract(prefix, file, &raw, &mut seen, sink)?,
    };
    if complete {
        seen.check_subdir().map_err(fail)?;
    }
    let checksum = if complete { raw.finish() } else { None };
    Ok(Extracted { format, items: seen.items, bytes: seen.bytes, complete, checksum })
}
