//! What is wrong with a release archive.
//!
//! Errors of the disk that is written to name the path; everything else names the archive.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::checksum::ChecksumOutcome;
use super::format::Format;
use super::name::NameError;
use crate::domain::hint::Hint;
use crate::domain::unit::ByteSize;
use crate::transport::http::error::FetchError;

/// An archive that cannot be used.
#[derive(Debug)]
pub struct ReleaseError {
    /// The archive: a path, or a URL without its secrets.
    pub archive: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an archive, or with where it goes.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// It cannot be read.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// No format that is known.
    #[error("not an archive but {0}; known are tar, tar.gz, tar.zst, tar.xz and zip")]
    UnknownFormat(&'static str),
    /// Compressed, but what comes out is no tar.
    #[error("unpacks to something that is not a tar archive ({0})")]
    NotTar(Format),
    /// Damaged or cut off.
    #[error("damaged {format}: {reason}")]
    Damaged {
        /// How it is packed.
        format: Format,
        /// What was noticed.
        reason: io::Error,
    },
    /// A name that may not be written.
    #[error("refused entry `{name}`: {reason}")]
    Name {
        /// The name, as far as it can be shown.
        name: String,
        /// Why.
        reason: NameError,
    },
    /// Neither file, folder nor link, or a kind of file that is not known.
    #[error("refused entry `{name}`: {kind}")]
    Unsupported {
        /// The name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// More bytes than allowed.
    #[error("unpacks to more than {0}")]
    TooLarge(ByteSize),
    /// More entries than allowed.
    #[error("has more than {0} entries")]
    TooManyEntries(u64),
    /// The headers of one entry are larger than any honest ones.
    #[error("has an entry with more than {0} of headers")]
    HeadersTooLarge(ByteSize),
    /// The folder to take is not a name that an archive can hold.
    #[error("`{0}` is not a folder's name in an archive: {1}")]
    BadSubdir(String, NameError),
    /// Nothing lies in the folder to take.
    #[error("has nothing in `{subdir}`; at its top are: {}", .top.join(", "))]
    NothingInSubdir {
        /// The folder.
        subdir: String,
        /// The first names that are at the top instead.
        top: Vec<String>,
    },
    /// The bytes are not those that were expected.
    #[error("{} is {}, expected {}", .0.algorithm, .0.found, .0.expected)]
    Checksum(ChecksumOutcome),
    /// A file or folder cannot be written.
    #[error("cannot write {}: {reason}", .path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// An entry cannot be made where it belongs.
    #[error("refused entry `{name}`: {reason}")]
    Conflict {
        /// The name.
        name: String,
        /// What stands in the way.
        reason: &'static str,
    },
    /// The user interrupted it.
    #[error("interrupted")]
    Cancelled,
}

impl Problem {
    pub(super) fn of(self, archive: &str) -> ReleaseError {
        ReleaseError { archive: archive.to_owned(), problem: self }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            // It names its URL itself.
            Problem::Fetch(error) => error.fmt(f),
            problem => write!(f, "{}: {problem}", self.archive),
        }
    }
}

impl std::error::Error for ReleaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Fetch(error) => error.source(),
            problem => problem.source(),
        }
    }
}

impl Hint for ReleaseError {
    fn hint(&self) -> Option<String> {
        Some(match &self.problem {
            Problem::Fetch(error) => return error.hint(),
            Problem::UnknownFormat(_) => {
                "open the URL in a browser: it may need a login or lead to a page instead of the file"
                    .to_owned()
            }
            Problem::Damaged { .. } => {
                "fetch it again; if it stays so, the release itself is damaged".to_owned()
            }
            Problem::NothingInSubdir { .. } => "set `subdir` to a folder of the archive".to_owned(),
            Problem::Checksum(_) => {
                "if the release was replaced on purpose, take over the new checksum; else do not use it"
                    .to_owned()
            }
            Problem::Write { reason, .. } if reason.kind() == io::ErrorKind::StorageFull => {
                "free some space, or let `disk.free` name what may go".to_owned()
            }
            _ => return None,
        })
    }
}
