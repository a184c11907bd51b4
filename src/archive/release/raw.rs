//! The packed bytes of an archive: hashed, metered and cancellable while they are read.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

use super::checksum::{ChecksumOutcome, Expected};
use super::error::Problem;
use super::format::Format;
use super::options::{ExtractOptions, Limits};
use crate::domain::unit::ByteSize;
use crate::objects::hash::ObjectHasher;
use crate::transport::http::error::{Cause, FetchError};

/// Headers of one entry: long names, extended attributes and maps of holes.
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
    failure: Option<Problem>,
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

    /// While headers are read, only so many bytes of them; `None` for data.
    pub(super) fn expect_headers(&self, headers: bool) {
        self.bounds.headers_left.set(headers.then_some(MAX_HEADERS));
    }

    /// Whether the unpacked stream was read beyond its last byte.
    pub(super) fn ended(&self) -> bool {
        self.bounds.ended.get()
    }

    /// What a failed read of anything above this stream comes from: this stream, or damage.
    pub(super) fn problem(&self, error: io::Error) -> Problem {
        match self.stream.borrow_mut().failure.take() {
            Some(failure) => failure,
            None => Problem::Damaged { format: self.format.get(), reason: error },
        }
    }

    /// The checksum over everything that was read.
    pub(super) fn finish(&self) -> Option<ChecksumOutcome> {
        let (expected, hasher) = self.stream.borrow_mut().hasher.take()?;
        Some(expected.compare(&hasher.finish()))
    }

    fn fail(&self, problem: Problem) -> io::Error {
        self.stream.borrow_mut().failure.get_or_insert(problem);
        io::Error::other("the archive cannot be read on")
    }
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.options.cancel.is_cancelled() {
            return Err(self.fail(Problem::Cancelled));
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
                    Ok(FetchError { cause: Cause::Cancelled, .. }) => Problem::Cancelled,
                    Ok(error) => Problem::Fetch(error),
                    Err(error) => Problem::Read(error),
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
        // A bomb reads hardly any packed bytes, where else this is noticed.
        if self.raw.options.cancel.is_cancelled() {
            return Err(self.raw.fail(Problem::Cancelled));
        }
        let count = self.decoded.read(buffer)?;
        bounds.ended.set(bounds.ended.get() || (count == 0 && !buffer.is_empty()));
        let bytes = count as u64;
        match bounds.left.get().checked_sub(bytes) {
            Some(left) => bounds.left.set(left),
            None => return Err(self.raw.fail(Problem::TooLarge(ByteSize(bounds.limits.bytes)))),
        }
        if let Some(left) = bounds.headers_left.get() {
            match left.checked_sub(bytes) {
                Some(left) => bounds.headers_left.set(Some(left)),
                None => return Err(self.raw.fail(Problem::HeadersTooLarge(ByteSize(MAX_HEADERS)))),
            }
        }
        Ok(count)
    }
}
