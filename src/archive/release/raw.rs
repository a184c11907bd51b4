//! The packed bytes of an archive: hashed, metered and cancellable while they are read.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use super::checksum::{ChecksumOutcome, Expected};
use super::format::Format;
use super::options::ExtractOptions;
use crate::archive::format::error::ArchiveError;
use crate::archive::read::limits::Limits;
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::objects::hash::ObjectHasher;
use crate::transport::http::error::{Cause, FetchError};

/// Upper bound for the headers of one entry, in bytes: long names, extended attributes and sparse maps.
const MAX_HEADERS: u64 = 8 << 20;

/// A handle on the packed stream; clones read on where the others are.
#[derive(Clone)]
pub(super) struct Raw<'a> {
    stream: Rc<RefCell<Stream<'a>>>,
    bounds: Rc<Bounds>,
    options: ExtractOptions<'a>,
    format: Rc<Cell<Format>>,
}

struct Stream<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: Option<(&'a Expected, ObjectHasher)>,
    failure: Option<ArchiveError>,
}

/// What the unpacked stream may still deliver.
struct Bounds {
    limits: Limits,
    left: Cell<u64>,
    headers_left: Cell<Option<u64>>,
    ended: Cell<bool>,
}

impl<'a> Raw<'a> {
    pub(super) fn new(inner: Box<dyn Read + 'a>, options: &ExtractOptions<'a>) -> Self {
        let hasher = options.checksum.map(|expected| (expected, expected.hasher()));
        Raw {
            stream: Rc::new(RefCell::new(Stream { inner, hasher, failure: None })),
            bounds: Rc::new(Bounds {
                limits: options.limits,
                left: Cell::new(options.limits.bytes),
                headers_left: Cell::new(None),
                ended: Cell::new(false),
            }),
            options: *options,
            format: Rc::new(Cell::new(Format::Tar)),
        }
    }

    pub(super) fn options(&self) -> &ExtractOptions<'a> {
        &self.options
    }

    pub(super) fn set_format(&self, format: Format) {
        self.format.set(format);
    }

    /// Bounds what comes out of a decoder.
    pub(super) fn bounded(&self, decoded: Box<dyn Read + 'a>) -> Bounded<'a> {
        Bounded { decoded, raw: self.clone() }
    }

    /// Bounds what is read next by [`MAX_HEADERS`], or lifts that bound for data.
    pub(super) fn expect_headers(&self, headers: bool) {
        self.bounds.headers_left.set(headers.then_some(MAX_HEADERS));
    }

    /// Whether the unpacked stream was read beyond its last byte.
    pub(super) fn ended(&self) -> bool {
        self.bounds.ended.get()
    }

    /// The cause of a failed read of anything above this stream: this stream, or damage.
    pub(super) fn error(&self, error: &io::Error) -> ArchiveError {
        match self.stream.borrow_mut().failure.take() {
            Some(failure) => failure,
            None => ArchiveError::damaged(format!("{}: {error}", self.format.get())),
        }
    }

    /// The checksum over everything that was read.
    pub(super) fn finish(&self) -> Option<ChecksumOutcome> {
        let (expected, hasher) = self.stream.borrow_mut().hasher.take()?;
        Some(expected.compare(&hasher.finish()))
    }

    fn fail(&self, failure: ArchiveError) -> io::Error {
        self.stream.borrow_mut().failure.get_or_insert(failure);
        io::Error::other("the archive cannot be read further")
    }
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if cancel::is_cancelled(self.options.cancel) {
            return Err(self.fail(ArchiveError::Cancelled));
        }
        let mut stream = self.stream.borrow_mut();
        match stream.inner.read(buffer) {
            Ok(count) => {
                if let Some((_, hasher)) = &mut stream.hasher {
                    hasher.update(&buffer[..count]);
                }
                self.options.meter.add_bytes(count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                drop(stream);
                Err(self.fail(match error.downcast::<FetchError>() {
                    Ok(FetchError { cause: Cause::Cancelled, .. }) => ArchiveError::Cancelled,
                    Ok(error) => ArchiveError::Release(Fault::from(error)),
                    Err(error) => ArchiveError::Input(error),
                }))
            }
        }
    }
}

/// What comes out of a decoder, bounded.
pub(super) struct Bounded<'a> {
    decoded: Box<dyn Read + 'a>,
    raw: Raw<'a>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bounds = &self.raw.bounds;
        // A decompression bomb reads few packed bytes, so the check of the packed stream comes too late.
        if cancel::is_cancelled(self.raw.options.cancel) {
            return Err(self.raw.fail(ArchiveError::Cancelled));
        }
        let count = self.decoded.read(buffer)?;
        bounds.ended.set(bounds.ended.get() || (count == 0 && !buffer.is_empty()));
        let bytes = count as u64;
        match bounds.left.get().checked_sub(bytes) {
            Some(left) => bounds.left.set(left),
            None => {
                return Err(self.raw.fail(ArchiveError::Limit { limit: bounds.limits.bytes, unit: "bytes" }));
            }
        }
        if let Some(left) = bounds.headers_left.get() {
            match left.checked_sub(bytes) {
                Some(left) => bounds.headers_left.set(Some(left)),
                None => {
                    return Err(self.raw.fail(ArchiveError::Limit {
                        limit: MAX_HEADERS,
                        unit: "bytes of headers of one entry",
                    }));
                }
            }
        }
        Ok(count)
    }
}
