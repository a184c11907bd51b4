//! Release archives of any format, read item by item.

use std::fs::File;
use std::io::Read;

use super::checksum::ChecksumOutcome;
use super::error::named;
use super::format::Format;
use super::item::{Sink, WantedItems};
use super::open::{self, Body};
use super::options::{ExtractOptions, Input};
use super::raw::Raw;
use super::{tar_items, zip_items};
use crate::archive::format::error::ArchiveError;
use crate::domain::fault::Fault;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// How it was packed.
    pub format: Format,
    /// Items handed out.
    pub items: u64,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// Whether everything was read; false if the sink ended the extraction.
    pub complete: bool,
    /// The result of the checksum; `None` if none was requested or not everything was read.
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
/// A checksum that differs is reported in the result and is not an error here: a content-addressed cache verifies what it
/// takes object by object. When reading fails, the sink's own error about it is replaced by the cause.
pub fn extract(input: Input, options: &ExtractOptions<'_>, sink: &mut Sink<'_>) -> Result<Extracted, Fault> {
    let fail = |error| named(options.archive, error);
    let mut selection = WantedItems::new(options)?;
    let (file, stream): (Option<File>, Box<dyn Read>) = match input {
        Input::File(file) => {
            let again = file.try_clone().map_err(|error| fail(ArchiveError::Input(error)))?;
            (Some(again), Box::new(file))
        }
        Input::Stream(stream) => (None, stream),
    };
    let raw = Raw::new(stream, options);
    let opened = open::open(&raw).map_err(fail)?;
    let complete = match opened.body {
        Body::Tar(reader) => tar_items::extract(reader, &raw, &mut selection, sink)?,
        Body::Zip(prefix) => zip_items::extract(prefix, file, &raw, &mut selection, sink)?,
    };
    if complete {
        selection.check_subdir()?;
    }
    Ok(Extracted {
        format: opened.format,
        items: selection.items,
        bytes: selection.bytes,
        complete,
        checksum: if complete { raw.finish() } else { None },
    })
}
